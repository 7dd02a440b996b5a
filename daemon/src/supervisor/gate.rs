//! The part of the controller that stands at the gate: hardware, capture and access. It needs no network.

use std::sync::Arc;

use cardea_hardware::{DeviceError, Hardware};
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::BootId;
use cardea_protocol::message::{AccessPoint, StalenessLimits};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tasks::{Ended, Tasks};
use crate::access::{self, UnknownDevice};
use crate::capture::{self, Faces, Recognisers, Told};
use crate::config::Config;
use crate::guardian::Heartbeat;
use crate::local::StatusBoard;
use crate::seam::{self, OrderRequest, Outbox, SyncLinks};
use crate::store::{Store, StoreError};

/// Why the gate could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The hardware's configuration cannot be used.
    #[error(transparent)]
    Hardware(#[from] DeviceError),
    /// A name in the configuration leads nowhere.
    #[error(transparent)]
    Device(#[from] UnknownDevice),
    /// What an earlier run left cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What recognises.
#[derive(Clone, Debug)]
pub enum Eyes {
    /// The models of the configuration, at the cameras.
    Models,
    /// None: whoever started the gate shows it faces, as a simulation does.
    Told(Told),
}

/// Hardware, capture and access, running.
pub struct Gate {
    hardware: Arc<Hardware>,
    /// Its tasks; others may be added.
    pub tasks: Tasks,
    /// What the status socket shows.
    pub status: StatusBoard,
    /// The embedder's id, if faces are recognised.
    pub embedder: Option<String>,
    /// How long what opens something here counts without a word from the cloud.
    pub staleness: StalenessLimits,
    /// Orders at the controller. Only `try_send`: a busy access task is a refusal, never a queue.
    pub orders: mpsc::Sender<OrderRequest>,
    /// Shows it faces, where it was told to see by [`Eyes::Told`].
    pub faces: Faces,
    cancel: CancellationToken,
}

impl Gate {
    /// Opens the hardware and starts everything that decides and acts.
    pub async fn start(
        config: &Config,
        clock: &SharedClock,
        store: &Store,
        boot_id: &BootId,
    ) -> Result<(Self, SyncLinks), GateError> {
        let hardware = Arc::new(Hardware::open(&config.hardware())?);
        Self::start_on(hardware, Eyes::Models, config, clock, store, boot_id, &Heartbeat::default()).await
    }

    /// Starts everything that decides and acts on `hardware`, whose boards put their outputs into the safe states first.
    /// Buttons work while the models load. Where recognition cannot be had, buttons and orders go on working, and an alarm
    /// says so.
    pub async fn start_on(
        hardware: Arc<Hardware>,
        eyes: Eyes,
        config: &Config,
        clock: &SharedClock,
        store: &Store,
        boot_id: &BootId,
        heartbeat: &Heartbeat,
    ) -> Result<(Self, SyncLinks), GateError> {
        let (links, sync_links) = seam::links(store, clock, boot_id, first_equipment(config));
        let (status, cancel) = (StatusBoard::default(), CancellationToken::new());
        let (mut tasks, outbox) = (Tasks::default(), links.outbox.clone());
        let (sightings, captures) = capture::channel();
        let (orders, ordered) = mpsc::channel(1);
        let kept = match store.kept().await {
            Ok(kept) => kept,
            Err(error) => {
                hardware.shutdown().await;
                return Err(error.into());
            }
        };
        let parts = access::Parts {
            hardware: Arc::clone(&hardware),
            store: store.clone(),
            clock: Arc::clone(clock),
            status: status.clone(),
            links,
            captures,
            heartbeat: heartbeat.clone(),
            kept,
            orders: ordered,
        };
        let blind = match access::start(config, parts, &mut tasks, &cancel) {
            Ok(blind) => blind,
            Err(error) => {
                hardware.shutdown().await;
                return Err(error.into());
            }
        };
        // Both end with the others: the outputs are made safe only when all have.
        let (watching, over) = (heartbeat.clone().watch(), cancel.clone());
        tasks.spawn("heartbeat", async move { over.run_until_cancelled(watching).await.unwrap_or(Ok(())) });
        let (driven, over) = (Arc::clone(&hardware), cancel.clone());
        tasks.spawn_infallible("hardware", async move {
            over.run_until_cancelled(driven.broken()).await;
        });
        let recognisers = match eyes {
            Eyes::Models => load_recognisers(config, &outbox).await,
            Eyes::Told(told) => told.recognisers(),
        };
        let staleness = blind.staleness;
        blind.see(recognisers.calibration.clone(), &mut tasks, &cancel).await;
        capture::start(config, &hardware, &recognisers, clock, &status, &sightings, &mut tasks, &cancel);
        let embedder = recognisers.embedder().map(str::to_owned);
        let faces = Faces::new(sightings, Arc::clone(clock));
        Ok((Self { hardware, tasks, status, embedder, staleness, orders, faces, cancel }, sync_links))
    }

    /// What ends all tasks.
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for a task to end, which none should.
    pub async fn ended(&mut self) -> Ended {
        match self.tasks.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Ends the tasks, the deciding one before anything else can be switched, and puts the outputs into their safe states.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        let in_order = async { while self.tasks.next().await.is_some() {} };
        if tokio::time::timeout(super::PATIENCE, in_order).await.is_err() {
            tracing::warn!(tasks = ?self.tasks.names(), "tasks did not end in time and were stopped");
            // One that blocks its thread does not even stop; the outputs are made safe without it.
            let _ = tokio::time::timeout(super::PATIENCE, self.tasks.abort()).await;
        }
        self.hardware.shutdown().await;
    }
}

/// The models. Their absence must not keep a door shut that opens by button or by order.
async fn load_recognisers(config: &Config, outbox: &Outbox) -> Recognisers {
    let config = config.clone();
    let loaded = tokio::task::spawn_blocking(move || Recognisers::load(&config)).await;
    let error: &dyn std::error::Error = match &loaded {
        Ok(Ok(recognisers)) => {
            if let Some(error) = &recognisers.refused {
                tracing::error!(%error, "faces do not open; run cardead check");
                outbox.push(None, EventKind::Alarm { alarm: "pad-unavailable".to_owned() });
            }
            return recognisers.clone();
        }
        Ok(Err(error)) => error,
        Err(error) => error,
    };
    tracing::error!(error, "no recognition: plates and faces do not open; run cardead check");
    outbox.push(None, EventKind::Alarm { alarm: "recognition-unavailable".to_owned() });
    Recognisers::default()
}

/// What is known of the access points before anything has been looked at.
fn first_equipment(config: &Config) -> Vec<AccessPoint> {
    let unknown = |point: &crate::config::AccessPointConfig| AccessPoint {
        id: point.id().clone(),
        kind: point.kind(),
        credentials: point.credentials().iter().map(|c| c.name().to_owned()).collect(),
        reachable: false,
        state: cardea_access::machine::State::Unknown.code().to_owned(),
    };
    config.access_points.iter().map(unknown).collect()
}
