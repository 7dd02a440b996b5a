//! What stands between the controller and the world: a board with relays and inputs, and the program around the machine.
//!
//! It does what the contract of `access::machine` asks of a shell and no more: a command is carried out at once or not at all,
//! inputs are told when they change, all of them again after a lost board. A slow board carries it out late, within its second.

use std::collections::VecDeque;

use cardea_access::barrier::{BarrierConfig, Event};
use cardea_access::machine::{Command, GrantId, Report};
use cardea_access::time::Monotonic;

use super::Controller;
use super::checker::Checker;
use super::world::{BEAM, Contacts, INNER, OUTER, STEP_MS, UNDER, World};

/// What is wrong at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A board does not answer; its contacts stay as they are.
    pub board_lost: bool,
    /// What does not answer is another board than the relays'.
    pub relays_live: bool,
    /// It refuses to switch.
    pub relays_fail: bool,
    /// It acknowledges, and switches this much later, in milliseconds.
    pub slow_ms: u64,
    /// The program hangs, or the machine sleeps.
    pub asleep: bool,
    /// Stuck upper limit switch.
    pub open_limit: Option<bool>,
    /// Stuck lower limit switch.
    pub closed_limit: Option<bool>,
    /// The loop says occupied, whatever is there.
    pub loop_stuck: bool,
    /// The fire alarm.
    pub fire: bool,
    /// The stop button is pressed.
    pub stop: bool,
}

/// The inputs, in the order in which they are told.
type Levels = [bool; 8];

/// The board and the program.
pub struct Cabinet {
    config: BarrierConfig,
    controller: Box<dyn Controller>,
    /// The clock of the controller, which may jump.
    pub clock: Monotonic,
    /// The contacts as they are.
    pub contacts: Contacts,
    /// Until when each is closed: open, close, stop.
    until_ms: [u64; 3],
    /// Commands that a slow board has yet to carry out, with the time to do so.
    waiting: VecDeque<(u64, Command)>,
    known: Option<Levels>,
    seen: Levels,
    lost: bool,
    world_ms: u64,
    grants: u64,
}

impl Cabinet {
    pub(super) fn new(config: BarrierConfig, controller: Box<dyn Controller>, clock: Monotonic) -> Self {
        Self {
            config,
            controller,
            clock,
            contacts: Contacts::default(),
            until_ms: [0; 3],
            waiting: VecDeque::new(),
            known: None,
            seen: Levels::default(),
            lost: false,
            world_ms: 0,
            grants: 0,
        }
    }

    /// The program is killed and started again: its outputs are made safe, and it knows nothing.
    pub(super) fn restart(&mut self, controller: Box<dyn Controller>, checker: &mut Checker) {
        self.controller = controller;
        (self.contacts, self.until_ms, self.known, self.lost) = (Contacts::default(), [0; 3], None, false);
        self.waiting.clear();
        checker.forgotten(Faults::default());
    }

    /// One step: contacts end, inputs are read, the machine is told, its commands are carried out. `orders` come last.
    pub(super) fn step(&mut self, world: &World, faults: Faults, orders: &[Order], checker: &mut Checker) {
        self.world_ms += STEP_MS;
        self.clock = self.clock.plus_ms(STEP_MS);
        let told = self.seen;
        self.seen = Self::read(world, faults);
        if !faults.board_lost || faults.relays_live {
            self.end_pulses();
        }
        if faults.asleep {
            return;
        }
        if faults.board_lost != self.lost {
            self.lost = faults.board_lost;
            self.known = None;
            if faults.board_lost {
                self.tell(Event::BoardLost, faults, checker);
                checker.forgotten(faults);
            } else {
                if !faults.relays_live {
                    // A new connection begins with the safe state.
                    (self.contacts, self.until_ms) = (Contacts::default(), [0; 3]);
                    self.waiting.clear();
                }
                self.tell(Event::BoardRestored, faults, checker);
            }
        }
        if !self.lost {
            // What was read a step ago: that is how long an input takes.
            self.tell_inputs(told, faults, checker);
        }
        for order in orders {
            let grant = GrantId(self.grants);
            self.grants += 1;
            let event = match order {
                Order::Admit => Event::OpenGranted { grant },
                Order::Hold => Event::Hold { grant },
                Order::Close => Event::Close,
                Order::EndHold => Event::EndHold,
                Order::Stop => Event::Stop,
            };
            self.tell(event, faults, checker);
        }
        if self.controller.next_deadline().is_some_and(|at| at <= self.clock) {
            self.tell(Event::Tick, faults, checker);
        }
    }

