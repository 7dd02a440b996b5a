//! What depends on who passed before, or presented what before; by example.

use super::tests::*;
use super::*;
use crate::credential::PlateMatch;
use crate::factors::TwoFactor;
use crate::passback::Passback;
use crate::rules::{Area, CardGrant};
use crate::schedule::{Hours, Schedule, Weekday};

fn at(s: u64) -> Now {
    Now { wall: NOW.wall.plus_ms(s as i64 * 1_000), mono: NOW.mono.plus_ms(s * 1_000) }
}

/// The decision at `s` seconds about evidence captured then; the rules are told of it.
fn decided(rules: &mut RuleSet, access_point: &str, evidence: Evidence, s: u64) -> Decision {
    let now = at(s);
    let request =
        AccessRequest { access_point: access_point.into(), at: now.wall, mono: now.mono, ..request(evidence) };
    let decision = decide(&request, rules, now);
    rules.factors.decided(&decision, now.mono);
    decision
}

fn reason_at(rules: &mut RuleSet, evidence: Evidence, s: u64) -> Reason {
    decided(rules, "gate", evidence, s).reason
}

fn plate_then_face(any_order: bool) -> RuleSet {
    let mut rules = rules();
    let asked = TwoFactor { first: Method::Plate, second: Method::Face, any_order, within_ms: 60_000 };
    rules.access_points.insert("gate".into(), AccessPoint { two_factor: Some(asked), ..AccessPoint::default() });
    rules
}

#[test]
fn a_plate_and_then_a_face_open_and_neither_alone() {
    let (plate, face) = (|| Evidence::Plate(plate()), || Evidence::Face(face()));
    let mut rules = plate_then_face(false);
    assert_eq!(reason_at(&mut rules, face(), 0), Reason::FirstFactorMissing);
    assert_eq!(reason_at(&mut rules, plate(), 1), Reason::SecondFactorAwaited);
    assert_eq!(reason_at(&mut rules, plate(), 2), Reason::SecondFactorAwaited, "twice the first is not the second");
    assert_eq!(reason_at(&mut rules, face(), 62), Reason::FaceAdmitted);
    assert_eq!(reason_at(&mut rules, face(), 63), Reason::FirstFactorMissing, "it is used up");
    assert_eq!(reason_at(&mut rules, plate(), 100), Reason::SecondFactorAwaited);
    assert_eq!(reason_at(&mut rules, face(), 161), Reason::SecondFactorLate);
    assert_eq!(reason_at(&mut rules, face(), 221), Reason::FirstFactorMissing, "long ago");
    assert_eq!(reason_at(&mut rules, Evidence::Card("c1".into()), 222), Reason::MethodNotAccepted);
    assert_eq!(reason_at(&mut rules, Evidence::ExitButton, 223), Reason::ExitButton);
}

#[test]
fn in_any_order_either_begins() {
    let mut rules = plate_then_face(true);
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 0), Reason::SecondFactorAwaited);
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 5), Reason::PlateAdmitted);
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 6), Reason::SecondFactorAwaited);
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 67), Reason::SecondFactorAwaited, "a new beginning");
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 68), Reason::PlateAdmitted);
}

#[test]
fn two_factors_are_one_persons_where_that_is_known() {
    let mut rules = plate_then_face(false);
    rules.plates.get_mut(&"p1".into()).unwrap().subject = Some("s2".into());
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 0), Reason::SecondFactorAwaited);
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 1), Reason::SecondFactorOtherSubject);
    rules.plates.get_mut(&"p1".into()).unwrap().subject = None;
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 2), Reason::SecondFactorAwaited);
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 3), Reason::FaceAdmitted);
}

#[test]
fn a_first_factor_counts_where_it_was_presented() {
    let mut rules = plate_then_face(false);
    let gate = rules.access_points[&AccessPointId::from("gate")].clone();
    rules.access_points.insert("door".into(), gate);
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 0), Reason::SecondFactorAwaited);
    assert_eq!(decided(&mut rules, "door", Evidence::Face(face()), 1).reason, Reason::FirstFactorMissing);
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 2), Reason::FaceAdmitted);
}

#[test]
fn a_plate_counts_while_its_vehicle_is_there() {
    let mut rules = plate_then_face(true);
    assert_eq!(reason_at(&mut rules, Evidence::Plate(plate()), 0), Reason::SecondFactorAwaited);
    rules.factors.vehicle_left(&"door".into());
    assert_eq!(rules.factors.presented(&"gate".into(), 60_000, at(1).mono), Some(Method::Plate));
    rules.factors.vehicle_left(&"gate".into());
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 1), Reason::SecondFactorAwaited, "a new beginning");
    rules.factors.vehicle_left(&"gate".into());
    assert_eq!(
        reason_at(&mut rules, Evidence::Plate(plate()), 2),
        Reason::PlateAdmitted,
        "a face comes without a vehicle"
    );
}

