//! A boom, its drive and the vehicles: what is really there, whatever the sensors and the controller believe.
//!
//! Distances are metres along the lane: negative outside, the boom at 0, positive inside. Like most drives this one starts on
//! the rising edge of a contact and goes on by itself; it has a safety edge of its own, which turns it round when it touches
//! something. Drivers are not careful: whoever has passed the stop line does not look at the boom any more.

/// Length of a step, in milliseconds.
pub const STEP_MS: u64 = 50;

/// Where the stop line is for those who come from outside; mirrored for those from inside.
const STOP_LINE: f64 = -1.2;
/// How near vehicles drive up to each other.
const GAP: f64 = 1.0;

/// From where to where something is seen.
pub type Zone = (f64, f64);
/// The loop outside.
pub const OUTER: Zone = (-4.0, -2.0);
/// The loop under the boom.
pub const UNDER: Zone = (-0.8, 0.8);
/// The photocell.
pub const BEAM: Zone = (-0.1, 0.1);
/// The loop inside.
pub const INNER: Zone = (2.0, 4.0);
/// Where the boom would hit.
const STRIKE: Zone = (-0.3, 0.3);

/// What someone at the wheel has in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mind {
    /// Drives in when the boom is up, perhaps with a stop under it, of this many milliseconds.
    Through(u64),
    /// Drives in until under the boom, thinks better of it, and backs out.
    BackOut,
    /// Waits for the boom and then leaves.
    Leave,
}

/// A vehicle.
#[derive(Clone, Debug)]
pub struct Car {
    /// Comes from inside.
    pub outbound: bool,
    /// Will be admitted while it waits.
    pub admitted: bool,
    mind: Mind,
    length: f64,
    /// Metres in a step.
    pace: f64,
    /// Its front, counted in its own direction: negative before the boom.
    front: f64,
    reversing: bool,
    /// How long it has been at the stop line, in milliseconds.
    pub waited_ms: u64,
    paused_ms: u64,
}

impl Car {
    /// One that comes up the road, `metres_s` fast.
    pub fn new(outbound: bool, admitted: bool, mind: Mind, length: f64, metres_s: f64) -> Self {
        let pace = metres_s * STEP_MS as f64 / 1_000.0;
        Self { outbound, admitted, mind, length, pace, front: -9.0, reversing: false, waited_ms: 0, paused_ms: 0 }
    }

    /// Where its body is, along the lane.
    fn body(&self) -> Zone {
        let (rear, front) = (self.front - self.length, self.front);
        if self.outbound { (-front, -rear) } else { (rear, front) }
    }

    fn covers(&self, zone: Zone) -> bool {
        let body = self.body();
        body.0 <= zone.1 && body.1 >= zone.0
    }

    /// It stands before the boom.
    pub fn waits(&self) -> bool {
        !self.reversing && self.waited_ms > 0 && self.front <= STOP_LINE + 0.01
    }

    fn is_gone(&self) -> bool {
        self.front - self.length > 9.0 || self.reversing && self.front < -9.0
    }

    fn has_passed(&self) -> bool {
        self.front - self.length > UNDER.1
    }

    /// Moves on; `limit`: how far the one ahead lets it; `up`: the boom is.
    fn drive(&mut self, limit: f64, up: bool) {
        if self.reversing {
            self.front -= self.pace;
            return;
        }
        let before_the_line = self.front <= STOP_LINE;
        if before_the_line && self.front + self.pace > STOP_LINE && (!up || self.mind == Mind::Leave) {
            self.front = STOP_LINE.min(limit.max(self.front));
            self.waited_ms += STEP_MS;
            let leaves = up && self.mind == Mind::Leave && self.waited_ms > 2_000;
            self.reversing = leaves || self.waited_ms > 60_000;
            return;
        }
        let under = self.front > 0.2 && self.front - self.length < 0.0;
        match self.mind {
            Mind::BackOut if under => self.reversing = true,
            Mind::Through(pause_ms) if under && self.paused_ms < pause_ms => self.paused_ms += STEP_MS,
            _ => self.front = (self.front + self.pace).min(limit.max(self.front)),
        }
    }
}

/// The boom and its drive.
#[derive(Clone, Debug, Default)]
pub struct Boom {
    /// 0 down, 1 up.
    pub height: f64,
    /// 1 rising, -1 falling, 0 at rest.
    pub motion: i8,
    /// Nothing moves it.
    pub jammed: bool,
    /// Brings itself down a while after it has been up.
    pub closes_itself: bool,
    up_ms: u64,
    contacts: Contacts,
}

/// The contacts of the relays; closed is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// Raises the boom.
    pub open: bool,
    /// Lowers it.
    pub close: bool,
    /// Stops it.
    pub stop: bool,
}

/// Steps from one end to the other.
const TRAVEL_STEPS: f64 = 60.0;
/// How long a drive that closes by itself waits.
const CLOSES_AFTER_MS: u64 = 6_000;

impl Boom {
    fn step(&mut self, contacts: Contacts, seen_by_drive: bool) {
        if contacts.close && !self.contacts.close {
            self.motion = -1;
        }
        if contacts.open && !self.contacts.open {
            self.motion = 1;
        }
        if contacts.stop && !self.contacts.stop {
            self.motion = 0;
        }
        self.contacts = contacts;
        if self.closes_itself {
            let waits = self.height >= 1.0 && !seen_by_drive;
            self.up_ms = if waits { self.up_ms + STEP_MS } else { 0 };
            if self.up_ms > CLOSES_AFTER_MS {
                self.motion = -1;
            }
        }
        if !self.jammed {
            self.height = (self.height + f64::from(self.motion) / TRAVEL_STEPS).clamp(0.0, 1.0);
        }
        if self.height <= 0.0 && self.motion < 0 || self.height >= 1.0 && self.motion > 0 {
            self.motion = 0;
        }
    }
}

/// Everything that is there.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The boom.
    pub boom: Boom,
    /// Vehicles, in the order in which they came.
    pub cars: Vec<Car>,
    /// How often the drive's own safety edge had to turn the boom round.
    pub touched: u64,
    /// Vehicles that got through, all told.
    pub passed: u64,
}

impl World {
    /// Whether a vehicle is in `zone`.
    pub fn covers(&self, zone: Zone) -> bool {
        self.cars.iter().any(|car| car.covers(zone))
    }

    /// A step passes.
    pub fn step(&mut self, contacts: Contacts) {
        let seen = self.covers(UNDER);
        self.boom.step(contacts, seen);
        let up = self.boom.height > 0.9 && self.boom.motion >= 0;
        for i in 0..self.cars.len() {
            let (ahead, rest) = self.cars.split_at_mut(i);
            let Some(car) = rest.first_mut() else { break };
            let same_way = ahead.iter().filter(|other| other.outbound == car.outbound);
            let limit = same_way.map(|other| other.front - other.length - GAP).fold(f64::INFINITY, f64::min);
            let passed = car.has_passed();
            car.drive(limit, up);
            self.passed += u64::from(!passed && car.has_passed());
        }
        self.cars.retain(|car| !car.is_gone());
        if self.boom.motion < 0 && self.boom.height < 0.4 && self.covers(STRIKE) {
            self.touched += 1;
            self.boom.motion = 1;
        }
    }
}
