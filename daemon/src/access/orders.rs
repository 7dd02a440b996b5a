//! What the access task does about each thing that happens: sightings, orders from the cloud, inputs, boards, and what the
//! machines report.

use cardea_access::command::RemoteCommand;
use cardea_access::credential::{Evidence, FaceEvidence, Origin, PlateEvidence, RemoteOpen};
use cardea_access::decide::{Decision, decide};
use cardea_access::machine::{Alarm, Command, Fault, GrantId, NotDone, Report};
use cardea_access::request::AccessRequest;
use cardea_access::time::Now;
use cardea_protocol::event::{EventKind, Timings};
use cardea_protocol::message::CommandOutcome;
use tokio::time::Instant;

use super::grants::Grant;
use super::knowledge;
use super::machine::{Happening, Role};
use super::point::Boards;
use super::record::record;
use super::task::AccessTask;
use crate::capture::{Seen, Sighting};
use crate::seam::CommandRequest;

impl AccessTask {
    /// A track has gained evidence: decide, unless that was done.
    pub(super) async fn on_sighting(&mut self, sighting: Sighting) {
        let Sighting { key, seen, frames, at, mut timings } = sighting;
        let Some(point) = self.points.get(key.point) else { return };
        let to_be_decided = self.memo.wants_decision(key, point.machine.state(), self.clock.monotonic());
        if !to_be_decided && !self.memo.wants_name(key) {
            return;
        }
        let begun = Instant::now();
        let limits = &self.knowledge.rules.limits;
        // Whether a refusal would stand: enough frames were seen, and what was read could be a plate at all.
        let (evidence, settled) = match &seen {
            Seen::Plate(reading) => {
                let best = self.knowledge.match_plate(reading);
                let vehicle = point.vehicle();
                let settled = frames >= limits.plate_min_frames && knowledge::could_be_a_plate(reading);
                (Evidence::Plate(PlateEvidence { best, frames, in_zone: true, vehicle }), settled)
            }
            Seen::Face { probe, live } => {
                let best = self.knowledge.match_face(probe);
                let pad = self.knowledge.pad(&point.id.as_str().into());
                let (liveness, fitness) = (self.knowledge.liveness(*live, pad), self.knowledge.face_fitness());
                let settled = frames >= limits.face_min_frames;
                (Evidence::Face(FaceEvidence { best, frames, in_zone: true, liveness, fitness }), settled)
            }
            Seen::Pushed(pushed) => {
                let (vehicle, frames) = (point.vehicle(), limits.plate_min_frames);
                (Evidence::PushedPlate(self.knowledge.weigh(pushed, frames, vehicle)), true)
            }
        };
        let told = if let Seen::Pushed(pushed) = seen { Some(pushed) } else { None };
        let decision = self.decide(key.point, &evidence, at);
        if !to_be_decided {
            self.name(key, decision.passage);
            return;
        }
        self.keep_early(key, told, &decision, frames, at);
        timings.decide_ms = Some(begun.elapsed().as_secs_f32() * 1_000.0);
        let mut event = record(&decision, &evidence, timings);
        event.ends_at = self.guest(&decision).map(|(_, ends_at, _)| ends_at);
        if decision.is_allowed() {
            let unnamed = decision.passage.is_none() && self.is_a_way_out(key.point);
            self.memo.granted(key, unnamed, self.clock.monotonic());
            self.open(Grant::new(key.point, Some(key), event, None, decision.passage)).await;
        } else if self.memo.refused(key, decision.reason, settled) {
            self.record(key.point, event);
        }
    }

