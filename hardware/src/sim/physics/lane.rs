//! The lane: cars that come, wait for the boom, drive in, stand, back out, follow each other too closely.
//!
//! Places are metres from the boom: below 0 outside, above 0 inside. A car moves at its speed or stands; each stretch of
//! steady movement is kept as where and when it began, in whole micrometres and nanoseconds, so that where a car is, and when
//! its nose or its tail will pass a mark, does not depend on who looked in between.
//!
//! The road is wide enough for two directions, so cars that meet pass each other; those of one direction queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    car::{Car, Phase, Pose, metres, micrometres},
    happening::What,
};

/// Where what lies on the lane. Places are metres from the boom, below 0 outside.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaneConfig {
    /// The outer loop.
    pub approach_loop_m: [f64; 2],
    /// The safety loop under the boom.
    pub safety_loop_m: [f64; 2],
    /// The photocell's beam.
    pub photocell_m: [f64; 2],
    /// The inner loop.
    pub departure_loop_m: [f64; 2],
    /// What the plate camera sees: a car is in view while its end that is nearer to the house is in here.
    pub view_m: [f64; 2],
    /// So far before the boom drivers stop, on either side.
    pub stop_m: f64,
    /// So far from the boom cars appear and disappear, on either side.
    pub far_m: f64,
    /// A boom that is up by this part of its way touches no car.
    pub clearance: f64,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            approach_loop_m: [-7.0, -4.0],
            safety_loop_m: [-2.0, 2.0],
            photocell_m: [-0.3, 0.3],
            departure_loop_m: [4.0, 7.0],
            view_m: [-10.0, -0.5],
            stop_m: 1.5,
            far_m: 14.0,
            clearance: 0.7,
        }
    }
}

/// A side of the boom, or of the door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The street.
    #[default]
    Outside,
    /// The yard, or the house.
    Inside,
}

/// What a driver means to do.
#[derive(Debug, Clone, PartialEq)]
pub struct CarPlan {
    /// What it is called in the record.
    pub name: String,
    /// Where it comes from.
    pub from: Side,
    /// Its speed, in km/h; 1 to 100.
    pub speed_kmh: f64,
    /// Its length, in metres; 1 to 25.
    pub length_m: f64,
    /// How much it leaves to the car before it, in metres.
    pub gap_m: f64,
    /// A careful driver goes under a boom that is up and stays up. A hasty one goes as long as it fits.
    pub hasty: bool,
    /// How long the driver waits before the boom, or behind a car, before backing out. `None`: for ever.
    pub waits: Option<Duration>,
    /// How long it stops in the middle under the boom.
    pub stands: Option<Duration>,
    /// Whether it backs out from there instead of driving on.
    pub backs_out: bool,
}

impl Default for CarPlan {
    fn default() -> Self {
        Self {
            name: "car".into(),
            from: Side::Outside,
            speed_kmh: 8.0,
            length_m: 4.5,
            gap_m: 1.5,
            hasty: false,
            waits: None,
            stands: None,
            backs_out: false,
        }
    }
}

/// A car as seen from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarState {
    /// What it is called.
    pub name: String,
    /// Where it came from.
    pub from: Side,
    /// Its ends, in metres from the boom, below 0 outside: the outer one first.
    pub place_m: [f64; 2],
    /// It moves.
    pub moving: bool,
    /// The plate camera sees it.
    pub in_view: bool,
}

/// What the lane's sensors and the camera see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sensed {
    pub(super) approach: bool,
    pub(super) safety: bool,
    pub(super) photocell: bool,
    pub(super) departure: bool,
    /// The car with a part right under the boom.
    pub(super) under: Option<String>,
}

/// What a driver sees of the boom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boom {
    /// Up, and not on its way down.
    pub(super) up: bool,
    /// High enough for a car.
    pub(super) clear: bool,
}

/// Something a driver did.
pub(super) type Deed = (Duration, What, String);

/// Half the width of the boom: what is in here is under it.
const BOOM_M: f64 = 0.1;

