//! The conversation with the cloud over MQTT: changes in, acknowledgements, events, outcomes and receipts out.
//!
//! | module | what it does |
//! |---|---|
//! | `session` | the rules of one conversation, without I/O |
//! | `conversation` | carries them out: store, access task, signatures |
//! | [`network`] | what that needs of the outside world |
//! | `mqtt` | one MQTT connection, thrown away at its first error |
//! | `backoff` | how long to wait before the next |
//!
//! The broker is a live pipe and nothing more: no message is retained or queued, every session begins with a hello that
//! says where this controller stands, and whatever was not answered is sent again. Being offline is a normal state: the
//! gate does not depend on anything here.

mod backoff;
mod conversation;
mod mqtt;
pub mod network;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cardea_access::time::{Monotonic, Timestamp};
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::EventKind;
use cardea_protocol::message::StalenessLimits;
use rand::rngs::StdRng;
use rustls::AlertDescription;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::identity::{Identity, StateDir, est, renew};
use crate::seam::{FreshnessState, Outbox, SyncLinks, now_above};
use crate::store::Store;
use backoff::Backoff;
use conversation::{Conversation, ConversationError};
use network::{LinkError, Network};
use session::End;

/// How often an unclaimed controller looks whether it has been claimed.
const CLAIM_POLL: Duration = Duration::from_secs(2);

/// The clock floor is not written more finely: it wears the flash.
const FLOOR_STEP_MS: i64 = 30_000;
/// Renewals are at least this far apart, an hour.
const RENEW_EVERY_MS: u64 = 3_600_000;
/// The same alarm about the cloud's messages is reported again after an hour: a flood must not fill the outbox.
const ALARM_EVERY_MS: u64 = 3_600_000;

/// How things stand with the cloud, for people at the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SyncStatus {
    /// Nothing was tried yet.
    #[default]
    Starting,
    /// This controller has no identity: `cardead claim`.
    Unclaimed,
    /// No session; tried again by itself.
    Offline {
        /// Why, for people; no secrets.
        why: String,
    },
    /// In session.
    Online {
        /// Whether the digests agreed when last compared.
        in_sync: Option<bool>,
    },
}

/// What the sync task works with.
#[derive(Debug)]
pub struct SyncTask {
    /// Where the identity is.
    pub state: StateDir,
    /// The database.
    pub store: Store,
    /// The way to the cloud.
    pub network: Arc<dyn Network>,
    /// Time.
    pub clock: SharedClock,
    /// For jitter and session ids; to be seeded from the operating system.
    pub rng: StdRng,
    /// To the access task.
    pub links: SyncLinks,
    /// For events of its own.
    pub outbox: Outbox,
    /// The embedder's id in the model pack; `None` without face models.
    pub embedder: Option<String>,
    /// What is told of how long credentials count without the cloud.
    pub staleness: StalenessLimits,
    /// Where its state is told.
    pub status: watch::Sender<SyncStatus>,
    started: Monotonic,
    floor_at_start: Timestamp,
    renewed_at: Option<Monotonic>,
    /// When each of the alarms about messages was last reported.
    alarmed: BTreeMap<&'static str, Monotonic>,
}

impl SyncTask {
    /// Ready to [`run`].
    pub fn new(
        state: StateDir,
        store: Store,
        network: Arc<dyn Network>,
        clock: SharedClock,
        rng: StdRng,
        links: SyncLinks,
        embedder: Option<String>,
    ) -> (Self, watch::Receiver<SyncStatus>) {
        let (status, receiver) = watch::channel(SyncStatus::default());
        let outbox = Outbox::new(store.clone(), clock.clone());
        let (started, floor_at_start) = (clock.monotonic(), store.clock_floor());
        (
            Self {
                state,
                store,
                network,
                clock,
                rng,
                links,
                outbox,
                embedder,
                staleness: StalenessLimits::default(),
                status,
                started,
                floor_at_start,
                renewed_at: None,
                alarmed: BTreeMap::new(),
            },
            receiver,
        )
    }

    fn tell(&self, status: SyncStatus) {
        self.status.send_if_modified(|told| {
            let differs = *told != status;
            *told = status;
            differs
        });
    }

    /// Whether a renewal may begin now. With a clock that is months ahead every certificate is due at once, and each one
    /// costs a session.
    fn may_renew(&mut self) -> bool {
        let now = self.clock.monotonic();
        let may = self.renewed_at.is_none_or(|last| now.since_ms(last) >= RENEW_EVERY_MS);
        if may {
            self.renewed_at = Some(now);
        }
        may
    }

    /// Asks for a certificate in the place of one that has ended; whether there is another to connect with. `Err` says why
    /// not, for people. A cloud that was not reached is asked again after the next connection that fails, one that has answered after
    /// an hour: a clock that is years ahead sees every certificate ended.
    async fn renew_expired(&mut self, identity: &Identity) -> Result<bool, String> {
        let now = self.clock.monotonic();
        if self.renewed_at.is_some_and(|last| now.since_ms(last) < RENEW_EVERY_MS) {
            return Ok(false);
        }
        match renew::renew_expired(&self.state, identity, &*self.network).await {
            Ok(()) => {
                self.renewed_at = Some(now);
                tracing::info!("the certificate had ended and was renewed; the new one is tried");
                Ok(true)
            }
            Err(error) => {
                if error.is_refusal() && !identity.is_candidate {
                    self.renewed_at = Some(now);
                }
                Err(format!("the certificate has ended and was not renewed: {error}"))
            }
        }
    }

    /// Reports that something is wrong with what comes in the cloud's name, once in a while.
    fn alarm(&mut self, alarm: &'static str) {
        let now = self.clock.monotonic();
        if self.alarmed.get(alarm).is_none_or(|last| now.since_ms(*last) >= ALARM_EVERY_MS) {
            self.alarmed.insert(alarm, now);
            self.outbox.push(None, EventKind::Alarm { alarm: alarm.to_owned() });
        }
    }

