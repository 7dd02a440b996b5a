//! Faults: how a part can misbehave.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How a part misbehaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// It does everything, but late by this much. What was asked takes effect late, too.
    Slow {
        /// The delay in milliseconds.
        ms: u64,
    },
    /// Connections break at once, open ones and new ones: a board without power behind a live switch.
    Dead,
    /// Connections stay open, requests arrive, nothing is done and nothing is answered.
    Silent,
    /// It does what it is asked, but what it sends is nonsense.
    Garbage,
    /// It sends its clients elsewhere.
    Redirect,
    /// What it says of a size is not true, by far.
    Lying,
    /// It stops in the middle of a picture.
    Halved,
    /// Its stream goes on, its picture does not.
    Frozen,
    /// It begins with what is over, as fast as the line carries it.
    Backlog,
}

impl Fault {
    /// Its name, as the control API and scene files call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow { .. } => "slow",
            Self::Dead => "dead",
            Self::Silent => "silent",
            Self::Garbage => "garbage",
            Self::Redirect => "redirect",
            Self::Lying => "lying",
            Self::Halved => "halved",
            Self::Frozen => "frozen",
            Self::Backlog => "backlog",
        }
    }
}

/// A fault that can be switched while others watch.
#[derive(Debug)]
pub(super) struct FaultSwitch(watch::Sender<Fault>);

impl Default for FaultSwitch {
    fn default() -> Self {
        Self(watch::Sender::new(Fault::None))
    }
}

impl FaultSwitch {
    pub(super) fn set(&self, fault: Fault) {
        self.0.send_replace(fault);
    }

    pub(super) fn get(&self) -> Fault {
        *self.0.borrow()
    }

    /// Waits until the fault is one that `wanted` accepts; at once if it is already.
    pub(super) async fn until(&self, wanted: impl FnMut(&Fault) -> bool) {
        // The sender lives as long as this switch, so the wait does not fail.
        let _ = self.0.subscribe().wait_for(wanted).await.map(drop);
    }
}