    /// An order from the cloud. Its id is durably recorded; everything else is judged here.
    pub(super) async fn on_command(&mut self, request: CommandRequest) {
        let CommandRequest { command, first_seen, outcome } = request;
        let refuse = |reason: &str| {
            // Whoever asked may have gone; then nobody needs the answer.
            let _ = outcome.try_send(CommandOutcome::Refused { reason: reason.to_owned() });
        };
        let Some(&i) = self.by_id.get(&command.access_point) else {
            refuse(cardea_access::Reason::AccessPointUnknown.code());
            return;
        };
        let begun = Instant::now();
        let evidence = Evidence::RemoteOpen(RemoteOpen {
            command: RemoteCommand {
                id: command.command_id.as_str().into(),
                boot_id: command.boot_id.as_str().into(),
                expires_at: command.expires_at,
            },
            first_seen,
            origin: Origin::Customer,
            subject: None,
        });
        let now = self.now();
        let decision = self.decide(i, &evidence, now);
        let decide_ms = Some(begun.elapsed().as_secs_f32() * 1_000.0);
        let event = record(&decision, &evidence, Timings { decide_ms, ..Timings::default() });
        if decision.is_allowed() {
            self.open(Grant::new(i, None, event, Some(outcome), decision.passage)).await;
        } else {
            refuse(decision.reason.code());
            self.record(i, event);
        }
    }

    /// The one way to a decision.
    pub(super) fn decide(&mut self, i: usize, evidence: &Evidence, at: Now) -> Decision {
        let point = &self.points[i];
        let id = cardea_access::id::AccessPointId::from(point.id.as_str());
        if let Some(rules) = self.knowledge.rules.access_points.get_mut(&id) {
            rules.faulted = !point.usable();
        }
        let request = AccessRequest {
            access_point: id,
            direction: point.direction,
            evidence: evidence.clone(),
            at: at.wall,
            mono: at.mono,
        };
        let now = self.now();
        let decision = decide(&request, &self.knowledge.rules, now);
        self.decided(i, &decision, now);
        decision
    }

    /// Lets the machine begin an opening that was granted.
    pub(super) async fn open(&mut self, grant: Grant) {
        let i = grant.point;
        self.admitted(grant.passage.as_ref());
        let id = self.grants.begin(grant);
        let switching = self.happen(i, Happening::Granted(id), Some(id)).await;
        if !switching {
            // The boom is up already, or on its way.
            let record = self.grants.accepted(id, None);
            self.hand_over(record);
        }
    }

    /// An input has news.
    pub(super) async fn on_input(&mut self, i: usize, role: Role) {
        if role == Role::ExitButton {
            if self.points[i].take_exit_presses() > 0 {
                self.exit(i).await;
            }
            return;
        }
        // A machine whose boards are lost takes no inputs; when they are back, it gets all of them at once. A fire does not wait,
        // nor does the hand that stops the boom.
        if self.points[i].boards != Boards::Up && !matches!(role, Role::Fire | Role::StopButton) {
            return;
        }
        let (level, waits) = (self.points[i].level(role), self.points[i].waits_at(role));
        let arrived = waits && level == Some(true);
        if waits {
            // Also when it arrives: the one before may have left between two looks.
            self.vehicle_left(i);
        }
        self.happen(i, Happening::Input(role, level), None).await;
        if arrived {
            self.on_arrival(i).await;
        }
    }

    fn vehicle_left(&mut self, i: usize) {
        self.knowledge.rules.factors.vehicle_left(&self.points[i].id.as_str().into());
    }

    /// The exit button opens, whatever else is the matter.
    async fn exit(&mut self, i: usize) {
        let now = self.now();
        let decision = self.decide(i, &Evidence::ExitButton, now);
        self.happen(i, Happening::ExitPressed, None).await;
        self.record(i, record(&decision, &Evidence::ExitButton, Timings::default()));
    }

    /// A board or camera of an access point has news.
    pub(super) async fn on_boards(&mut self, i: usize) {
        let (before, after) = (self.points[i].boards, self.points[i].boards_now());
        let outputs_restored = self.points[i].outputs_restored();
        if before != after {
            self.on_boards_changed(i, before, after).await;
        }
        // News without a difference: a board may have come and gone, or gone and come, between two looks.
        let unseen = before == after && after == Boards::Up;
        if outputs_restored && after != Boards::Up || unseen {
            self.happen(i, Happening::RelaysRestored, None).await;
        }
    }

