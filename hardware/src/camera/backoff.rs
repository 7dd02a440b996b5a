//! How long to wait before a lost camera is tried again: exponential, with jitter, so that cameras which lost one switch do
//! not all come back to it at once.

use std::{sync::Arc, time::Duration};

/// The first wait; doubled up to [`LONGEST`] while the camera stays lost.
const FIRST: Duration = Duration::from_millis(100);
/// With the time of a connection, a camera that is back is seen again within five seconds.
const LONGEST: Duration = Duration::from_secs(2);

/// Where randomness comes from: a number from 0 to 1.
pub(crate) type Dice = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The waits of one camera.
pub(crate) struct Backoff {
    next: Duration,
    dice: Dice,
}

impl Backoff {
    pub(crate) fn new(dice: Dice) -> Self {
        Self { next: FIRST, dice }
    }

    /// How long to wait: between half of the present step and all of it. The next step is twice as long.
    pub(crate) fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        whole.mul_f64(0.5 + 0.5 * (self.dice)().clamp(0.0, 1.0))
    }

    /// The camera has given pictures: the next loss is a new one.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_limit_are_spread_by_the_dice_and_begin_anew() {
        let waits = |roll: f64| {
            let mut backoff = Backoff::new(Arc::new(move || roll));
            let waits: Vec<u128> = (0..8).map(|_| backoff.wait().as_millis()).collect();
            backoff.reset();
            assert_eq!(backoff.wait().as_millis(), waits[0]);
            waits
        };
        assert_eq!(waits(1.0), [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(waits(0.0), [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(waits(f64::INFINITY), waits(1.0), "loaded dice do no harm");
    }
}
