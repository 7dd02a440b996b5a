//! The one place that reads the clock: stage durations for reports. No decision depends on it.

use std::time::Instant;

/// Measures consecutive stages.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// Milliseconds since the start or the previous lap.
    pub(crate) fn lap_ms(&mut self) -> f32 {
        let previous = std::mem::replace(&mut self.0, now());
        self.0.duration_since(previous).as_secs_f32() * 1_000.0
    }
}

#[expect(clippy::disallowed_methods, reason = "durations of stages are reported, never decided upon")]
fn now() -> Instant {
    Instant::now()
}
