//! Who may be connected at a time. Whoever has said who it is stays; of the others, the newest is the likeliest to say so soon.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::AbortHandle;

/// The connections of one kind of caller, oldest first.
pub(super) struct Slots {
    most: usize,
    open: VecDeque<(Arc<AtomicBool>, AbortHandle)>,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: VecDeque::with_capacity(most) }
    }

    /// Makes room for one more: where there is none, the connection ends that has been here longest without being known.
    /// False if all are known.
    pub(super) fn make_room(&mut self) -> bool {
        self.open.retain(|(_, task)| !task.is_finished());
        if self.open.len() < self.most {
            return true;
        }
        let unknown = self.open.iter().position(|(known, _)| !known.load(Ordering::Acquire));
        let Some((_, task)) = unknown.and_then(|i| self.open.remove(i)) else { return false };
        task.abort();
        true
    }

    /// Takes a place in the room that was made: `known` says when it has shown who it is.
    pub(super) fn fill(&mut self, known: Arc<AtomicBool>, task: AbortHandle) {
        self.open.push_back((known, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_takes_the_place_of_the_longest_unknown_and_never_of_a_known_one() {
        let mut slots = Slots::new(2);
        let mut come = |known: bool| {
            let room = slots.make_room();
            let task = tokio::spawn(std::future::pending::<()>());
            if room {
                slots.fill(Arc::new(AtomicBool::new(known)), task.abort_handle());
            }
            (room, task)
        };
        let ((_, first), (_, second)) = (come(true), come(false));
        let (room, third) = come(true);
        assert!(room && second.await.unwrap_err().is_cancelled());
        assert!(!come(false).0, "both are known");
        assert!(!first.is_finished() && !third.is_finished());
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(come(false).0, "what has ended makes room");
    }
}
