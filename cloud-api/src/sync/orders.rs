//! Orders to open that wait for their outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use cardea_protocol::Timestamp;
use cardea_protocol::id::{BootId, CommandId};
use cardea_protocol::message::{Command, CommandOutcome, MAX_COMMAND_LIFE_MS};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::OpenError;
use super::hub::Order;

struct Waiting {
    reply: oneshot::Sender<Result<CommandOutcome, OpenError>>,
    deadline: Instant,
    accepted: bool,
}

impl Waiting {
    /// What is known when no more will be: an accepted order whose mechanism was not confirmed, or nothing at all.
    fn conclude(self) -> bool {
        let outcome = if self.accepted { Ok(CommandOutcome::Accepted) } else { Err(OpenError::Unanswered) };
        let _ = self.reply.send(outcome);
        !self.accepted
    }
}

/// The orders of one controller.
#[derive(Default)]
pub(super) struct Orders {
    waiting: BTreeMap<CommandId, Waiting>,
}

impl Orders {
    /// Takes an order and makes the command for it. `None` if that very command is under way.
    pub(super) fn take(&mut self, order: Order, boot_id: BootId, now: Timestamp, wait: Duration) -> Option<Command> {
        if self.waiting.contains_key(&order.command_id) {
            return None;
        }
        let life_ms = i64::try_from(wait.as_millis()).unwrap_or(MAX_COMMAND_LIFE_MS).min(MAX_COMMAND_LIFE_MS);
        let waiting = Waiting { reply: order.reply, deadline: Instant::now() + wait, accepted: false };
        self.waiting.insert(order.command_id.clone(), waiting);
        Some(Command {
            command_id: order.command_id,
            boot_id,
            access_point: order.access_point,
            expires_at: now.plus_ms(life_ms),
        })
    }

    /// A controller's word on an order. One that nobody waits for (late, or repeated) changes nothing.
    pub(super) fn result(&mut self, command_id: &CommandId, outcome: CommandOutcome) {
        if outcome == CommandOutcome::Accepted {
            if let Some(waiting) = self.waiting.get_mut(command_id) {
                waiting.accepted = true;
            }
        } else if let Some(waiting) = self.waiting.remove(command_id) {
            let _ = waiting.reply.send(Ok(outcome));
        }
    }

    /// When the next order gives up waiting.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    /// Concludes what has waited long enough; whether any of it was never answered.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let due: Vec<CommandId> =
            self.waiting.iter().filter(|(_, waiting)| waiting.deadline <= now).map(|(id, _)| id.clone()).collect();
        let mut unanswered = false;
        for id in due {
            unanswered |= self.waiting.remove(&id).is_some_and(Waiting::conclude);
        }
        unanswered
    }

    /// The session has ended: nothing more will be heard.
    pub(super) fn abandon(&mut self) {
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            waiting.conclude();
        }
    }
}