#[derive(Debug)]
pub(super) struct Lane {
    config: LaneConfig,
    /// In the order of their coming; of one side, the first is the foremost.
    cars: Vec<Car>,
    boom: Boom,
    due: Option<Duration>,
    now: Duration,
}

impl Lane {
    pub(super) fn new(config: LaneConfig) -> Self {
        Self { config, cars: Vec::new(), boom: Boom { up: false, clear: false }, due: None, now: Duration::ZERO }
    }

    /// A car appears, as far away as cars do, or behind the last one that still stands there.
    pub(super) fn arrive(&mut self, plan: CarPlan, now: Duration, deeds: &mut Vec<Deed>) {
        deeds.push((now, What::CarArrives, plan.name.clone()));
        let last = self.cars.iter().rev().find(|car| car.plan.from == plan.from).map(|car| car.pose(now).rear);
        let far = -micrometres(self.config.far_m);
        let front = last.map_or(far, |rear| far.min(rear - micrometres(plan.gap_m)));
        self.cars.push(Car::new(plan, front, now));
        self.decide(now, deeds);
    }

    /// When something happens next by itself.
    pub(super) fn next_event(&self) -> Option<Duration> {
        self.due
    }

    /// Lets time pass; drivers decide when something happens to them, or when the boom looks different.
    pub(super) fn advance(&mut self, now: Duration, boom: Boom, deeds: &mut Vec<Deed>) {
        self.now = now;
        if boom != self.boom || self.due.is_some_and(|due| due <= now) {
            self.boom = boom;
            self.decide(now, deeds);
        }
    }

    /// What the sensors say.
    pub(super) fn sensed(&self) -> Sensed {
        let covered = |zone: [f64; 2]| self.cars.iter().find(|car| covers(car, zone, self.now));
        Sensed {
            approach: covered(self.config.approach_loop_m).is_some(),
            safety: covered(self.config.safety_loop_m).is_some(),
            photocell: covered(self.config.photocell_m).is_some(),
            departure: covered(self.config.departure_loop_m).is_some(),
            under: covered([-BOOM_M, BOOM_M]).map(|car| car.plan.name.clone()),
        }
    }

    /// The cars, foremost first; those from outside before those from inside.
    pub(super) fn states(&self) -> Vec<CarState> {
        self.cars.iter().map(|car| self.state(car)).collect()
    }

    fn state(&self, car: &Car) -> CarState {
        let pose = car.pose(self.now);
        let place_m = match car.plan.from {
            Side::Outside => [metres(pose.rear), metres(pose.front)],
            Side::Inside => [metres(-pose.front), metres(-pose.rear)],
        };
        let [from, to] = self.config.view_m;
        CarState {
            name: car.plan.name.clone(),
            from: car.plan.from,
            place_m,
            moving: car.speed() != 0,
            in_view: from <= place_m[1] && place_m[1] < to,
        }
    }

    /// Each driver decides, the foremost first; then it is known when the next thing happens.
    fn decide(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        self.now = now;
        for index in 0..self.cars.len() {
            let side = self.cars[index].plan.from;
            let same = |car: &&Car| car.plan.from == side;
            let ahead = self.cars[..index].iter().rev().find(same).map(|car| (car.pose(now), car.speed()));
            let behind = self.cars[index + 1..].iter().find(same).map(|car| car.pose(now));
            self.drive(index, ahead, behind, deeds);
            if !self.cars[index].seen && self.state(&self.cars[index]).in_view {
                self.cars[index].seen = true;
                deeds.push((now, What::CarInView, self.cars[index].plan.name.clone()));
            }
        }
        let far = micrometres(self.config.far_m);
        self.cars.retain(|car| {
            let pose = car.pose(now);
            let gone = pose.rear >= far || (matches!(car.phase, Phase::Reversing) && pose.front <= -far);
            if gone {
                deeds.push((now, What::CarLeaves, car.plan.name.clone()));
            }
            !gone
        });
        self.due = self.next_due(now);
    }