    async fn on_boards_changed(&mut self, i: usize, before: Boards, after: Boards) {
        self.points[i].boards = after;
        match after {
            Boards::Starting => {}
            Boards::Lost => {
                self.vehicle_left(i);
                if self.postures.equipment_lost(i) {
                    self.passed_unseen(i);
                }
                self.happen(i, Happening::BoardLost, None).await;
            }
            Boards::Up => {
                self.happen(i, Happening::BoardRestored, None).await;
                if before == Boards::Starting && !self.points[i].machine.is_released() {
                    // A lock whose safe state is open stands open since the start.
                    self.switch(i, Command::Lock, None, self.clock.monotonic()).await;
                }
                let present: Vec<_> = self.points[i].inputs.iter().map(|(role, r)| (*role, r.borrow().value)).collect();
                for (role, level) in present {
                    if role != Role::ExitButton {
                        self.happen(i, Happening::Input(role, level), None).await;
                    }
                }
            }
        }
    }

    /// A machine reports.
    pub(super) fn report(&mut self, i: usize, report: Report) {
        match report {
            Report::Confirmed { grant } => {
                let Some(ended) = self.grants.confirmed(grant) else { return };
                self.passed(ended.passage.as_ref());
                if let Some(event) = ended.event {
                    self.record(i, event);
                }
            }
            Report::NotConfirmed { grant, why } => self.not_confirmed(i, grant, why),
            Report::Refused { grant, why } => {
                let Some(ended) = self.grants.refused(grant, why) else { return };
                self.not_passed(ended.passage.as_ref(), why);
                if let Some(event) = ended.event {
                    self.record(i, event);
                }
                if let Some(track) = ended.track {
                    self.memo.failed(track);
                }
            }
            Report::State(state) => self.tell(i, EventKind::AccessPointState { state: state.code().to_owned() }),
            Report::Incident(incident) => self.alarm(i, incident.code().to_owned()),
            Report::Alarm(alarm) => self.alarm(i, alarm_name(alarm).to_owned()),
            Report::AlarmCleared(Alarm::Fire) => {
                self.passed_unseen(i);
                self.alarm(i, format!("{}-cleared", alarm_name(Alarm::Fire)));
            }
            Report::AlarmCleared(alarm) => self.alarm(i, format!("{}-cleared", alarm_name(alarm))),
            // The answer is sent when the relay has been acknowledged, which is more than the machine knows; of a lost board
            // its own event and the state `fault` speak.
            Report::Accepted { .. } | Report::Fault(Fault::BoardLost) | Report::FaultCleared(Fault::BoardLost) => {}
            Report::Fault(fault) => self.alarm(i, fault.code().to_owned()),
            Report::FaultCleared(fault) => self.alarm(i, format!("{}-cleared", fault.code())),
        }
    }

    fn not_confirmed(&mut self, i: usize, grant: GrantId, why: NotDone) {
        let Some(ended) = self.grants.not_confirmed(grant, why) else { return };
        self.not_passed(ended.passage.as_ref(), why);
        if let Some(event) = ended.event {
            self.record(i, event);
        }
        // Nobody walked through, or nothing can tell: that is no failure of the opening.
        if matches!(why, NotDone::NoEntry | NotDone::NoSensor) {
            return;
        }
        if let Some(track) = ended.track {
            self.memo.failed(track);
        }
        self.alarm(i, "not-confirmed".to_owned());
    }

    pub(super) fn alarm(&self, i: usize, alarm: String) {
        tracing::warn!(access_point = %self.points[i].id, %alarm, "alarm");
        self.tell(i, EventKind::Alarm { alarm });
    }

    pub(super) fn tell(&self, i: usize, kind: EventKind) {
        self.outbox.push(Some(self.points[i].id.clone()), kind);
    }
}

/// The name of an alarm in events.
fn alarm_name(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::OpenTooLong => "held-open",
        other => other.code(),
    }
}
