use super::*;
use crate::command::RemoteCommand;
use crate::credential::{FaceMatch, Origin, PlateMatch};
use crate::grammar::Grammars;
use crate::plate::Plate;
use crate::rules::{AccessPoint, CardGrant, FaceGrant, Freshness, Limits, PlateGrant};
use crate::time::Monotonic;

pub(super) const NOW: Now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(500_000) };

/// One gate, one door, one resident with plate, face and card; the cloud spoke just now.
pub(super) fn rules() -> RuleSet {
    let mut rules = RuleSet::new("boot-1".into());
    rules.access_points.insert("gate".into(), AccessPoint::default());
    rules.access_points.insert("door".into(), AccessPoint::default());
    let plate = Plate::parse("A123BC77", &Grammars::default()).unwrap();
    let (subject, grant) = (SubjectId::from("s1"), Grant::default());
    rules.plates.insert("p1".into(), PlateGrant { plate, subject: Some(subject.clone()), grant: grant.clone() });
    rules.faces.insert("t1".into(), FaceGrant { subject: subject.clone(), grant: grant.clone() });
    rules.cards.insert("c1".into(), CardGrant { subject: Some(subject), grant });
    rules.freshness = Some(Freshness { statement_at: NOW.wall, received: Some(NOW.mono) });
    rules
}

pub(super) fn plate() -> PlateEvidence {
    PlateEvidence {
        best: Some(PlateMatch { plate: "p1".into(), log_likelihood_ratio: 9.0, threshold: 4.0 }),
        frames: 3,
        in_zone: true,
        vehicle: VehiclePresence::Present,
    }
}

pub(super) fn face() -> FaceEvidence {
    FaceEvidence {
        best: Some(FaceMatch { template: "t1".into(), score: 0.7, threshold: 0.4, runner_up: Some(0.1) }),
        frames: 3,
        in_zone: true,
        liveness: Liveness::Live,
        fitness: Fitness::Production,
    }
}

pub(super) fn remote() -> RemoteOpen {
    let command = RemoteCommand { id: "cmd".into(), boot_id: "boot-1".into(), expires_at: NOW.wall.plus_ms(10_000) };
    RemoteOpen { command, first_seen: true, origin: Origin::Customer, subject: Some("s1".into()) }
}

pub(super) fn all_kinds() -> [Evidence; 5] {
    [
        Evidence::Plate(plate()),
        Evidence::Face(face()),
        Evidence::Card("c1".into()),
        Evidence::ExitButton,
        Evidence::RemoteOpen(remote()),
    ]
}

pub(super) fn request(evidence: Evidence) -> AccessRequest {
    AccessRequest { access_point: "gate".into(), direction: Direction::Entry, evidence, at: NOW.wall, mono: NOW.mono }
}

pub(super) fn reason(rules: &RuleSet, evidence: Evidence) -> Reason {
    decide(&request(evidence), rules, NOW).reason
}

/// The reason after a change to the plate's evidence.
fn with_plate(change: impl FnOnce(&mut PlateEvidence)) -> Reason {
    let mut seen = plate();
    change(&mut seen);
    reason(&rules(), Evidence::Plate(seen))
}

/// The reason after a change to the face's evidence.
fn with_face(change: impl FnOnce(&mut FaceEvidence)) -> Reason {
    let mut seen = face();
    change(&mut seen);
    reason(&rules(), Evidence::Face(seen))
}

/// The reasons of all five kinds, in order, after a change to the rules.
fn with_rules(change: impl FnOnce(&mut RuleSet)) -> [Reason; 5] {
    let mut rules = rules();
    change(&mut rules);
    all_kinds().map(|evidence| reason(&rules, evidence))
}

#[test]
fn a_resident_is_admitted_by_every_means() {
    use Reason::*;
    assert_eq!(with_rules(|_| ()), [PlateAdmitted, FaceAdmitted, CardAdmitted, ExitButton, RemoteOpen]);
    let decision = decide(&request(Evidence::Plate(plate())), &rules(), NOW);
    assert!(decision.is_allowed());
    assert_eq!(decision.credential, Some(CredentialRef::Plate("p1".into())));
    assert_eq!(decision.subject, Some("s1".into()));
    assert_eq!((decision.method, decision.at), (Method::Plate, NOW.wall));
}

