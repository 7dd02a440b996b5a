//! One session with the cloud over one connection: carries out what [`Session`] says, and brings to it what the rest of
//! the controller has to tell.

use std::time::Duration;

use cardea_access::time::Timestamp;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::cose::CoseError;
use cardea_protocol::envelope::{EnvelopeError, Receiver, Sender};
use cardea_protocol::event::{AccessDecision, EventKind, Timings};
use cardea_protocol::id::{CommandId, SessionId};
use cardea_protocol::jws::{JwsError, Signer, Use};
use cardea_protocol::message::{Command, CommandOutcome, Down, Hello, Receipt, StalenessLimits, Up};
use cardea_protocol::rfc3339;
use cardea_protocol::version::Versions;
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::network::{Link, LinkError};
use super::session::{End, Session, Step};
use super::{SyncStatus, SyncTask};
use crate::identity::files::FileError;
use crate::identity::{Identity, IdentityError, renew};
use crate::seam::{CommandRequest, HoldingsVersion, now_above};
use crate::store::{Applied, ApplyError, StoreError};

/// How often overdue things are looked at.
const TICK: Duration = Duration::from_secs(5);
/// A cloud that says nothing for so many freshness intervals has forgotten this session…
const SILENT_INTERVALS: u32 = 3;
/// …but is given this time at least.
const SILENT_AT_LEAST: Duration = Duration::from_secs(10);
/// A hello is answered at once. A broker that was restarted may have taken it before the cloud was there to hear it.
const UNANSWERED: Duration = Duration::from_secs(30);
/// How often the clock floor is raised, and the certificate's age looked at.
const UPKEEP: Duration = Duration::from_mins(1);
/// A gate that has not followed a change for so long stands still.
const GATE_PATIENCE: Duration = Duration::from_secs(10);
/// Clocks that are set differ by less than this, milliseconds.
const CLOUD_AHEAD_MS: i64 = 300_000;
/// Outcomes of one command: accepted, then one more.
const OUTCOMES: usize = 4;
/// The access task still works on another order; nothing waits.
const BUSY: &str = "busy";
/// The access task gave an order up without a word.
const NOT_DONE: &str = "not-done";

