//! The conversation with one controller.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cardea_protocol::Timestamp;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::cose::CoseError;
use cardea_protocol::envelope::{EnvelopeError, Receiver, Sender, open_any};
use cardea_protocol::id::{ControllerId, Revision, SessionId, SiteId};
use cardea_protocol::jws::{Signer, Use, Verifier};
use cardea_protocol::message::{Down, Hello, Receipt, Up};
use cardea_protocol::seal::{SealError, SealingKey};
use cardea_protocol::version::Versions;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::SyncSettings;
use super::carrier::Outgoing;
use super::catch_up::ORDERS_LATE;
use super::hub::{Connection, Input, Order};
use super::orders::Orders;
use crate::keys::{KeyError, Vault};
use crate::storage::certificates::IssuedCertificate;
use crate::storage::erasures::ReceiptError;
use crate::storage::{Storage, StorageError};

/// Sessions whose ids are remembered, so that a hello is taken once.
const REMEMBERED: usize = 64;
/// A controller that is told to begin again does so after this, milliseconds.
const RECONNECT_MS: u64 = 0;
/// After a failure on our side it waits longer, milliseconds.
pub(super) const RECONNECT_AFTER_FAILURE_MS: u64 = 15_000;
/// A message that finds no room on the way to the broker for so long ends its session.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// What every session shares.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) storage: Storage,
    pub(super) vault: Arc<Vault>,
    pub(super) signer: Signer,
    pub(super) clock: SharedClock,
    pub(super) settings: SyncSettings,
    pub(super) link: mpsc::Sender<Outgoing>,
    pub(super) hub: mpsc::UnboundedSender<Input>,
}

/// What the hub tells a session beside the controller's messages.
#[derive(Debug)]
pub(super) enum Control {
    /// The controller has connected; it will say hello.
    Came(Connection),
    /// That connection has ended.
    Went(Connection),
    /// Open something.
    Open(Order),
    /// Messages may have been lost: begin again.
    Restart,
}