#[test]
fn a_plate_needs_certainty_frames_zone_and_car() {
    assert_eq!(with_plate(|p| p.best = None), Reason::PlateUnknown);
    assert_eq!(with_plate(|p| p.best.as_mut().unwrap().log_likelihood_ratio = 0.0), Reason::PlateUnknown);
    assert_eq!(with_plate(|p| p.best.as_mut().unwrap().log_likelihood_ratio = f64::NAN), Reason::PlateUnknown);
    assert_eq!(with_plate(|p| p.best.as_mut().unwrap().log_likelihood_ratio = 3.9), Reason::PlateUncertain);
    assert_eq!(with_plate(|p| p.best.as_mut().unwrap().threshold = f64::NAN), Reason::PlateUncertain);
    assert_eq!(with_plate(|p| p.best.as_mut().unwrap().plate = "p9".into()), Reason::PlateUnknown);
    assert_eq!(with_plate(|p| p.frames = 1), Reason::PlateTooFewFrames);
    assert_eq!(with_plate(|p| p.in_zone = false), Reason::PlateOutsideZone);
    assert_eq!(with_plate(|p| p.vehicle = VehiclePresence::Absent), Reason::LoopClear);
    assert_eq!(with_plate(|p| p.vehicle = VehiclePresence::Unknown), Reason::EquipmentFault);
    assert_eq!(with_plate(|p| p.vehicle = VehiclePresence::NoLoop), Reason::PlateAdmitted);
}

#[test]
fn a_face_needs_certainty_frames_zone_and_life() {
    assert_eq!(with_face(|f| f.best = None), Reason::FaceUnknown);
    assert_eq!(with_face(|f| f.best.as_mut().unwrap().score = 0.39), Reason::FaceBelowThreshold);
    assert_eq!(with_face(|f| f.best.as_mut().unwrap().score = f32::NAN), Reason::FaceBelowThreshold);
    assert_eq!(with_face(|f| f.best.as_mut().unwrap().runner_up = Some(0.66)), Reason::FaceAmbiguous);
    assert_eq!(with_face(|f| f.best.as_mut().unwrap().runner_up = Some(f32::NAN)), Reason::FaceAmbiguous);
    assert_eq!(with_face(|f| f.best.as_mut().unwrap().runner_up = None), Reason::FaceAdmitted);
    assert_eq!(with_face(|f| f.best.as_mut().unwrap().template = "t9".into()), Reason::FaceErased);
    assert_eq!(with_face(|f| f.frames = 1), Reason::FaceTooFewFrames);
    assert_eq!(with_face(|f| f.in_zone = false), Reason::FaceOutsideZone);
    assert_eq!(with_face(|f| f.liveness = Liveness::Spoof), Reason::FaceSpoof);
    assert_eq!(with_face(|f| f.liveness = Liveness::Unknown), Reason::FaceLivenessUnknown);
}

#[test]
fn liveness_counts_as_the_access_point_says() {
    let seen = |liveness| Evidence::Face(FaceEvidence { liveness, ..face() });
    for (pad, unknown, spoof) in [
        (PadPolicy::Require, Reason::FaceLivenessUnknown, Reason::FaceSpoof),
        (PadPolicy::Log, Reason::FaceAdmitted, Reason::FaceAdmitted),
        (PadPolicy::Off, Reason::FaceAdmitted, Reason::FaceAdmitted),
    ] {
        let mut rules = rules();
        rules.access_points.insert("gate".into(), AccessPoint { pad, ..AccessPoint::default() });
        assert_eq!(reason(&rules, seen(Liveness::Live)), Reason::FaceAdmitted, "{pad:?}");
        assert_eq!(reason(&rules, seen(Liveness::Unknown)), unknown, "{pad:?}");
        assert_eq!(reason(&rules, seen(Liveness::Spoof)), spoof, "{pad:?}");
    }
    // until enough frames were judged, it is too early to say that nobody could
    assert_eq!(with_face(|f| (f.frames, f.liveness) = (1, Liveness::Unknown)), Reason::FaceTooFewFrames);
}

#[test]
fn a_demonstration_opens_no_door_unless_the_site_says_so() {
    let demo = || Evidence::Face(FaceEvidence { fitness: Fitness::Demo, ..face() });
    let mut rules = rules();
    assert_eq!(reason(&rules, demo()), Reason::FaceModelDemo);
    rules.limits.demo_face_models = true;
    assert_eq!(reason(&rules, demo()), Reason::FaceAdmitted);
}