    /// What the driver of one car does now.
    fn drive(&mut self, index: usize, ahead: Option<(Pose, i64)>, behind: Option<Pose>, deeds: &mut Vec<Deed>) {
        let (now, boom) = (self.now, self.boom);
        let stop = -micrometres(self.config.stop_m);
        let under = micrometres(BOOM_M);
        let car = &mut self.cars[index];
        let pose = car.pose(now);
        let mut note = |what| deeds.push((now, what, car.plan.name.clone()));

        if !car.hit && pose.front >= -under && pose.rear < -under && car.speed() > 0 && !boom.clear && !car.entered {
            note(What::CarHitsBoom);
            car.hit = true;
        }
        car.entered |= pose.front >= -under;
        if !car.passed && pose.rear >= under && car.speed() > 0 {
            note(What::CarPasses);
            car.passed = true;
        }
        if let Phase::Standing { until } = car.phase
            && until <= now
        {
            car.phase = if car.plan.backs_out { Phase::Reversing } else { Phase::Driving };
            if car.plan.backs_out {
                note(What::CarBacksOut);
            }
        }
        if car.phase == Phase::Driving && !car.stood && car.stand_at().is_some_and(|place| pose.front >= place) {
            car.stood = true;
            car.phase = Phase::Standing { until: now + car.plan.stands.unwrap_or_default() };
            note(What::CarStands);
        }
        if car.phase == Phase::Driving && car.out_of_patience(now) {
            car.phase = Phase::Reversing;
            note(What::CarBacksOut);
        }
        let goes = if car.plan.hasty { boom.clear } else { boom.up };
        let speed = match car.phase {
            Phase::Standing { .. } => 0,
            Phase::Reversing => match behind {
                Some(follower) if pose.rear - follower.front <= car.gap() + 2 => 0,
                _ => -car.top_speed(),
            },
            Phase::Driving if pose.front == stop && !goes => 0,
            Phase::Driving => match ahead {
                Some((leader, speed)) if leader.rear - pose.front <= car.gap() + 2 => speed.clamp(0, car.top_speed()),
                _ => car.top_speed(),
            },
        };
        if pose.front == stop && car.phase == Phase::Driving {
            if speed == 0 && !car.waiting {
                note(What::CarWaits);
            } else if speed > 0 && !car.in_lane {
                note(What::CarDrivesIn);
                car.in_lane = true;
            }
            car.waiting = speed == 0;
        }
        car.go(speed, now);
    }

    /// When the first car's end passes a mark, a car closes up to another, or a driver has waited long enough.
    fn next_due(&self, now: Duration) -> Option<Duration> {
        let mut soonest: Option<Duration> = None;
        let mut take = |at: Option<Duration>| soonest = soonest.into_iter().chain(at).min();
        for (index, car) in self.cars.iter().enumerate() {
            let marks = self.marks(car.plan.from);
            for mark in marks.into_iter().chain(car.stand_at()) {
                take(car.passes(mark, now));
            }
            take(car.timer(now));
            let leader = self.cars[..index].iter().rev().find(|other| other.plan.from == car.plan.from);
            take(leader.and_then(|leader| leader.meets(car, now)));
        }
        soonest
    }

    /// Every place that matters, from where a car of this side sits.
    fn marks(&self, side: Side) -> Vec<i64> {
        let c = &self.config;
        let zones =
            [c.approach_loop_m, c.safety_loop_m, c.photocell_m, c.departure_loop_m, c.view_m, [-BOOM_M, BOOM_M]];
        let places = zones.into_iter().flatten().map(|place| match side {
            Side::Outside => micrometres(place),
            Side::Inside => -micrometres(place),
        });
        let (stop, far) = (micrometres(c.stop_m), micrometres(c.far_m));
        places.chain([-stop, -far, far]).collect()
    }
}

/// Whether a part of the car is in this zone of the lane.
fn covers(car: &Car, [from, to]: [f64; 2], now: Duration) -> bool {
    let (from, to) = match car.plan.from {
        Side::Outside => (micrometres(from), micrometres(to)),
        Side::Inside => (-micrometres(to), -micrometres(from)),
    };
    let pose = car.pose(now);
    pose.front >= from && pose.rear < to
}
