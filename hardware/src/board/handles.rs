//! The handles that the rest of a controller holds on a board's lines.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::Plan;
use crate::{Actuated, DeviceError, Health, Input, Output, Reading};

/// What an output is asked to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Set(bool),
    Pulse(Duration),
}

/// One request to the board's task. It is worth nothing after its deadline.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) output: usize,
    pub(super) action: Action,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<Actuated, DeviceError>>,
}

/// A handle on one output of a board.
pub(crate) struct BoardOutput {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) level: watch::Receiver<Option<bool>>,
    pub(super) health: watch::Receiver<Health>,
}

impl BoardOutput {
    async fn command(&self, action: Action) -> Result<Actuated, DeviceError> {
        let line = &self.plan.outputs[self.index];
        let what = match action {
            Action::Set(true) => format!("switch {:?} on", line.id),
            Action::Set(false) => format!("switch {:?} off", line.id),
            Action::Pulse(_) => format!("pulse {:?}", line.id),
        };
        let not_sent = |reason: &str| DeviceError::unreachable(&self.plan.device, &what, reason, false);
        match &*self.health.borrow() {
            Health::Up => {}
            Health::Starting => return Err(not_sent("first contact has not been made yet")),
            Health::Down { reason } => return Err(not_sent(reason)),
        }
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + self.plan.timing.deliver_within();
        self.commands
            .try_send(Command { output: self.index, action, deadline, reply })
            .map_err(|_| not_sent("its task is overloaded or has ended"))?;
        answer.await.unwrap_or_else(|_| Err(not_sent("its task has ended")))
    }
}

#[async_trait]
impl Output for BoardOutput {
    fn id(&self) -> &str {
        &self.plan.outputs[self.index].id
    }

    async fn set(&self, on: bool) -> Result<Actuated, DeviceError> {
        self.command(Action::Set(on)).await
    }

    async fn pulse(&self, on_for: Duration) -> Result<Actuated, DeviceError> {
        let line = &self.plan.outputs[self.index];
        if on_for.is_zero() || on_for > line.max_pulse {
            return Err(DeviceError::unsupported(
                &self.plan.device,
                &format!("pulse {:?} for {} ms", line.id, on_for.as_millis()),
                format!("a pulse lasts more than 0 and at most {} ms (max_pulse_ms)", line.max_pulse.as_millis()),
            ));
        }
        self.command(Action::Pulse(on_for)).await
    }

    fn state(&self) -> Option<bool> {
        *self.level.borrow()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}

/// A handle on one input of a board.
pub(crate) struct BoardInput {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) reading: watch::Receiver<Reading>,
    pub(super) health: watch::Receiver<Health>,
}

#[async_trait]
impl Input for BoardInput {
    fn id(&self) -> &str {
        &self.plan.inputs[self.index].id
    }

    async fn read(&self) -> Result<bool, DeviceError> {
        let known = self.reading.borrow().value;
        known.ok_or_else(|| {
            let reason = match &*self.health.borrow() {
                Health::Down { reason } => reason.clone(),
                Health::Starting | Health::Up => "it has not been read yet".into(),
            };
            DeviceError::unreachable(&self.plan.device, &format!("read {:?}", self.id()), reason, false)
        })
    }

    fn watch(&self) -> watch::Receiver<Reading> {
        self.reading.clone()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}