#[test]
fn a_stranger_is_not_recorded_under_a_residents_id() {
    let mut seen = face();
    seen.best.as_mut().unwrap().score = 0.3;
    let decision = decide(&request(Evidence::Face(seen)), &rules(), NOW);
    assert_eq!((decision.credential, decision.subject), (None, None));
    let mut seen = plate();
    seen.best.as_mut().unwrap().log_likelihood_ratio = -20.0;
    let decision = decide(&request(Evidence::Plate(seen)), &rules(), NOW);
    assert_eq!((decision.credential, decision.subject), (None, None));
}

#[test]
fn a_sold_flat_opens_by_nothing() {
    use Reason::*;
    let sold = |from| move |r: &mut RuleSet| r.blocks.insert(Blockable::Subject("s1".into()), from);
    assert_eq!(
        with_rules(sold(NOW.wall)),
        [SubjectBlocked, SubjectBlocked, SubjectBlocked, ExitButton, SubjectBlocked]
    );
    assert_eq!(with_rules(sold(NOW.wall.plus_ms(1)))[0], PlateAdmitted, "not before the day of the sale");
}

#[test]
fn a_blocked_plate_is_blocked_under_every_registration() {
    let blocked = Plate::parse("а123вс77", &Grammars::default()).unwrap();
    let mut rules = rules();
    rules.plates.insert("p2".into(), PlateGrant { plate: blocked.clone(), subject: None, grant: Grant::default() });
    rules.blocks.insert(Blockable::Plate(blocked), NOW.wall);
    for id in ["p1", "p2"] {
        let mut seen = plate();
        seen.best.as_mut().unwrap().plate = id.into();
        assert_eq!(reason(&rules, Evidence::Plate(seen)), Reason::PlateBlocked);
    }
}

#[test]
fn a_blocked_or_unknown_card_does_not_open() {
    assert_eq!(with_rules(|r| r.blocks.insert(Blockable::Card("c1".into()), NOW.wall))[2], Reason::CardBlocked);
    assert_eq!(reason(&rules(), Evidence::Card("c9".into())), Reason::CardUnknown);
}

#[test]
fn past_the_staleness_limit_the_face_is_refused_and_the_plate_admitted() {
    use Reason::*;
    let silent = |r: &mut RuleSet| {
        r.limits = Limits { face_max_staleness_s: 10, ..r.limits };
        let received = Some(Monotonic(NOW.mono.0 - 10_001));
        r.freshness = Some(Freshness { statement_at: NOW.wall.plus_ms(-10_001), received });
    };
    assert_eq!(with_rules(silent), [PlateAdmitted, FaceStale, CardAdmitted, ExitButton, RemoteOpen]);
    assert_eq!(with_rules(|r| r.freshness = None)[1], FaceStale, "never heard from the cloud");
}

#[test]
fn plates_and_cards_go_stale_where_the_site_says_so() {
    let strict = |r: &mut RuleSet| {
        r.limits = Limits { plate_max_staleness_s: Some(0), card_max_staleness_s: Some(0), ..r.limits };
        r.freshness = None;
    };
    let reasons = with_rules(strict);
    assert_eq!((reasons[0], reasons[2]), (Reason::PlateStale, Reason::CardStale));
}

#[test]
fn modes_and_faults_stop_everything_but_the_way_out() {
    use Reason::*;
    let point = |r: &mut RuleSet, mode, faulted| {
        let point = AccessPoint { mode, faulted, ..AccessPoint::default() };
        r.access_points.insert("gate".into(), point);
    };
    assert_eq!(
        with_rules(|r| point(r, Mode::LockedDown, false)),
        [LockedDown, LockedDown, LockedDown, ExitButton, LockedDown]
    );
    assert_eq!(
        with_rules(|r| point(r, Mode::Normal, true)),
        [EquipmentFault, EquipmentFault, EquipmentFault, ExitButton, EquipmentFault]
    );
    assert_eq!(with_rules(|r| point(r, Mode::HeldOpen, false))[0], PlateAdmitted);
    assert_eq!(
        with_rules(|r| r.access_points.clear()),
        [AccessPointUnknown, AccessPointUnknown, AccessPointUnknown, ExitButton, AccessPointUnknown]
    );
}

