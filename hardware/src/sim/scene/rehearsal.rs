//! A scene played in no time: the same clockwork and house, with whoever moves the boom calling the time.

use std::time::Duration;

use super::{Beyond, Player, Scene};
use crate::sim::physics::{House, HouseConfig};

/// A house and a scene, without wires. Parts and cameras do not exist here: what the scene asks of them is handed out.
#[derive(Debug)]
pub struct Rehearsal {
    /// The house.
    pub house: House,
    player: Player,
    noticed: u64,
    now: Duration,
}

impl Rehearsal {
    /// Before the first step.
    pub fn new(scene: &Scene, house: &HouseConfig) -> Self {
        Self { house: House::new(house), player: Player::new(scene), noticed: 0, now: Duration::ZERO }
    }

    /// Plays up to this time. What is asked of parts and cameras meanwhile is answered, in its order, with its time.
    pub fn advance(&mut self, now: Duration) -> Vec<(Duration, Beyond)> {
        let mut asked = Vec::new();
        loop {
            let next = [self.player.next_due(), self.house.next_event()].into_iter().flatten().min();
            let at = next.filter(|at| *at < now).unwrap_or(now).max(self.now);
            self.now = at;
            for happening in self.house.happenings(self.noticed, at) {
                self.noticed = happening.sequence;
                self.player.notice(happening.what, Duration::from_secs_f64(happening.at_ms / 1e3));
            }
            match self.player.take(at) {
                Some(act) => asked.extend(act.perform(&mut self.house, at).map(|beyond| (at, beyond))),
                None if at >= now => return asked,
                None => {}
            }
        }
    }

    /// Whether every step is done and everybody is gone.
    pub fn is_done(&mut self) -> bool {
        self.player.is_done() && self.house.population(self.now) == 0
    }
}