/// Why a session ended other than by cancellation.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConversationError {
    /// The rules of the session.
    #[error(transparent)]
    Ended(#[from] End),
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A message of the cloud is not what it should be.
    #[error("a message was not signed by the cloud this controller was claimed for, or cannot be understood")]
    Envelope(#[source] EnvelopeError),
    /// Messages were withheld or lost on the way: a revocation may be among them.
    #[error("message {got} of the cloud came where {expected} was due")]
    Missing {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// A message could not be signed.
    #[error(transparent)]
    Sign(#[from] CoseError),
    /// A receipt could not be signed.
    #[error(transparent)]
    Receipt(#[from] JwsError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A batch was refused.
    #[error("the cloud's changes were not applied")]
    Apply(#[from] ApplyError),
    /// The access task stands still.
    #[error("the gate does not follow what the cloud has changed; the cloud is told nothing meanwhile")]
    Gate,
    /// Nothing came.
    #[error("the cloud has said nothing for {0:?}")]
    Silent(Duration),
    /// A renewed certificate is to be tried.
    #[error("the certificate was renewed; it is used from now on")]
    Renewed,
}

/// A session under way.
pub(super) struct Conversation<'a> {
    task: &'a mut SyncTask,
    identity: Identity,
    link: Box<dyn Link>,
    sender: Sender,
    receiver: Receiver,
    signer: Signer,
    session: Session,
    outcomes: mpsc::Sender<(CommandId, CommandOutcome)>,
    /// Commands waiting for their outcome. Ends with the session: nobody would hear it.
    waiting: JoinSet<()>,
    renewal: JoinSet<Result<(), renew::RenewError>>,
    heard_at: Instant,
    /// The number of the last message of the cloud.
    last_seq: u64,
    /// Whether the cloud has answered at all.
    pub(super) heard: bool,
}

impl<'a> Conversation<'a> {
    /// Says hello over `link`.
    pub(super) async fn begin(
        task: &'a mut SyncTask,
        identity: Identity,
        link: Box<dyn Link>,
    ) -> Result<(Self, mpsc::Receiver<(CommandId, CommandOutcome)>), ConversationError> {
        let signer = identity.signer()?;
        let session_id = SessionId::from_random_bytes(task.rng.random());
        let controller = identity.controller().clone();
        gate_follows(task).await?;
        let standing = task.store.standing().await?;
        let hello = Hello {
            versions: Versions::SPOKEN,
            boot_id: task.links.boot_id.clone(),
            cursor: standing.cursor,
            digest: standing.digest.clone(),
            sealing_key: identity.sealing_key.clone(),
            embedder: task.embedder.clone(),
            staleness: task.staleness,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            equipment: task.links.equipment.borrow_and_update().clone(),
        };
        let (outcomes, outcomes_receiver) = mpsc::channel(OUTCOMES);
        let mut conversation = Self {
            sender: Sender::new(signer.clone(), Use::Up, controller.clone(), session_id.clone()),
            receiver: Receiver::new(identity.verifier()?, Use::Down, controller, session_id),
            session: Session::new(standing.cursor, standing.digest.clone()),
            task,
            identity,
            link,
            signer,
            outcomes,
            waiting: JoinSet::new(),
            renewal: JoinSet::new(),
            heard_at: Instant::now(),
            last_seq: 0,
            heard: false,
        };
        conversation.send(Up::Hello(hello)).await?;
        Ok((conversation, outcomes_receiver))
    }

    /// Keeps the session until it fails or is cancelled.
    pub(super) async fn hold(
        &mut self,
        mut outcomes: mpsc::Receiver<(CommandId, CommandOutcome)>,
        cancel: &CancellationToken,
    ) -> Result<(), ConversationError> {
        let mut outbox = self.task.store.outbox_grew();
        let mut equipment = self.task.links.equipment.clone();
        let mut gallery = self.task.links.gallery_at.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut upkeep = tokio::time::interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        upkeep.reset();
        self.sign_receipts().await?;
        loop {
            tokio::select! {
                // In order, and the cloud last: what the others bring is bounded by themselves, what it sends is not.
                biased;
                () = cancel.cancelled() => return Ok(()),
                Some((command_id, outcome)) = outcomes.recv() => {
                    self.send(Up::CommandResult { command_id, outcome }).await?;
                }
                Ok(()) = outbox.changed() => self.pump_events().await?,
                Ok(()) = equipment.changed() => {
                    let equipment = equipment.borrow_and_update().clone();
                    self.send(Up::Equipment { equipment }).await?;
                }
                Ok(()) = gallery.changed() => self.sign_receipts().await?,
                _ = tick.tick() => self.look_after().await?,
                _ = upkeep.tick() => self.upkeep().await,
                Some(renewed) = self.renewal.join_next() => match renewed {
                    Ok(Ok(())) => return Err(ConversationError::Renewed),
                    Ok(Err(error)) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the certificate was not renewed; it is tried again"
                    ),
                    Err(error) => tracing::error!(%error, "the renewal broke off"),
                },
                payload = self.link.next() => {
                    let payload = payload?;
                    self.message(&payload).await?;
                    self.link.acknowledge().await?;
                }
            }
        }
    }

    /// Ends the connection politely.
    pub(super) async fn leave(self) {
        self.link.leave().await;
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), ConversationError> {
        let received = self.task.clock.monotonic();
        let envelope = match self.receiver.open::<Down>(payload) {
            Ok(envelope) => envelope,
            // Late, from the session before: the cloud had not read the hello yet.
            Err(EnvelopeError::Session) if !self.heard => return Ok(()),
            Err(error @ (EnvelopeError::Session | EnvelopeError::Replayed { .. })) => {
                tracing::warn!(%error, "a message was refused");
                self.task.alarm("message-replayed");
                return Ok(());
            }
            Err(error) => {
                self.task.alarm(match error {
                    EnvelopeError::Cose(_) => "message-forged",
                    EnvelopeError::Address => "message-misdirected",
                    _ => "message-not-understood",
                });
                return Err(ConversationError::Envelope(error));
            }
        };
        let expected = self.last_seq + 1;
        self.last_seq = envelope.seq;
        // What ends the session may come from a cloud that has forgotten it, and its numbers with it.
        let ends = matches!(envelope.message, Down::Reconnect { .. } | Down::Refused { .. });
        if envelope.seq != expected && !ends {
            self.task.alarm("message-missing");
            return Err(ConversationError::Missing { expected, got: envelope.seq });
        }
        self.heard_at = Instant::now();
        if !self.heard && !matches!(envelope.message, Down::Refused { .. }) {
            self.first_heard().await?;
        }
        let steps = self.session.message(envelope.message, received);
        self.carry_out(steps).await
    }

    async fn first_heard(&mut self) -> Result<(), ConversationError> {
        self.heard = true;
        if self.identity.is_candidate {
            renew::promote(&self.task.state)?;
            self.identity.is_candidate = false;
            tracing::info!("the renewed certificate has worked and is kept");
        }
        tracing::info!(controller = %self.identity.controller(), "online");
        self.task.outbox.push(None, EventKind::Controller { state: "online".to_owned() });
        self.state_online();
        self.upkeep().await;
        Ok(())
    }

    async fn carry_out(&mut self, steps: Vec<Step>) -> Result<(), ConversationError> {
        for step in steps {
            match step {
                Step::Send(message) => self.send(message).await?,
                Step::Changes(batch) => {
                    let applied = self.task.store.apply_changes(self.identity.opener.clone(), batch).await?;
                    self.applied(applied).await?;
                }
                Step::Snapshot(snapshot) => {
                    let applied = self.task.store.apply_snapshot(self.identity.opener.clone(), snapshot).await;
                    if let Err(ApplyError::Rollback { .. }) = &applied {
                        self.task.outbox.push(None, EventKind::Alarm { alarm: "rollback-refused".to_owned() });
                    }
                    self.applied(applied?).await?;
                }
                Step::Restate => {
                    let standing = self.task.store.standing().await?;
                    self.send(Up::Applied { revision: standing.cursor, digest: standing.digest }).await?;
                }
                Step::Freshness { revision, at, received } => {
                    let at = believed(at, &self.task.clock, self.task.staleness);
                    self.task.store.keep_freshness(revision, at, received).await?;
                }
                Step::Command(command) => self.command(command).await?,
                Step::EventsStored(through) => {
                    self.task.store.events_stored(through).await?;
                    self.pump_events().await?;
                }
                Step::ReceiptStored(erasure) => self.task.store.receipt_stored(&erasure).await?,
                Step::End(end) => return Err(end.into()),
            }
        }
        Ok(())
    }

    async fn applied(&mut self, applied: Applied) -> Result<(), ConversationError> {
        if applied.left_out > 0 {
            tracing::error!(
                left_out = applied.left_out,
                "templates are not sealed to this controller and are not held"
            );
        }
        gate_follows(self.task).await?;
        let before = self.session.in_sync();
        let steps = self.session.applied(&applied);
        if self.session.in_sync() == Some(false) {
            tracing::warn!(revision = %applied.revision, "what is held differs from what the cloud has");
        }
        if self.session.in_sync() != before {
            self.state_online();
        }
        // Steps of an applied batch are messages and statements; none leads back here.
        Box::pin(self.carry_out(steps)).await?;
        if applied.erased.is_empty() { Ok(()) } else { self.sign_receipts().await }
    }

    /// Records the order, then hands it to the access task, or says at once that nothing is done.
    async fn command(&mut self, command: Command) -> Result<(), ConversationError> {
        let now = now_above(&self.task.clock, self.task.store.clock_floor()).wall;
        let first_seen = self.task.store.record_command(&command.command_id, command.expires_at, now).await?;
        let (outcome, results) = mpsc::channel(OUTCOMES);
        let (command_id, access_point) = (command.command_id.clone(), command.access_point.clone());
        match self.task.links.commands.try_send(CommandRequest { command, first_seen, outcome }) {
            Ok(()) => {
                self.waiting.spawn(forward(command_id, results, self.outcomes.clone()));
                Ok(())
            }
            Err(_) => {
                self.task.outbox.push(Some(access_point), refused(&command_id, BUSY));
                let outcome = CommandOutcome::Refused { reason: BUSY.to_owned() };
                self.send(Up::CommandResult { command_id, outcome }).await
            }
        }
    }

    async fn pump_events(&mut self) -> Result<(), ConversationError> {
        let now = self.task.clock.monotonic();
        if !self.session.wants_events(now) {
            return Ok(());
        }
        let events = self.task.store.events(0).await?;
        match self.session.events(events, now) {
            Some(step) => Box::pin(self.carry_out(vec![step])).await,
            None => Ok(()),
        }
    }

    /// Signs the receipts of erasures which the access task has followed, and sends them.
    async fn sign_receipts(&mut self) -> Result<(), ConversationError> {
        let (version, unsigned) = self.task.store.unsigned_erasures().await?;
        if *self.task.links.gallery_at.borrow() < version {
            return Ok(());
        }
        for pending in unsigned {
            let receipt = Receipt {
                erasure: pending.erasure.clone(),
                controller: self.identity.controller().clone(),
                revision: pending.revision,
                templates_erased: pending.templates_erased,
                verified: pending.verified,
                at: self.task.clock.now(),
            };
            let receipt_jws = self.signer.sign(Use::Receipt, &receipt)?;
            self.task.store.keep_receipt(&pending.erasure, receipt_jws.clone()).await?;
            self.task.outbox.push(None, EventKind::Erased { erasure: pending.erasure });
            self.send(Up::Receipt { receipt_jws }).await?;
        }
        Ok(())
    }

    /// What was not acknowledged is sent again; a cloud that has fallen silent is left.
    async fn look_after(&mut self) -> Result<(), ConversationError> {
        let interval = Duration::from_millis(self.identity.cloud.configuration.freshness_interval_ms);
        let longest = if self.heard { Duration::MAX } else { UNANSWERED };
        let limit = interval.saturating_mul(SILENT_INTERVALS).max(SILENT_AT_LEAST).min(longest);
        if self.heard_at.elapsed() > limit {
            return Err(ConversationError::Silent(limit));
        }
        let now = self.task.clock.monotonic();
        if self.session.wants_receipts(now) {
            let receipts = self.task.store.receipts().await?;
            let steps = self.session.receipts(receipts, now);
            self.carry_out(steps).await?;
        }
        self.pump_events().await
    }

    async fn upkeep(&mut self) {
        self.task.raise_clock_floor().await;
        let due = renew::is_due(&self.identity.credential, self.task.clock.now());
        if due && self.heard && self.renewal.is_empty() && self.task.may_renew() {
            let (state, identity, network) =
                (self.task.state.clone(), self.identity.clone(), self.task.network.clone());
            self.renewal.spawn(async move { renew::renew(&state, &identity, &*network).await });
        }
    }

    async fn send(&mut self, message: Up) -> Result<(), ConversationError> {
        let payload = self.sender.seal(self.task.clock.now(), message)?;
        Ok(self.link.publish(payload).await?)
    }

    fn state_online(&self) {
        self.task.tell(SyncStatus::Online { in_sync: self.session.in_sync() });
    }
}

/// Waits until the gate decides by all that the store holds: a block that was applied and is not yet followed is not in force,
/// so nothing is acknowledged before, and no statement counts. A gate that knows nobody yet, because its models are being
/// loaded, lets nobody in and is not waited for.
async fn gate_follows(task: &mut SyncTask) -> Result<(), ConversationError> {
    let version = *task.store.holdings_version().borrow();
    let follows = task.links.gallery_at.wait_for(|at| *at >= version || *at == HoldingsVersion::default());
    match tokio::time::timeout(GATE_PATIENCE, follows).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(ConversationError::Gate),
    }
}

/// The date of a statement, but none that is far ahead of a clock here that is known to be set: the date outlives the
/// statement, as time that has certainly passed, and the cloud's clock may stand wrong for a moment. By as much as it was ahead, each
/// later statement is old when it comes: so by half of the shortest limit at most, or nothing with that limit would open again.
fn believed(at: Timestamp, clock: &SharedClock, limits: StalenessLimits) -> Timestamp {
    if !clock.is_set() {
        return at;
    }
    let shortest = [limits.plate_s, limits.face_s, limits.card_s].into_iter().flatten().min();
    let ahead_ms = shortest.map_or(CLOUD_AHEAD_MS, |limit_s| CLOUD_AHEAD_MS.min(i64::from(limit_s) * 500));
    let latest = clock.now().plus_ms(ahead_ms);
    if at > latest {
        tracing::warn!(cloud = %rfc3339::format(at), "the cloud's clock is ahead of this one: its date is not believed");
    }
    at.min(latest)
}

/// Brings a command's outcomes back; an order given up is an answer too.
async fn forward(
    command_id: CommandId,
    mut results: mpsc::Receiver<CommandOutcome>,
    outcomes: mpsc::Sender<(CommandId, CommandOutcome)>,
) {
    let mut accepted = false;
    while let Some(outcome) = results.recv().await {
        let is_final = outcome != CommandOutcome::Accepted;
        accepted = true;
        if outcomes.send((command_id.clone(), outcome)).await.is_err() || is_final {
            return;
        }
    }
    let outcome =
        if accepted { CommandOutcome::NotConfirmed } else { CommandOutcome::Refused { reason: NOT_DONE.to_owned() } };
    let _ = outcomes.send((command_id, outcome)).await;
}

fn refused(command_id: &CommandId, reason: &str) -> EventKind {
    EventKind::AccessDecision(AccessDecision {
        credential: "remote".to_owned(),
        granted: false,
        reason: reason.to_owned(),
        plate_id: None,
        card_id: None,
        subject: None,
        command_id: Some(command_id.clone()),
        score: None,
        threshold: None,
        liveness: None,
        ends_at: None,
        timings: Timings::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_protocol::clock::ManualClock;

    #[test]
    fn a_cloud_whose_clock_jumps_ahead_does_not_take_the_time_here_with_it() {
        let clock = ManualClock::at(Timestamp(1_000_000_000));
        let shared: SharedClock = clock.clone();
        let long = StalenessLimits { face_s: Some(86_400), ..StalenessLimits::default() };
        let told = |after_ms| believed(Timestamp(1_000_000_000 + after_ms), &shared, long).0 - 1_000_000_000;
        assert_eq!((told(-500), told(1_000), told(CLOUD_AHEAD_MS)), (-500, 1_000, CLOUD_AHEAD_MS));
        assert_eq!(told(365 * 86_400_000), CLOUD_AHEAD_MS);
        let short = StalenessLimits { card_s: Some(120), ..long };
        let told_short = believed(Timestamp(1_000_200_000), &shared, short).0 - 1_000_000_000;
        assert_eq!(told_short, 60_000, "a card that counts for two minutes must count again once the cloud is right");
        clock.say_set(false);
        assert_eq!(told(365 * 86_400_000), 365 * 86_400_000, "a board without a battery has no time of its own");
    }
}
