//! What a session does with a message that it cannot take: it says so to those whom it concerns, and never goes on as if nothing
//! had come.

use std::time::Duration;

use cardea_protocol::envelope::Sender;
use cardea_protocol::id::SessionId;
use cardea_protocol::jws::Use;
use cardea_protocol::message::Down;
use cardea_protocol::version::Versions;
use tokio::time::Instant;

use super::session::{RECONNECT_AFTER_FAILURE_MS, Session, SessionError};

/// A controller that speaks no version of ours comes back after this, milliseconds: one of the two must be updated first.
const REFUSED_MS: u64 = 60_000;
/// The same alarm about a controller is raised again after this.
const ALARM_EVERY: Duration = Duration::from_hours(1);

impl Session {
    /// A rightly signed message is not understood.
    pub(super) async fn not_understood(&mut self) -> Result<(), SessionError> {
        self.restart(RECONNECT_AFTER_FAILURE_MS);
        self.alarm("message-not-understood").await
    }

    /// The same outside a session, or at the beginning of one.
    pub(super) async fn not_understood_in(&mut self, session: SessionId) -> Result<(), SessionError> {
        self.answer(session, Down::Reconnect { retry_ms: RECONNECT_AFTER_FAILURE_MS }).await?;
        self.alarm("message-not-understood").await
    }

    /// There is no version that both sides speak.
    pub(super) async fn refuse(&mut self, session: SessionId, spoken: Versions) -> Result<(), SessionError> {
        self.end_session();
        tracing::error!(
            controller = %self.controller,
            lowest = spoken.lowest(),
            highest = spoken.highest(),
            "it speaks no version of the messages that is spoken here: update it, or cardea-cloud"
        );
        self.answer(session, Down::Refused { versions: Versions::SPOKEN, retry_ms: REFUSED_MS }).await?;
        self.alarm("version-refused").await
    }

    /// Answers in a session that is not held here, believably: above whatever was said in it.
    pub(super) async fn answer(&self, session: SessionId, message: Down) -> Result<(), SessionError> {
        let above = u64::try_from(self.now().0).unwrap_or_default();
        let signer = self.context.signer.clone();
        let mut sender = Sender::above(signer, Use::Down, self.controller.clone(), session, above);
        let payload = sender.seal(self.now(), message)?;
        self.publish(payload).await
    }

    /// A message of a session that is over was refused. What was on its way when that ended comes late, until the controller
    /// has spoken in the next; after that, somebody has kept it.
    pub(super) async fn of_an_ended_session(&mut self) -> Result<(), SessionError> {
        if self.live.as_ref().is_some_and(|live| !live.begins()) {
            return self.alarm("message-replayed").await;
        }
        tracing::debug!(controller = %self.controller, "a message of an ended session was refused");
        Ok(())
    }

    /// Tells the operator that something is wrong with what comes in this controller's name, once in a while.
    pub(super) async fn alarm(&mut self, alarm: &'static str) -> Result<(), SessionError> {
        let now = Instant::now();
        if self.alarmed.get(alarm).is_some_and(|at| now.duration_since(*at) < ALARM_EVERY) {
            return Ok(());
        }
        tracing::warn!(controller = %self.controller, alarm, "a message was refused");
        self.context.storage.raise_alarm(&self.site, &self.controller, alarm, self.now()).await?;
        self.alarmed.insert(alarm, now);
        Ok(())
    }
}