    fn read(world: &World, faults: Faults) -> Levels {
        [
            world.covers(UNDER) || faults.loop_stuck,
            world.covers(BEAM),
            world.covers(OUTER),
            world.covers(INNER),
            faults.open_limit.unwrap_or(world.boom.height >= 1.0),
            faults.closed_limit.unwrap_or(world.boom.height <= 0.0),
            faults.stop,
            faults.fire,
        ]
    }

    fn tell_inputs(&mut self, levels: Levels, faults: Faults, checker: &mut Checker) {
        let known = self.known.replace(levels);
        for (i, level) in levels.into_iter().enumerate() {
            if known.is_some_and(|known| known[i] == level) {
                continue;
            }
            let event = match (i, level) {
                (0, true) => Event::LoopOccupied,
                (0, false) => Event::LoopClear,
                (1, true) => Event::PhotocellBlocked,
                (1, false) => Event::PhotocellClear,
                (2, on) => Event::ApproachLoop(Some(on)),
                (3, on) => Event::DepartureLoop(Some(on)),
                (4, on) => Event::OpenLimit(on),
                (5, on) => Event::ClosedLimit(on),
                (6, on) => Event::StopButton(Some(on)),
                (_, on) => Event::Fire(Some(on)),
            };
            self.tell(event, faults, checker);
        }
    }

    fn tell(&mut self, event: Event, faults: Faults, checker: &mut Checker) {
        checker.event(event);
        let mut failed = Vec::new();
        for command in self.controller.handle(event, self.clock) {
            match command {
                Command::Report(report) => checker.report(report),
                command => {
                    checker.command(command, event, self.clock, &self.config);
                    let refused = self.lost && !faults.relays_live || faults.relays_fail;
                    // The shell looks at the other relay once more: a clock may have jumped while its pulse lasts.
                    let withheld = matches!(command, Command::PulseClose { .. }) && self.contacts.open;
                    failed.extend((refused || withheld).then_some(command));
                    // A board is one line: nothing overtakes what waits there.
                    let before = self.waiting.back().map_or(0, |(at, _)| *at);
                    let at = before.max(self.world_ms + faults.slow_ms);
                    if withheld {
                        continue;
                    }
                    if refused {
                        checker.not_delivered();
                    } else if at > self.world_ms {
                        self.waiting.push_back((at, command));
                    } else {
                        self.carry_out(command);
                    }
                }
            }
        }
        for command in failed {
            self.tell(Event::ActuationFailed { command, may_have_acted: false }, faults, checker);
        }
        checker.grants_answered();
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::PulseOpen { ms } => (self.contacts.open, self.until_ms[0]) = (true, self.world_ms + ms),
            Command::Reverse { ms } => {
                self.contacts.close = false;
                (self.contacts.open, self.until_ms[0]) = (true, self.world_ms + ms);
            }
            Command::PulseClose { ms } => (self.contacts.close, self.until_ms[1]) = (true, self.world_ms + ms),
            Command::Stop => {
                self.contacts = Contacts { stop: true, ..Contacts::default() };
                self.until_ms[2] = self.world_ms + 500;
            }
            Command::Release | Command::Lock | Command::Report(_) => {}
        }
    }

    fn end_pulses(&mut self) {
        for (contact, until) in
            [&mut self.contacts.open, &mut self.contacts.close, &mut self.contacts.stop].into_iter().zip(self.until_ms)
        {
            *contact &= self.world_ms < until;
        }
        while self.waiting.front().is_some_and(|(at, _)| *at <= self.world_ms) {
            if let Some((_, command)) = self.waiting.pop_front() {
                self.carry_out(command);
            }
        }
    }
}

/// What someone orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A decision admits a car.
    Admit,
    /// Open and stay open.
    Hold,
    /// End a hold, or close.
    Close,
    /// End a hold.
    EndHold,
    /// Stop.
    Stop,
}

/// Whether `report` ends what a grant began.
pub(super) fn answers(report: Report) -> Option<GrantId> {
    match report {
        Report::Confirmed { grant } | Report::NotConfirmed { grant, .. } => Some(grant),
        _ => None,
    }
}
