//! The Wiegand decoder: edges with their times go in, frames and refusals come out. Pure.
//!
//! A reader pulls D0 low for a zero and D1 for a one, for 20 to 200 microseconds each, with 0.2 to 20 milliseconds from pulse to
//! pulse (SIA AC-01-1996.10, section 3: 50 microseconds and 1 millisecond are typical). Silence ends a frame.
//!
//! **Any doubt spoils the frame.** Pulses too close to each other, too short or too long, both lines low, an edge that the kernel
//! has lost, a clock that runs backwards: then everything up to the next silence is one refusal, and no bit of it is looked at.
//! Whoever presented the card presents it again.

use super::bits::Bits;

/// One of the two data lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataLine {
    /// Its pulses are zeros.
    D0,
    /// Its pulses are ones.
    D1,
}

/// A line changed its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Which.
    pub line: DataLine,
    /// Whether it went low: a pulse begins.
    pub low: bool,
    /// When, in nanoseconds since some start.
    pub at_ns: u64,
}

/// What counts as a pulse and as a silence, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulseTiming {
    /// The shortest pulse; looked at only where both edges are seen.
    pub min_pulse_us: u64,
    /// The longest pulse; looked at only where both edges are seen.
    pub max_pulse_us: u64,
    /// The shortest time from the beginning of a pulse to that of the next.
    pub min_period_us: u64,
    /// The silence that ends a frame.
    pub silence_us: u64,
    /// Whether the ends of pulses are seen as well as their beginnings.
    pub both_edges: bool,
}

impl Default for PulseTiming {
    fn default() -> Self {
        Self { min_pulse_us: 10, max_pulse_us: 500, min_period_us: 100, silence_us: 25_000, both_edges: false }
    }
}

/// Why a frame was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spoiled {
    /// Two pulses that no reader sends so close together.
    #[error(
        "two pulses came within {apart_us} microseconds: interference, or D0 and D1 touch; check screen and ground"
    )]
    TooClose {
        /// How close.
        apart_us: u64,
    },
    /// A spike.
    #[error("a pulse lasted {us} microseconds, too short for a reader: interference; check screen and ground")]
    TooShort {
        /// How long it lasted.
        us: u64,
    },
    /// A line that stays low.
    #[error("a line stayed low for {us} microseconds or more: a cut cable, or a reader without power")]
    TooLong {
        /// How long it lasted so far.
        us: u64,
    },
    /// A zero and a one at once.
    #[error("both lines were low at once: D0 and D1 touch, or the reader has lost its ground")]
    BothLow,
    /// More bits than any card has.
    #[error("more bits came than any card has: two readers on one pair of lines, or interference")]
    Endless,
    /// An edge is missing, or the times make no sense.
    #[error("an edge was lost between the line and this program; the machine may be overloaded")]
    Lost,
}

/// The bits of one presentation, and when its last bit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The bits, as they came.
    pub bits: Bits,
    /// When its first pulse began, in nanoseconds.
    pub began_ns: u64,
}

/// What comes out of the decoder.
pub type Outcome = Result<Frame, Spoiled>;

/// The decoder of one reader.
#[derive(Debug)]
pub struct Decoder {
    timing: PulseTiming,
    bits: Bits,
    began_ns: u64,
    /// When the last pulse began.
    last_ns: Option<u64>,
    /// When the last edge of any kind came: silence counts from here.
    stirred_ns: Option<u64>,
    /// Since when each line is low.
    low_since: [Option<u64>; 2],
    spoiled: Option<Spoiled>,
}

impl Decoder {
    /// Nothing seen yet; both lines high.
    pub fn new(timing: PulseTiming) -> Self {
        let bits = Bits::default();
        Self { timing, bits, began_ns: 0, last_ns: None, stirred_ns: None, low_since: [None; 2], spoiled: None }
    }

