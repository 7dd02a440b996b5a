//! How a lost camera is tried again: after waits that double, with jitter, so that cameras which lost one switch do not all come
//! back to it at once.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use crate::DeviceError;

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

    /// The camera was there: the next loss is a new one.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// What a stream is read into: pictures, or events.
pub(crate) trait Kept: Send + Sync + 'static {
    /// Names the camera in errors.
    fn device(&self) -> &str;

    /// Counts what streams were good for. One that was good for something makes its end a new loss.
    fn of_use(&self) -> u64;

    /// The stream has ended, and why.
    fn lost(&self, error: &DeviceError);
}

/// Opens a stream again and again; `open` reads one until it ends, and answers why it did. Each runs in a task of its own, so
/// that whatever a library makes of a camera's nonsense ends that stream and no more.
pub(crate) async fn keep_open<K, Open, Reading>(kept: Arc<K>, dice: Dice, open: Open)
where
    K: Kept,
    Open: Fn(Arc<K>) -> Reading,
    Reading: Future<Output = DeviceError> + Send + 'static,
{
    let mut backoff = Backoff::new(dice);
    loop {
        let before = kept.of_use();
        // Dropped, it ends its task.
        let mut reading = JoinSet::new();
        reading.spawn(open(kept.clone()));
        let ended = match reading.join_next().await {
            Some(Ok(error)) => error,
            _ => DeviceError::protocol(kept.device(), "stream", "what it sent made its driver fail"),
        };
        kept.lost(&ended);
        if kept.of_use() > before {
            backoff.reset();
        }
        sleep(backoff.wait()).await;
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
