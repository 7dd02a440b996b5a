//! One car: where it is at any moment, and when its ends will be where.

use std::time::Duration;

use super::lane::CarPlan;

const NANOS: i128 = 1_000_000_000;

/// A place or a length in metres as whole micrometres.
pub(super) fn micrometres(metres: f64) -> i64 {
    (metres * 1e6).round() as i64
}

/// Whole micrometres as metres.
pub(super) fn metres(micrometres: i64) -> f64 {
    micrometres as f64 / 1e6
}

/// The ends of a car, in micrometres past the boom in its own direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pose {
    pub(super) front: i64,
    pub(super) rear: i64,
}

/// What the driver is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Driving,
    Standing { until: Duration },
    Reversing,
}

#[derive(Debug)]
pub(super) struct Car {
    pub(super) plan: CarPlan,
    pub(super) phase: Phase,
    /// It stands at the stop line.
    pub(super) waiting: bool,
    /// It has driven past the stop line.
    pub(super) in_lane: bool,
    /// Its nose has been under the boom.
    pub(super) entered: bool,
    /// It has stopped under the boom, as it meant to.
    pub(super) stood: bool,
    pub(super) passed: bool,
    /// The plate camera has seen it.
    pub(super) seen: bool,
    /// It drove into the boom.
    pub(super) hit: bool,
    /// Where its nose was when it began to move as it does, and when that was.
    from: i64,
    since: Duration,
    /// Micrometres a second; below 0 backwards.
    speed: i64,
}

impl Car {
    pub(super) fn new(plan: CarPlan, front: i64, now: Duration) -> Self {
        Self {
            plan,
            phase: Phase::Driving,
            waiting: false,
            in_lane: false,
            entered: false,
            stood: false,
            passed: false,
            seen: false,
            hit: false,
            from: front,
            since: now,
            speed: 0,
        }
    }

    pub(super) fn length(&self) -> i64 {
        micrometres(self.plan.length_m.clamp(1.0, 25.0))
    }

    pub(super) fn gap(&self) -> i64 {
        micrometres(self.plan.gap_m.clamp(0.1, 100.0))
    }

    /// As fast as its driver likes to go, in micrometres a second.
    pub(super) fn top_speed(&self) -> i64 {
        (self.plan.speed_kmh.clamp(1.0, 100.0) / 3.6 * 1e6).round() as i64
    }

    pub(super) fn speed(&self) -> i64 {
        self.speed
    }

    /// Where its nose stops to stand in the middle under the boom, if it means to.
    pub(super) fn stand_at(&self) -> Option<i64> {
        (self.plan.stands.is_some() || self.plan.backs_out).then(|| self.length() / 2)
    }

    pub(super) fn pose(&self, now: Duration) -> Pose {
        let passed = nanos(now.saturating_sub(self.since));
        let way = i128::from(self.speed.abs()) * passed / NANOS;
        let front = self.from + self.speed.signum() * i64::try_from(way).unwrap_or(i64::MAX / 4);
        Pose { front, rear: front - self.length() }
    }

    /// Moves at another speed from now on.
    pub(super) fn go(&mut self, speed: i64, now: Duration) {
        if speed != self.speed {
            self.from = self.pose(now).front;
            self.since = now;
            self.speed = speed;
        }
    }

    /// Whether the driver has stood for as long as they wait.
    pub(super) fn out_of_patience(&self, now: Duration) -> bool {
        self.gives_up_at().is_some_and(|at| at <= now)
    }

    fn gives_up_at(&self) -> Option<Duration> {
        let before_the_boom = self.speed == 0 && self.phase == Phase::Driving && !self.in_lane;
        self.plan.waits.filter(|_| before_the_boom).map(|waits| self.since + waits)
    }

    /// When the driver wants to decide again because of the time.
    pub(super) fn timer(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Standing { until } => Some(until),
            _ => self.gives_up_at().filter(|at| *at > now),
        }
    }

    /// When its nose or its tail reaches a mark, or, backwards, has left it.
    pub(super) fn passes(&self, mark: i64, now: Duration) -> Option<Duration> {
        let mark = if self.speed < 0 { mark - 1 } else { mark };
        let pose = self.pose(now);
        let ends = [(pose.front, self.from), (pose.rear, self.from - self.length())];
        let ahead = |end: i64| if self.speed < 0 { end > mark } else { end < mark };
        let ends = ends.into_iter().filter(|(end, _)| self.speed != 0 && ahead(*end));
        ends.map(|(_, from)| {
            let way = i128::from((mark - from).abs()) * NANOS;
            self.since + duration(div_ceil(way, i128::from(self.speed.abs())))
        })
        .min()
    }

    /// When this car and the one behind it, of the same direction, come as close as that one's driver, or this one's in
    /// reverse, lets them.
    pub(super) fn meets(&self, follower: &Self, now: Duration) -> Option<Duration> {
        let gap = if self.speed < 0 { self.gap() } else { follower.gap() };
        let closing = i128::from(follower.speed) - i128::from(self.speed);
        let apart = self.pose(now).rear - follower.pose(now).front - gap;
        if closing <= 0 || apart <= 2 {
            return None;
        }
        let start = i128::from(self.from - self.length() - gap - follower.from) * NANOS;
        let since = i128::from(follower.speed) * nanos(follower.since) - i128::from(self.speed) * nanos(self.since);
        Some(duration(div_ceil(start + since, closing)))
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX / (1 << 64))
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(if nanos < 0 { 0 } else { u64::MAX }))
}

fn div_ceil(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}
