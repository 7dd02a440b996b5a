//! Points in time as the core sees them: plain numbers handed in by the shell, never read here.

/// UTC wall-clock time in milliseconds since the Unix epoch. For validity periods and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus `ms` milliseconds, saturating.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; negative if `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Monotonic time in milliseconds since an arbitrary start, counting suspend (`CLOCK_BOOTTIME`). For durations and deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This instant plus `ms` milliseconds, saturating.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read together by the shell at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall-clock time, which may be wrong or be set back.
    pub wall: Timestamp,
    /// Monotonic time, which cannot go back within a boot.
    pub mono: Monotonic,
}

impl Now {
    /// The moment `age_ms` milliseconds before this one, on both clocks, saturating.
    #[must_use]
    pub fn ago(self, age_ms: u64) -> Self {
        let wall = self.wall.plus_ms(-i64::try_from(age_ms).unwrap_or(i64::MAX));
        Self { wall, mono: Monotonic(self.mono.0.saturating_sub(age_ms)) }
    }
}