#[test]
fn a_gate_opens_only_for_the_methods_it_accepts() {
    let reasons = with_rules(|r| {
        r.access_points
            .insert("gate".into(), AccessPoint { methods: [Method::Plate].into(), ..AccessPoint::default() });
    });
    assert_eq!(reasons[0], Reason::PlateAdmitted);
    assert_eq!((reasons[1], reasons[3]), (Reason::MethodNotAccepted, Reason::ExitButton));
}

#[test]
fn a_grant_is_for_its_gates_and_its_time() {
    let with_grant = |grant: Grant| with_rules(|r| r.plates.get_mut(&"p1".into()).unwrap().grant = grant)[0];
    let door = Grant { access_points: Some(["door".into()].into()), ..Grant::default() };
    assert_eq!(with_grant(door), Reason::OtherAccessPoint);
    assert_eq!(with_grant(Grant { valid_until: Some(NOW.wall), ..Grant::default() }), Reason::Expired);
    let later = Grant { valid_from: Some(NOW.wall.plus_ms(1)), ..Grant::default() };
    assert_eq!(with_grant(later), Reason::NotYetValid);
    let never = crate::schedule::Schedule::new(180, vec![]).unwrap();
    assert_eq!(with_grant(Grant { schedule: Some(never), ..Grant::default() }), Reason::OutsideSchedule);
}

#[test]
fn the_gate_does_not_open_after_the_person_has_walked_away() {
    let mut late = request(Evidence::Plate(plate()));
    late.mono = Monotonic(NOW.mono.0 - 3_001);
    assert_eq!(decide(&late, &rules(), NOW).reason, Reason::EvidenceTooOld);
    late.mono = Monotonic(NOW.mono.0 - 3_000);
    assert_eq!(decide(&late, &rules(), NOW).reason, Reason::PlateAdmitted);
}

#[test]
fn commands_are_for_this_boot_fresh_and_once() {
    let with_remote = |change: fn(&mut RemoteOpen)| {
        let mut open = remote();
        change(&mut open);
        reason(&rules(), Evidence::RemoteOpen(open))
    };
    assert_eq!(with_remote(|o| o.first_seen = false), Reason::CommandReplayed);
    assert_eq!(with_remote(|o| o.command.boot_id = "boot-0".into()), Reason::CommandOtherBoot);
    assert_eq!(with_remote(|o| o.command.expires_at = NOW.wall), Reason::CommandExpired);
    assert_eq!(with_remote(|o| o.command.expires_at = NOW.wall.plus_ms(30_001)), Reason::CommandExpiryTooFar);
    assert_eq!(with_remote(|o| o.subject = None), Reason::RemoteOpen);
}

#[test]
fn a_clock_set_back_revives_no_command() {
    let mut rules = rules();
    rules.clock_floor = NOW.wall.plus_ms(3_600_000);
    assert_eq!(reason(&rules, Evidence::RemoteOpen(remote())), Reason::CommandExpired);
}

#[test]
fn whoever_is_really_there_may_leave() {
    let mut rules = rules();
    rules.blocks.insert(Blockable::Subject("s1".into()), NOW.wall);
    rules.access_points.insert("gate".into(), AccessPoint { mode: Mode::LockedDown, ..AccessPoint::default() });
    let mut stranger = plate();
    stranger.best = None;
    for evidence in [Evidence::Plate(stranger), Evidence::Face(face()), Evidence::Card("c9".into())] {
        let leaving = AccessRequest { direction: Direction::Exit, ..request(evidence) };
        assert_eq!(decide(&leaving, &rules, NOW).reason, Reason::ExitFree);
    }
}

#[test]
fn a_parked_car_behind_the_exit_does_not_open_it() {
    let parked = PlateEvidence { in_zone: false, ..plate() };
    let request = AccessRequest { direction: Direction::Exit, ..request(Evidence::Plate(parked)) };
    assert_eq!(decide(&request, &rules(), NOW).reason, Reason::PlateOutsideZone);
}

#[test]
fn a_replayed_command_does_not_open_the_exit_either() {
    let replayed = RemoteOpen { first_seen: false, ..remote() };
    let request = AccessRequest { direction: Direction::Exit, ..request(Evidence::RemoteOpen(replayed)) };
    assert_eq!(decide(&request, &rules(), NOW).reason, Reason::CommandReplayed);
}
