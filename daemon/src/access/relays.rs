//! Movements of a boom that take more than one relay: what is on is switched off first, and acknowledged, before anything is
//! switched on. Two relays on two boards have no other order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cardea_hardware::{Actuated, DeviceError, Output};

/// Counts the movements of one boom. A movement that is still switching off when the next is commanded switches nothing on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Movements(Arc<AtomicU64>);

impl Movements {
    /// A movement is commanded.
    pub(crate) fn next(&self) -> Movement {
        Movement { of: self.clone(), number: self.0.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

/// One movement.
#[derive(Debug)]
pub(crate) struct Movement {
    of: Movements,
    number: u64,
}

impl Movement {
    fn is_the_last(&self) -> bool {
        self.of.0.load(Ordering::Relaxed) == self.number
    }

    /// Switches `first` and `rest` off, then pulses `on`, if there is one. `only_if_off`: the pulse is left out where one of
    /// them could not be switched off, which is then the answer.
    pub(crate) async fn in_turn(
        self,
        first: Arc<dyn Output>,
        rest: Vec<Arc<dyn Output>>,
        on: Option<(Arc<dyn Output>, Duration)>,
        only_if_off: bool,
    ) -> Result<Actuated, DeviceError> {
        let mut off = first.set(false).await;
        for output in rest {
            let next = output.set(false).await;
            off = off.and(next);
        }
        match on {
            Some((on, on_for)) if self.is_the_last() && (off.is_ok() || !only_if_off) => {
                let pulsed = on.pulse(on_for).await;
                off.and(pulsed)
            }
            _ => off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use cardea_hardware::Health;
    use std::sync::Mutex;
    use tokio::sync::{Semaphore, watch};
    use tokio::time::Instant;

    /// A relay that writes down what it is told, acknowledges when it may, and can be broken.
    struct Relay {
        name: &'static str,
        log: Arc<Mutex<Vec<String>>>,
        acknowledge: Arc<Semaphore>,
        broken: bool,
    }

    impl Relay {
        async fn told(&self, what: &str) -> Result<Actuated, DeviceError> {
            self.log.lock().unwrap().push(format!("{} {what}", self.name));
            self.acknowledge.acquire().await.unwrap().forget();
            if self.broken {
                let (device, action) = (self.name.to_owned(), what.to_owned());
                return Err(DeviceError::Timeout { device, action, after_ms: 1, sent: true });
            }
            Ok(Actuated { at: Instant::now() })
        }
    }

    #[async_trait]
    impl Output for Relay {
        fn id(&self) -> &str {
            self.name
        }
        async fn set(&self, on: bool) -> Result<Actuated, DeviceError> {
            self.told(if on { "on" } else { "off" }).await
        }
        async fn pulse(&self, _: Duration) -> Result<Actuated, DeviceError> {
            self.told("pulse").await
        }
        fn state(&self) -> Option<bool> {
            None
        }
        fn health(&self) -> watch::Receiver<Health> {
            watch::channel(Health::Up).1
        }
    }

    struct Bench {
        log: Arc<Mutex<Vec<String>>>,
        acknowledge: Arc<Semaphore>,
    }

    impl Bench {
        fn new(acknowledgements: usize) -> Self {
            Self { log: Arc::default(), acknowledge: Arc::new(Semaphore::new(acknowledgements)) }
        }

        fn relay(&self, name: &'static str, broken: bool) -> Arc<dyn Output> {
            Arc::new(Relay { name, log: Arc::clone(&self.log), acknowledge: Arc::clone(&self.acknowledge), broken })
        }

        fn log(&self) -> Vec<String> {
            self.log.lock().unwrap().clone()
        }
    }

    const MS: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn a_reversal_pulses_only_when_the_other_direction_is_known_to_be_off() {
        let bench = Bench::new(0);
        let on = Some((bench.relay("open", false), MS));
        let work = tokio::spawn(Movements::default().next().in_turn(bench.relay("close", false), Vec::new(), on, true));
        while bench.log().is_empty() {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.log(), ["close off"], "nothing before the acknowledgement");
        bench.acknowledge.add_permits(2);
        work.await.unwrap().unwrap();
        assert_eq!(bench.log(), ["close off", "open pulse"]);
    }

    #[tokio::test]
    async fn a_relay_that_cannot_be_switched_off_forbids_the_other_direction_but_no_stop() {
        let bench = Bench::new(9);
        let on = Some((bench.relay("open", false), MS));
        let reversed = Movements::default().next().in_turn(bench.relay("close", true), Vec::new(), on, true).await;
        assert!(reversed.is_err());
        assert_eq!(bench.log(), ["close off"]);

        let bench = Bench::new(9);
        let on = Some((bench.relay("stop", false), MS));
        let close = vec![bench.relay("close", false)];
        assert!(Movements::default().next().in_turn(bench.relay("open", true), close, on, false).await.is_err());
        assert_eq!(bench.log(), ["open off", "close off", "stop pulse"]);
    }

    #[tokio::test]
    async fn a_movement_that_was_overtaken_switches_nothing_on() {
        let bench = Bench::new(9);
        let movements = Movements::default();
        let reversal = movements.next();
        let _stop = movements.next();
        let on = Some((bench.relay("open", false), MS));
        reversal.in_turn(bench.relay("close", false), Vec::new(), on, true).await.unwrap();
        assert_eq!(bench.log(), ["close off"]);
    }
}