    /// Takes an edge. Answers the frame before it, if a silence lies between.
    pub fn edge(&mut self, edge: Edge) -> Option<Outcome> {
        if self.stirred_ns.is_some_and(|before| edge.at_ns < before) {
            self.spoil(Spoiled::Lost);
            // Time begins anew, and the frame ends in the silence after that.
            self.last_ns = None;
            self.low_since = [None; 2];
        }
        let ended = self.tick(edge.at_ns);
        self.stirred_ns = Some(edge.at_ns);
        match (edge.low, self.timing.both_edges) {
            (true, _) => self.begin(edge),
            (false, true) => self.end(edge),
            (false, false) => {}
        }
        ended
    }

    /// Edges were lost before they got here.
    pub fn lost(&mut self, now_ns: u64) {
        self.spoil(Spoiled::Lost);
        self.low_since = [None; 2];
        self.stirred_ns = Some(self.stirred_ns.unwrap_or(0).max(now_ns));
    }

    /// It is `now_ns`, and nothing has come. Answers the frame, if it is over.
    pub fn tick(&mut self, now_ns: u64) -> Option<Outcome> {
        let silent_us = now_ns.saturating_sub(self.stirred_ns?) / 1_000;
        if silent_us < self.timing.silence_us {
            return None;
        }
        if self.low_since.iter().any(Option::is_some) {
            self.spoil(Spoiled::TooLong { us: silent_us });
        }
        self.low_since = [None; 2];
        (self.last_ns, self.stirred_ns) = (None, None);
        let bits = std::mem::take(&mut self.bits);
        match self.spoiled.take() {
            Some(spoiled) => Some(Err(spoiled)),
            None if bits.is_empty() => None,
            None => Some(Ok(Frame { bits, began_ns: self.began_ns })),
        }
    }

    /// When [`Decoder::tick`] is wanted if nothing comes before; `None` while nothing is under way.
    pub fn deadline_ns(&self) -> Option<u64> {
        self.stirred_ns.map(|at| at.saturating_add(self.timing.silence_us.saturating_mul(1_000)))
    }

    fn begin(&mut self, edge: Edge) {
        if let Some(last) = self.last_ns {
            let apart_us = edge.at_ns.saturating_sub(last) / 1_000;
            if apart_us < self.timing.min_period_us {
                self.spoil(Spoiled::TooClose { apart_us });
            }
        }
        if self.timing.both_edges {
            let (this, other) = match edge.line {
                DataLine::D0 => (0, 1),
                DataLine::D1 => (1, 0),
            };
            if self.low_since[other].is_some() {
                self.spoil(Spoiled::BothLow);
            }
            if self.low_since[this].replace(edge.at_ns).is_some() {
                self.spoil(Spoiled::Lost);
            }
        }
        if self.bits.is_empty() {
            self.began_ns = edge.at_ns;
        }
        self.last_ns = Some(edge.at_ns);
        if self.spoiled.is_none() && !self.bits.push(edge.line == DataLine::D1) {
            self.spoil(Spoiled::Endless);
        }
    }

    fn end(&mut self, edge: Edge) {
        let this = usize::from(edge.line == DataLine::D1);
        let Some(since) = self.low_since[this].take() else {
            self.spoil(Spoiled::Lost);
            return;
        };
        let us = edge.at_ns.saturating_sub(since) / 1_000;
        if us < self.timing.min_pulse_us {
            self.spoil(Spoiled::TooShort { us });
        } else if us > self.timing.max_pulse_us {
            self.spoil(Spoiled::TooLong { us });
        }
    }

    /// The first fault is the one that is told.
    fn spoil(&mut self, why: Spoiled) {
        self.spoiled.get_or_insert(why);
        self.bits = Bits::default();
    }
}

/// The edges of a card's `bits` from `start_ns` on: pulses of `pulse_us`, one every `period_us`. What the simulator sends.
pub fn edges_of(bits: Bits, start_ns: u64, pulse_us: u64, period_us: u64) -> Vec<Edge> {
    let pulse = |position: u32| {
        let line = if bits.get(position) { DataLine::D1 } else { DataLine::D0 };
        let at_ns = start_ns + u64::from(position) * period_us * 1_000;
        [Edge { line, low: true, at_ns }, Edge { line, low: false, at_ns: at_ns + pulse_us * 1_000 }]
    };
    (0..bits.len()).flat_map(pulse).collect()
}

#[cfg(test)]
#[path = "pulses_tests.rs"]
mod tests;
