//! Decisions over random rules, requests and times, against what they promise.
#![expect(clippy::expect_used, reason = "a generator of a test may fail it")]

use cardea_access::command::RemoteCommand;
use cardea_access::credential::{
    Evidence, FaceEvidence, FaceMatch, Fitness, Liveness, Method, Origin, PictureCheck, PlateEvidence, PlateMatch,
    PushedPlate, RemoteOpen, VehiclePresence,
};
use cardea_access::grammar::Grammars;
use cardea_access::rules::{
    AccessPoint, Blockable, CardGrant, FaceGrant, Freshness, Grant, Limits, Mode, PadPolicy, PlateGrant,
};
use cardea_access::{AccessRequest, Direction, Monotonic, Now, Outcome, Plate, Reason, RuleSet, Timestamp, decide};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use std::collections::BTreeMap;

const SUBJECTS: [&str; 2] = ["s0", "s1"];
const PLATES: [&str; 2] = ["A123BC77", "A123BC777"];

fn score() -> impl Strategy<Value = f32> {
    prop_oneof![6 => 0.4..1.0f32, 3 => -1.0..0.4f32, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

fn wall() -> impl Strategy<Value = Timestamp> {
    (0..100_000i64).prop_map(Timestamp)
}

fn grant() -> impl Strategy<Value = Grant> {
    (prop::option::weighted(0.3, wall()), prop::option::weighted(0.3, wall()))
        .prop_map(|(valid_from, valid_until)| Grant { valid_from, valid_until, schedule: None, access_points: None })
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let vehicle = prop_oneof![
        3 => Just(VehiclePresence::Present),
        1 => Just(VehiclePresence::NoLoop),
        1 => Just(VehiclePresence::Absent),
        1 => Just(VehiclePresence::Unknown),
    ];
    let plate = (
        0..3u8,
        prop_oneof![2 => 4.0..20.0f64, 2 => -20.0..4.0f64, 1 => Just(f64::NAN)],
        1..7u32,
        prop::bool::weighted(0.8),
        vehicle,
    )
        .prop_map(|(n, log_likelihood_ratio, frames, in_zone, vehicle)| {
            let best = PlateMatch { plate: format!("p{n}").into(), log_likelihood_ratio, threshold: 4.0 };
            Evidence::Plate(PlateEvidence { best: Some(best), frames, in_zone, vehicle })
        })
        .boxed();
    let picture = prop_oneof![
        4 => Just(PictureCheck::Agrees),
        1 => Just(PictureCheck::Differs),
        1 => Just(PictureCheck::Missing),
        1 => Just(PictureCheck::Waived),
    ];
    let pushed = (plate.clone(), picture).prop_map(|(seen, picture)| {
        let Evidence::Plate(plate) = seen else { return seen };
        Evidence::PushedPlate(PushedPlate { plate, picture })
    });
    let liveness = prop_oneof![4 => Just(Liveness::Live), 1 => Just(Liveness::Unknown), 1 => Just(Liveness::Spoof)];
    let fitness = prop_oneof![3 => Just(Fitness::Production), 1 => Just(Fitness::Demo)];
    let face =
        (0..3u8, score(), prop::option::weighted(0.3, score()), 1..7u32, prop::bool::weighted(0.8), liveness, fitness)
            .prop_map(|(n, score, runner_up, frames, in_zone, liveness, fitness)| {
                let best = FaceMatch { template: format!("t{n}").into(), score, threshold: 0.4, runner_up };
                Evidence::Face(FaceEvidence { best: Some(best), frames, in_zone, liveness, fitness })
            });
    let remote =
        (prop::bool::weighted(0.8), prop_oneof![4 => Just(0u8), 1 => Just(1)], wall(), prop::option::of(0..2usize))
            .prop_map(|(first_seen, boot, expires_at, subject)| {
                let command =
                    RemoteCommand { id: "c".into(), boot_id: format!("boot-{boot}").as_str().into(), expires_at };
                let subject = subject.map(|n| SUBJECTS[n].into());
                Evidence::RemoteOpen(RemoteOpen { command, first_seen, origin: Origin::Customer, subject })
            });
    let card = (0..3u8).prop_map(|n| Evidence::Card(format!("c{n}").into()));
    prop_oneof![3 => plate, 1 => pushed, 3 => face, 1 => card, 1 => Just(Evidence::ExitButton), 2 => remote]
}

fn request() -> impl Strategy<Value = AccessRequest> {
    let point = prop_oneof![12 => Just("gate"), 1 => Just("elsewhere")];
    (point, prop::bool::weighted(0.2), evidence(), wall(), 9_000..20_000u64).prop_map(
        |(point, exit, evidence, at, mono)| AccessRequest {
            access_point: point.into(),
            direction: if exit { Direction::Exit } else { Direction::Entry },
            evidence,
            at,
            mono: Monotonic(mono),
        },
    )
}

fn now() -> impl Strategy<Value = Now> {
    (wall(), 10_000..15_000u64).prop_map(|(wall, mono)| Now { wall, mono: Monotonic(mono) })
}

/// Rules in which much is granted; blocks come from the tests.
fn rules() -> impl Strategy<Value = RuleSet> {
    let mode = prop_oneof![4 => Just(Mode::Normal), 1 => Just(Mode::LockedDown), 1 => Just(Mode::HeldOpen)];
    let freshness = prop::option::weighted(0.8, (wall(), prop::option::of(0..20_000u64)));
    let limits = (0..60u64, prop::option::of(0..60u64), any::<bool>());
    let pad = prop_oneof![Just(PadPolicy::Off), Just(PadPolicy::Log), Just(PadPolicy::Require)];
    (prop::collection::vec(grant(), 6), mode, prop::bool::weighted(0.1), pad, freshness, limits).prop_map(
        |(grants, mode, faulted, pad, freshness, (face_s, plate_s, demo_face_models))| {
            let mut rules = RuleSet::new("boot-0".into());
            rules.access_points.insert("gate".into(), AccessPoint { mode, faulted, pad, ..AccessPoint::default() });
            for n in 0..2 {
                let subject = SUBJECTS[n].into();
                let plate = Plate::parse(PLATES[n], &Grammars::default()).expect("a plate");
                let mut grant = grants[n * 3..].iter().cloned();
                let mut next = || grant.next().unwrap_or_default();
                let id = |kind: &str| format!("{kind}{n}");
                rules
                    .plates
                    .insert(id("p").into(), PlateGrant { plate, subject: Some(SUBJECTS[n].into()), grant: next() });
                rules.faces.insert(id("t").into(), FaceGrant { subject, grant: next() });
                rules.cards.insert(id("c").into(), CardGrant { subject: Some(SUBJECTS[n].into()), grant: next() });
            }
            rules.freshness =
                freshness.map(|(statement_at, received)| Freshness { statement_at, received: received.map(Monotonic) });
            rules.limits = Limits {
                face_max_staleness_s: face_s,
                plate_max_staleness_s: plate_s,
                demo_face_models,
                ..Limits::default()
            };
            rules
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn outcome_and_reason_agree_and_nothing_is_remembered(request in request(), rules in rules(), now in now()) {
        let decision = decide(&request, &rules, now);
        prop_assert_eq!(decision.outcome == Outcome::Allow, decision.reason.admits());
        prop_assert_eq!(decision, decide(&request, &rules, now));
    }

    /// Whatever else holds, a blocked subject does not get in: neither by a credential nor on demand.
    #[test]
    fn a_blocked_subject_is_never_admitted(request in request(), mut rules in rules(), now in now()) {
        for subject in SUBJECTS {
            rules.blocks.insert(Blockable::Subject(subject.into()), Timestamp(0));
        }
        let decision = decide(&request, &rules, now);
        let anonymous = matches!(&request.evidence, Evidence::RemoteOpen(open) if open.subject.is_none());
        let leaves = matches!(decision.reason, Reason::ExitButton | Reason::ExitFree);
        prop_assert!(!decision.is_allowed() || leaves || anonymous, "{decision:?}");
    }

    /// Adding a block never turns a refusal into an admission.
    #[test]
    fn deny_overrides_allow(
        request in request(),
        rules in rules(),
        now in now(),
        subject in 0..2usize,
        plate in 0..2usize,
        from in wall(),
    ) {
        let mut blocked = rules.clone();
        blocked.blocks.insert(Blockable::Subject(SUBJECTS[subject].into()), from);
        blocked.blocks.insert(Blockable::Plate(Plate::parse(PLATES[plate], &Grammars::default()).expect("a plate")), from);
        blocked.blocks.insert(Blockable::Card(format!("c{plate}").into()), from);
        prop_assert!(decide(&request, &rules, now).is_allowed() || !decide(&request, &blocked, now).is_allowed());
    }

    #[test]
    fn a_stale_face_is_never_admitted(request in request(), rules in rules(), now in now()) {
        let decision = decide(&request, &rules, now);
        if decision.reason == Reason::FaceAdmitted {
            let limit_ms = rules.limits.face_max_staleness_s * 1_000;
            let freshness = rules.freshness.expect("a statement of the cloud");
            prop_assert!(now.wall.since_ms(freshness.statement_at) <= limit_ms as i64);
            match freshness.received {
                Some(at) => prop_assert!(now.mono.since_ms(at) <= limit_ms),
                None => prop_assert!(now.wall >= freshness.statement_at),
            }
        }
    }

    /// Whoever is admitted by a credential has met every demand, one by one.
    #[test]
    fn an_admitted_credential_meets_every_demand(request in request(), rules in rules(), now in now()) {
        let decision = decide(&request, &rules, now);
        if decision.is_allowed() && decision.method != Method::ExitButton && decision.reason != Reason::ExitFree {
            let point = &rules.access_points[&request.access_point];
            prop_assert!(point.mode != Mode::LockedDown && !point.faulted);
            match &request.evidence {
                Evidence::Plate(seen) | Evidence::PushedPlate(PushedPlate { plate: seen, .. }) => {
                    if let Evidence::PushedPlate(pushed) = &request.evidence {
                        prop_assert!(matches!(pushed.picture, PictureCheck::Agrees | PictureCheck::Waived));
                    }
                    let best = seen.best.as_ref().expect("a match");
                    prop_assert!(best.log_likelihood_ratio >= best.threshold && seen.frames >= 2 && seen.in_zone);
                    prop_assert!(matches!(seen.vehicle, VehiclePresence::Present | VehiclePresence::NoLoop));
                    prop_assert!(now.mono.since_ms(request.mono) <= rules.limits.evidence_max_age_ms);
                }
                Evidence::Face(seen) => {
                    let best = seen.best.as_ref().expect("a match");
                    prop_assert!(best.score >= best.threshold && seen.frames >= 2 && seen.in_zone);
                    prop_assert!(point.pad != PadPolicy::Require || seen.liveness == Liveness::Live);
                    prop_assert!(seen.fitness == Fitness::Production || rules.limits.demo_face_models);
                }
                Evidence::RemoteOpen(open) => {
                    prop_assert!(open.first_seen && open.command.boot_id == rules.boot_id);
                    prop_assert!(open.command.expires_at > now.wall);
                }
                Evidence::Card(_) | Evidence::ExitButton => {}
            }
        }
    }

    #[test]
    fn nobody_is_kept_in(mut request in request(), rules in rules(), now in now()) {
        let button = AccessRequest { evidence: Evidence::ExitButton, ..request.clone() };
        prop_assert!(decide(&button, &rules, now).is_allowed());
        request.direction = Direction::Exit;
        request.access_point = "gate".into();
        request.mono = now.mono;
        let real = match &mut request.evidence {
            Evidence::Plate(seen) | Evidence::PushedPlate(PushedPlate { plate: seen, .. }) => { seen.in_zone = true; true }
            Evidence::Face(seen) => { seen.in_zone = true; true }
            Evidence::Card(_) | Evidence::ExitButton => true,
            Evidence::RemoteOpen(_) => false,
        };
        prop_assert!(!real || decide(&request, &rules, now).is_allowed());
    }
}

/// The other tests prove nothing if what they speak of does not occur.
#[test]
fn every_reason_to_admit_and_the_refusals_beside_it_occur() {
    let config = ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let mut seen = BTreeMap::<Reason, u32>::new();
    let cases = (request(), rules(), now());
    for _ in 0..8_000 {
        let (request, rules, now) = cases.new_tree(&mut runner).expect("a case").current();
        *seen.entry(decide(&request, &rules, now).reason).or_default() += 1;
    }
    let admitting = Reason::ALL.iter().filter(|r| r.admits());
    for reason in admitting.chain(&[
        Reason::FaceStale,
        Reason::PlateStale,
        Reason::PlatePictureDiffers,
        Reason::FaceSpoof,
        Reason::CommandReplayed,
    ]) {
        assert!(seen.get(reason).is_some_and(|n| *n >= 20), "{reason:?} hardly occurs: {seen:?}");
    }
}
