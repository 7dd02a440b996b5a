//! Debouncing: a level counts once it has stayed for the configured time.

use std::time::Duration;

use tokio::time::Instant;

/// Debounces one input by its polled levels.
#[derive(Debug)]
pub(super) struct Debouncer {
    hold: Duration,
    stable: Option<bool>,
    /// A level other than `stable`, and when it was first seen.
    candidate: Option<(bool, Instant)>,
}

impl Debouncer {
    pub(super) fn new(hold: Duration) -> Self {
        Self { hold, stable: None, candidate: None }
    }

    /// Takes a polled level. Answers the new level, and when it was first seen, if it has become the stable one. The first
    /// level after a start or [`Self::forget`] counts at once: it is better than unknown.
    pub(super) fn feed(&mut self, level: bool, now: Instant) -> Option<(bool, Instant)> {
        if self.stable == Some(level) {
            self.candidate = None;
            return None;
        }
        let since = match self.candidate {
            Some((seen, since)) if seen == level => since,
            _ => now,
        };
        if self.stable.is_some() && now.duration_since(since) < self.hold {
            self.candidate = Some((level, since));
            return None;
        }
        self.stable = Some(level);
        self.candidate = None;
        Some((level, since))
    }

    /// When the level that is being watched will have stayed for long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.candidate.map(|(_, since)| since + self.hold)
    }

    /// Back to unknown.
    pub(super) fn forget(&mut self) {
        self.stable = None;
        self.candidate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_counts_after_it_stayed_and_is_dated_from_its_first_sight() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut contact = Debouncer::new(Duration::from_millis(20));
        assert_eq!(contact.feed(false, at(0)), Some((false, at(0))), "the first level counts at once");
        assert_eq!(contact.feed(true, at(10)), None);
        assert_eq!(contact.feed(false, at(15)), None, "a bounce");
        assert_eq!(contact.feed(true, at(20)), None, "starts again");
        assert_eq!(contact.feed(true, at(39)), None);
        assert_eq!(contact.due(), Some(at(40)));
        assert_eq!(contact.feed(true, at(40)), Some((true, at(20))));
        assert_eq!(contact.feed(true, at(50)), None);
        contact.forget();
        assert_eq!(contact.feed(true, at(60)), Some((true, at(60))));
    }

    #[test]
    fn no_hold_means_every_change_counts() {
        let start = Instant::now();
        let mut button = Debouncer::new(Duration::ZERO);
        assert!(button.feed(false, start).is_some());
        assert!(button.feed(true, start).is_some());
        assert!(button.feed(false, start).is_some());
    }
}