/// Why a session cannot go on. The controller begins a new one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the storage failed")]
    Storage(#[from] StorageError),
    #[error("a message could not be signed")]
    Sign(#[from] CoseError),
    #[error("a stored template could not be decrypted")]
    Key(#[from] KeyError),
    #[error("a template could not be sealed to the controller")]
    Seal(#[from] SealError),
    #[error("the connection to the broker does not keep up")]
    Link,
}

/// What is known of a controller while it is in session.
pub(super) struct Live {
    pub(super) sender: Sender,
    receiver: Receiver,
    last_seq: u64,
    /// The certificate its hello was signed with; `None` once the earlier ones are ended.
    unproved: Option<IssuedCertificate>,
    pub(super) hello: Hello,
    /// What it last said it has applied.
    pub(super) applied: Revision,
    /// What was sent to it.
    pub(super) sent: Revision,
    /// Where each message ends that it has not yet said to have applied.
    pub(super) unapplied: VecDeque<Revision>,
    /// When it last got something to apply, or said that it had.
    pub(super) progress_at: Instant,
    /// When what it owes an answer to is looked at once more; `None` once that was done.
    pub(super) orders_due: Option<Instant>,
    /// Snapshots sent because its digest was wrong, since it was last right.
    pub(super) repairs: u32,
    /// A snapshot was sent, which carries no orders to erase, and its digest was not right since.
    pub(super) without_orders: bool,
}

impl Live {
    /// Nothing was applied in it yet.
    pub(super) fn begins(&self) -> bool {
        self.unproved.is_some()
    }
}

/// One controller's task.
pub(super) struct Session {
    pub(super) context: Context,
    pub(super) controller: ControllerId,
    pub(super) site: SiteId,
    pub(super) live: Option<Live>,
    pub(super) orders: Orders,
    connection: Option<Connection>,
    remembered: VecDeque<SessionId>,
    /// Once cancelled, the controller is revoked: nothing more is sent to it, and what is on its way is dropped.
    ended: CancellationToken,
    /// When each of the alarms of a session that cannot go on was last raised.
    pub(super) alarmed: HashMap<&'static str, Instant>,
}

impl Session {
    pub(super) fn new(context: Context, controller: ControllerId, site: SiteId, ended: CancellationToken) -> Self {
        Self {
            context,
            controller,
            site,
            live: None,
            orders: Orders::default(),
            connection: None,
            remembered: VecDeque::new(),
            ended,
            alarmed: HashMap::new(),
        }
    }

    /// Runs until the controller is revoked, in whatever it is doing, or the hub ends.
    pub(super) async fn run(
        mut self,
        controls: mpsc::UnboundedReceiver<Control>,
        messages: mpsc::Receiver<Bytes>,
        changed: Arc<Notify>,
    ) {
        let ended = self.ended.clone();
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = self.converse(controls, messages, changed) => {}
        }
        self.forget().await;
    }

    async fn converse(
        &mut self,
        mut controls: mpsc::UnboundedReceiver<Control>,
        mut messages: mpsc::Receiver<Bytes>,
        changed: Arc<Notify>,
    ) {
        let mut freshness = tokio::time::interval(Duration::from_millis(self.context.settings.freshness_interval_ms));
        freshness.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_deadline = self.orders.next_deadline();
            let result = tokio::select! {
                biased;
                control = controls.recv() => match control {
                    Some(control) => self.control(control).await,
                    None => return,
                },
                () = changed.notified() => self.catch_up().await,
                () = tokio::time::sleep_until(next_deadline.unwrap_or_else(Instant::now)), if next_deadline.is_some() => {
                    self.overdue().await
                }
                Some(message) = messages.recv() => self.message(&message).await,
                _ = freshness.tick(), if self.live.is_some() => self.tick().await,
            };
            if let Err(error) = result {
                tracing::error!(controller = %self.controller, error = &error as &dyn std::error::Error, "the session ends");
                self.restart(RECONNECT_AFTER_FAILURE_MS);
            }
        }
    }

    async fn control(&mut self, control: Control) -> Result<(), SessionError> {
        match control {
            Control::Came(connection) => {
                self.end_session();
                self.connection = Some(connection);
            }
            Control::Went(connection) if self.connection == Some(connection) => {
                self.connection = None;
                self.forget().await;
            }
            Control::Went(_) => {}
            Control::Open(order) => self.open(order).await?,
            Control::Restart => self.restart(RECONNECT_MS),
        }
        Ok(())
    }

    pub(super) fn end_session(&mut self) {
        self.live = None;
        self.orders.abandon();
    }

    async fn forget(&mut self) {
        self.end_session();
        if let Err(error) = self.context.storage.record_disconnected(&self.controller, self.now()).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a disconnection could not be recorded");
        }
    }

    /// Asks the controller for a new session and ends this one.
    pub(super) fn restart(&mut self, retry_ms: u64) {
        let now = self.now();
        let asked = self.live.as_mut().and_then(|live| live.sender.seal(now, Down::Reconnect { retry_ms }).ok());
        if let Some(payload) = asked {
            // Best effort: the reason may be that nothing can be sent.
            let _ = self.context.link.try_send(self.outgoing(payload));
        }
        self.end_session();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// Signs and sends, if the controller is in session. Waits for room on the way to the broker, but not for long.
    pub(super) async fn send(&mut self, message: Down) -> Result<(), SessionError> {
        let now = self.now();
        let Some(live) = &mut self.live else { return Ok(()) };
        let payload = live.sender.seal(now, message)?;
        self.publish(payload).await
    }

    pub(super) async fn publish(&self, payload: Vec<u8>) -> Result<(), SessionError> {
        self.context.link.send_timeout(self.outgoing(payload), SEND_TIMEOUT).await.map_err(|_| SessionError::Link)
    }

    fn outgoing(&self, payload: Vec<u8>) -> Outgoing {
        Outgoing { to: self.controller.clone(), payload, ended: self.ended.clone() }
    }

    async fn message(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if let Some(live) = &mut self.live {
            match live.receiver.open::<Up>(bytes) {
                Ok(envelope) if envelope.seq == live.last_seq + 1 => {
                    live.last_seq = envelope.seq;
                    return self.handle(envelope.message).await;
                }
                Ok(_) => {
                    tracing::warn!(controller = %self.controller, "a message is missing: the session begins again");
                    self.restart(RECONNECT_MS);
                    return self.alarm("message-missing").await;
                }
                Err(EnvelopeError::Replayed { .. }) => return self.alarm("message-replayed").await,
                Err(EnvelopeError::Address) => return self.alarm("message-misdirected").await,
                // A hello of a new session, or one signed with a renewed key.
                Err(EnvelopeError::Session | EnvelopeError::Cose(_)) => {}
                Err(EnvelopeError::Unknown { .. } | EnvelopeError::Content(_)) => return self.not_understood().await,
            }
        }
        self.first_message(bytes).await
    }

    /// A message outside the session: a hello begins one, anything else is answered by asking for a hello.
    async fn first_message(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let certificates = self.context.storage.active_certificates(&self.controller, self.now()).await?;
        let opened = certificates.into_iter().find_map(|certificate| {
            let verifier = Verifier::p256_point(&certificate.public_point);
            match open_any::<Up>(&verifier, Use::Up, &self.controller, bytes) {
                Err(EnvelopeError::Cose(_)) => None,
                opened => Some((opened, verifier, certificate)),
            }
        });
        let (envelope, verifier, certificate) = match opened {
            Some((Ok(envelope), verifier, certificate)) => (envelope, verifier, certificate),
            Some((Err(EnvelopeError::Unknown { session }), ..)) => {
                return if self.is_new(&session) {
                    self.not_understood_in(session).await
                } else {
                    self.of_an_ended_session().await
                };
            }
            Some((Err(EnvelopeError::Address), ..)) => return self.alarm("message-misdirected").await,
            Some((Err(EnvelopeError::Content(_)), ..)) => return self.not_understood().await,
            _ => return self.alarm("message-forged").await,
        };
        if !self.is_new(&envelope.session) {
            return self.of_an_ended_session().await;
        }
        let Up::Hello(hello) = envelope.message else {
            // The cloud was restarted, and the controller has not noticed.
            return self.answer(envelope.session, Down::Reconnect { retry_ms: RECONNECT_MS }).await;
        };
        let Some(version) = hello.versions.common(Versions::SPOKEN) else {
            return self.refuse(envelope.session, hello.versions).await;
        };
        let mut receiver = Receiver::new(verifier, Use::Up, self.controller.clone(), envelope.session.clone());
        if receiver.open::<Up>(bytes).is_err() {
            return Ok(());
        }
        self.end_session();
        let sender = Sender::new(self.context.signer.clone(), Use::Down, self.controller.clone(), envelope.session);
        self.live = Some(Live {
            sender,
            receiver,
            last_seq: envelope.seq,
            unproved: Some(certificate),
            applied: hello.cursor,
            sent: hello.cursor,
            unapplied: VecDeque::new(),
            progress_at: Instant::now(),
            orders_due: Some(Instant::now() + ORDERS_LATE),
            repairs: 0,
            without_orders: false,
            hello: hello.clone(),
        });
        self.send(Down::Welcome { version }).await?;
        self.context.storage.record_hello(&self.controller, &hello, self.now()).await?;
        tracing::info!(controller = %self.controller, cursor = %hello.cursor, software = %hello.software, "in session");
        self.compare(hello.cursor, hello.digest).await
    }

    /// Whether nothing was heard of a session before; from now on, it was.
    fn is_new(&mut self, session: &SessionId) -> bool {
        if self.remembered.contains(session) {
            return false;
        }
        self.remembered.push_back(session.clone());
        if self.remembered.len() > REMEMBERED {
            self.remembered.pop_front();
        }
        true
    }

    async fn handle(&mut self, message: Up) -> Result<(), SessionError> {
        match message {
            Up::Hello(_) => {
                tracing::warn!(controller = %self.controller, "a second hello in one session");
                self.restart(RECONNECT_MS);
                Ok(())
            }
            Up::Applied { revision, digest } => {
                if let Some(proved) = self.live.as_mut().and_then(|live| live.unproved.take()) {
                    let now = self.now();
                    self.context.storage.supersede_certificates(&self.controller, &proved, now).await?;
                }
                self.compare(revision, digest).await
            }
            Up::Events { events } => {
                let stored =
                    self.context.storage.store_events(&self.site, &self.controller, events, self.now()).await?;
                if stored.changed {
                    // The hub ends only with the program.
                    let _ = self.context.hub.send(Input::Changed(self.site.clone()));
                }
                match stored.through {
                    Some(through) => self.send(Down::EventsStored { through }).await,
                    None => Ok(()),
                }
            }
            Up::CommandResult { command_id, outcome } => {
                self.orders.result(&command_id, outcome);
                Ok(())
            }
            Up::Receipt { receipt_jws } => self.receipt(&receipt_jws).await,
            Up::Equipment { equipment } => {
                Ok(self.context.storage.record_equipment(&self.controller, equipment, self.now()).await?)
            }
        }
    }

    async fn receipt(&mut self, jws: &str) -> Result<(), SessionError> {
        let keys = self.context.storage.receipt_keys(&self.controller).await?;
        let receipt = keys
            .iter()
            .find_map(|point| Verifier::p256_point(point).verify::<Receipt>(Use::Receipt, jws).ok())
            .filter(|receipt| receipt.controller == self.controller);
        let Some(receipt) = receipt else {
            tracing::warn!(controller = %self.controller, "a receipt that does not verify was refused");
            return Ok(());
        };
        if !receipt.verified {
            tracing::error!(controller = %self.controller, erasure = %receipt.erasure, "erased bytes remain in its files");
            self.context.storage.raise_alarm(&self.site, &self.controller, "erasure-traces-remain", self.now()).await?;
        }
        match self.context.storage.store_receipt(&receipt, jws, self.now()).await {
            Ok(complete) => {
                tracing::info!(controller = %self.controller, erasure = %receipt.erasure, complete, "receipt stored");
                self.send(Down::ReceiptStored { erasure: receipt.erasure }).await
            }
            Err(ReceiptError::Storage(error)) => Err(error.into()),
            Err(error @ ReceiptError::UnknownErasure) => {
                tracing::warn!(controller = %self.controller, %error, "receipt refused");
                Ok(())
            }
        }
    }

    async fn open(&mut self, order: Order) -> Result<(), SessionError> {
        let Some(live) = &self.live else { return Ok(()) }; // dropped: unreachable
        let wait = Duration::from_millis(self.context.settings.command_wait_ms);
        let boot_id = live.hello.boot_id.clone();
        let command = self.orders.take(order, boot_id, self.now(), wait);
        match command {
            Some(command) => self.send(Down::Command(command)).await,
            None => Ok(()),
        }
    }

    /// Without hooks into the broker, an order that goes unanswered is how a vanished controller is noticed.
    async fn overdue(&mut self) -> Result<(), SessionError> {
        let unanswered = self.orders.expire(Instant::now());
        if unanswered && self.connection.is_none() && self.live.is_some() {
            self.restart(RECONNECT_MS);
            self.forget().await;
        }
        Ok(())
    }

    pub(super) fn sealing_key(&self) -> Option<&SealingKey> {
        self.live.as_ref().map(|live| &live.hello.sealing_key)
    }
}