    async fn raise_clock_floor(&self) {
        let freshness = *self.store.freshness().borrow();
        let floor = proven_time(self.floor_at_start, self.started, freshness, self.clock.monotonic());
        if floor.since_ms(self.store.clock_floor()) < FLOOR_STEP_MS {
            return;
        }
        if let Err(error) = self.store.raise_clock_floor(floor).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the clock floor was not kept");
        }
    }
}

/// The time that has certainly come: the floor at the start and the last statement, each with the running time since.
/// The wall clock takes no part, so that one that stands wrong cannot poison it.
fn proven_time(
    floor_at_start: Timestamp,
    started: Monotonic,
    freshness: Option<FreshnessState>,
    now: Monotonic,
) -> Timestamp {
    let since = |instant: Monotonic| i64::try_from(now.since_ms(instant)).unwrap_or(i64::MAX);
    let by_start = floor_at_start.plus_ms(since(started));
    let by_statement = freshness.map_or(by_start, |f| f.statement_at.plus_ms(f.received.map_or(0, since)));
    by_start.max(by_statement)
}

/// Keeps in touch with the cloud until cancelled. Nothing that comes over the network ends it.
pub async fn run(mut task: SyncTask, cancel: CancellationToken) {
    let mut backoff = Backoff::default();
    let mut try_candidate = true;
    while !cancel.is_cancelled() {
        let identity = match Identity::load(&task.state, try_candidate) {
            Ok(Some(identity)) => Some(identity),
            Ok(None) => {
                task.tell(SyncStatus::Unclaimed);
                None
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the identity cannot be used");
                task.tell(SyncStatus::Offline { why: error.to_string() });
                // If it is the renewed pair that is damaged, the old one still works.
                try_candidate = false;
                None
            }
        };
        let Some(identity) = identity else {
            task.raise_clock_floor().await;
            wait(CLAIM_POLL, &cancel).await;
            continue;
        };
        let was_candidate = identity.is_candidate;
        let begun = Instant::now();
        let (heard, error) = attempt(&mut task, identity.clone(), &cancel).await;
        let Some(error) = error else { return };
        // A renewed pair gets one try at a time; in between the old one keeps the controller connected.
        try_candidate = !was_candidate || heard;
        let asked_ms = match &error {
            ConversationError::Ended(End::Asked { retry_ms } | End::Refused { retry_ms, .. }) => *retry_ms,
            _ => 0,
        };
        if heard {
            task.outbox.push(None, EventKind::Controller { state: "offline".to_owned() });
        }
        let mut why = explain(&error);
        // Only after it was in vain: where it is the clock that is wrong, the certificate still connects.
        let now = now_above(&task.clock, task.store.clock_floor()).wall;
        if !heard && (identity.has_expired(now) || is_called_expired(&error)) {
            let renewed = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                renewed = task.renew_expired(&identity) => renewed,
            };
            match renewed {
                Ok(true) => {
                    try_candidate = true;
                    continue;
                }
                Ok(false) => {}
                Err(not_renewed) => why = not_renewed,
            }
        }
        tracing::warn!(why, "offline");
        task.tell(SyncStatus::Offline { why });
        let pause = backoff.after(begun.elapsed(), asked_ms, &mut task.rng);
        task.raise_clock_floor().await;
        wait(pause, &cancel).await;
    }
}

/// One connection and session. `None` for an error means: cancelled.
async fn attempt(
    task: &mut SyncTask,
    identity: Identity,
    cancel: &CancellationToken,
) -> (bool, Option<ConversationError>) {
    let network = Arc::clone(&task.network);
    let link = tokio::select! {
        biased;
        () = cancel.cancelled() => return (false, None),
        link = network.connect(&identity) => match link {
            Ok(link) => link,
            Err(error) => return (false, Some(error.into())),
        },
    };
    let (mut conversation, outcomes) = match Conversation::begin(task, identity, link).await {
        Ok(begun) => begun,
        Err(error) => return (false, Some(error)),
    };
    let ended = conversation.hold(outcomes, cancel).await;
    let heard = conversation.heard;
    conversation.leave().await;
    (heard, ended.err())
}

/// Whether the broker has closed the door because the certificate has ended. A clock without a battery does not know, after
/// a long outage.
fn is_called_expired(error: &ConversationError) -> bool {
    let expired = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
    matches!(error, ConversationError::Link(LinkError::Tls(tls)) if *tls == expired)
}

/// What is wrong and what to do, for the person at the controller.
fn explain(error: &ConversationError) -> String {
    if let ConversationError::Link(LinkError::Tls(tls)) = error {
        return est::explain_tls("the broker".to_owned(), tls).to_string();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        // Some errors repeat their source in their own words.
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

async fn wait(pause: Duration, cancel: &CancellationToken) {
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_protocol::id::Revision;

    #[test]
    fn proven_time_counts_running_time_and_never_the_wall_clock() {
        let statement =
            |at: i64, received| Some(FreshnessState { revision: Revision(1), statement_at: Timestamp(at), received });
        let proven = |freshness| proven_time(Timestamp(1_000), Monotonic(50), freshness, Monotonic(250));
        assert_eq!(proven(None), Timestamp(1_200));
        assert_eq!(proven(statement(1_150, Some(Monotonic(240)))), Timestamp(1_200));
        assert_eq!(proven(statement(5_000, Some(Monotonic(240)))), Timestamp(5_010));
        assert_eq!(
            proven(statement(5_000, None)),
            Timestamp(5_000),
            "received on another boot: no elapsed time is known"
        );
    }
}