#[test]
fn whoever_is_blocked_between_the_two_is_refused() {
    let mut rules = plate_then_face(true);
    rules.cards.insert("c2".into(), CardGrant { subject: None, grant: Grant::default() });
    let asked = TwoFactor { first: Method::Face, second: Method::Card, any_order: true, within_ms: 60_000 };
    rules.access_points.get_mut(&"gate".into()).unwrap().two_factor = Some(asked);
    assert_eq!(reason_at(&mut rules, Evidence::Face(face()), 0), Reason::SecondFactorAwaited);
    rules.blocks.insert(Blockable::Subject("s1".into()), Timestamp(0));
    assert_eq!(reason_at(&mut rules, Evidence::Card("c2".into()), 1), Reason::SubjectBlocked);
}

fn area(passback: Passback) -> RuleSet {
    let mut rules = rules();
    let area = Some(Area { id: "garage".into(), passback });
    rules.access_points.insert("gate".into(), AccessPoint { area, ..AccessPoint::default() });
    rules
}

#[test]
fn one_credential_lets_in_one_person_by_whatever_means() {
    for (passback, again) in [
        (Passback::Hard, Reason::PassbackInside),
        (Passback::Timed { within_ms: 60_000 }, Reason::PassbackTooSoon),
        (Passback::Soft, Reason::FaceAdmitted),
    ] {
        let mut rules = area(passback);
        let first = decided(&mut rules, "gate", Evidence::Card("c1".into()), 0);
        assert!(first.is_allowed() && !first.passback);
        rules.ledger.passed(first.passage.as_ref().unwrap(), at(1));
        let second = decided(&mut rules, "gate", Evidence::Face(face()), 2);
        assert_eq!((second.reason, second.passback), (again, passback == Passback::Soft), "the same subject");
        let out = AccessRequest { direction: Direction::Exit, ..request(Evidence::Plate(plate())) };
        let out = decide(&out, &rules, NOW);
        assert_eq!(out.reason, Reason::ExitFree);
        rules.ledger.passed(out.passage.as_ref().unwrap(), at(3));
        let third = decided(&mut rules, "gate", Evidence::Face(face()), 4);
        assert!(third.is_allowed() && !third.passback, "{third:?}");
    }
}

#[test]
fn who_leaves_is_known_only_where_that_is_as_sure_as_on_the_way_in() {
    let rules = area(Passback::Hard);
    let out = |evidence| {
        let request = AccessRequest { direction: Direction::Exit, ..request(evidence) };
        let decision = decide(&request, &rules, NOW);
        assert_eq!(decision.reason, Reason::ExitFree, "everybody may leave");
        decision.passage
    };
    assert!(out(Evidence::Plate(plate())).is_some() && out(Evidence::Face(face())).is_some());
    let doubtful = |ratio| {
        let best = plate().best.map(|best| PlateMatch { log_likelihood_ratio: ratio, ..best });
        PlateEvidence { best, ..plate() }
    };
    let threshold = plate().best.unwrap().threshold;
    assert!(out(Evidence::Plate(doubtful(threshold))).is_some());
    assert_eq!(out(Evidence::Plate(doubtful(threshold - 0.1))), None, "a misread plate");
    assert_eq!(out(Evidence::Plate(PlateEvidence { frames: 0, ..plate() })), None);
    for picture in [PictureCheck::Differs, PictureCheck::Missing] {
        assert_eq!(out(Evidence::PushedPlate(PushedPlate { plate: plate(), picture })), None, "{picture:?}");
    }
    assert_eq!(out(Evidence::Face(FaceEvidence { liveness: Liveness::Spoof, ..face() })), None, "a photograph");
    assert_eq!(out(Evidence::Card("nobody's".into())), None);
}

#[test]
fn without_a_subject_the_credential_counts_and_without_either_nobody() {
    let mut rules = area(Passback::Hard);
    rules.plates.get_mut(&"p1".into()).unwrap().subject = None;
    let decision = decided(&mut rules, "gate", Evidence::Plate(plate()), 0);
    assert_eq!(decision.passage.unwrap().holder, Holder::Plate("p1".into()));
    let anonymous = Evidence::RemoteOpen(RemoteOpen { subject: None, ..remote() });
    assert_eq!(decided(&mut rules, "gate", anonymous, 0).passage, None);
    assert_eq!(decided(&mut rules, "door", Evidence::Face(face()), 0).passage, None, "a door without an area");
    assert_eq!(decided(&mut rules, "gate", Evidence::ExitButton, 0).passage, None);
}

#[test]
fn hours_of_an_access_point_bind_what_they_name() {
    let mut rules = rules();
    let never = Schedule::new(180, vec![]).unwrap();
    let always = Weekday::ALL.map(|day| Hours { day, from_min: 0, to_min: 1440 }).to_vec();
    let always = Schedule::new(180, always).unwrap();
    let hours = [(Method::Face, never), (Method::Card, always)].into();
    rules.access_points.insert("gate".into(), AccessPoint { hours, ..AccessPoint::default() });
    use Reason::*;
    let reasons = all_kinds().map(|evidence| reason(&rules, evidence));
    assert_eq!(reasons, [PlateAdmitted, OutsideHours, CardAdmitted, ExitButton, RemoteOpen]);
}
