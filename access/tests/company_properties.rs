//! Sequences of people, clocks and restarts against what anti-passback, two factors and postures promise.
#![expect(clippy::expect_used, reason = "a generator of a test may fail it")]

use std::collections::BTreeSet;

use cardea_access::credential::{
    Evidence, FaceEvidence, FaceMatch, Fitness, Liveness, Method, PlateEvidence, PlateMatch, VehiclePresence,
};
use cardea_access::factors::{Factors, TwoFactor};
use cardea_access::grammar::Grammars;
use cardea_access::passback::{Change, Holder, Ledger, Passback, Since};
use cardea_access::posture::{self, Fitted, Order, Posture};
use cardea_access::rules::{AccessPoint, Area, CardGrant, FaceGrant, Freshness, Grant, Mode, PlateGrant};
use cardea_access::{AccessRequest, Direction, Monotonic, Now, Plate, Reason, RuleSet, Timestamp, decide};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const WITHIN_MS: u64 = 60_000;

#[derive(Clone, Debug)]
enum Step {
    /// Someone presents something: person, method, access point (two ways in, one way out).
    Present(u8, Method, usize),
    /// What became of the last opening: whether someone passed.
    Ends(bool),
    /// Time goes on.
    Wait(u64),
    /// The wall clock is set, in seconds from where it was.
    SetClock(i64),
    /// The program starts anew; `true`: the machine too.
    Restart(bool),
    Button(usize),
    Mode(Mode),
}

const POINTS: [&str; 3] = ["gate", "door", "exit"];

fn step() -> impl Strategy<Value = Step> {
    let method = prop_oneof![Just(Method::Plate), Just(Method::Face), Just(Method::Card)];
    let mode = prop_oneof![3 => Just(Mode::Normal), 1 => Just(Mode::LockedDown), 1 => Just(Mode::HeldOpen)];
    prop_oneof![
        8 => (0..3u8, method, 0..3usize).prop_map(|(who, method, point)| Step::Present(who, method, point)),
        4 => any::<bool>().prop_map(Step::Ends),
        3 => (0..90_000u64).prop_map(Step::Wait),
        1 => (-100_000..100_000i64).prop_map(Step::SetClock),
        1 => any::<bool>().prop_map(Step::Restart),
        1 => (0..3usize).prop_map(Step::Button),
        1 => mode.prop_map(Step::Mode),
    ]
}

fn evidence(who: u8, method: Method) -> Evidence {
    match method {
        Method::Plate => Evidence::Plate(PlateEvidence {
            best: Some(PlateMatch { plate: format!("p{who}").into(), log_likelihood_ratio: 9.0, threshold: 4.0 }),
            frames: 3,
            in_zone: true,
            vehicle: VehiclePresence::NoLoop,
        }),
        Method::Face => Evidence::Face(FaceEvidence {
            best: Some(FaceMatch { template: format!("t{who}").into(), score: 0.9, threshold: 0.4, runner_up: None }),
            frames: 3,
            in_zone: true,
            liveness: Liveness::Live,
            fitness: Fitness::Production,
        }),
        _ => Evidence::Card(format!("c{who}").into()),
    }
}

/// Three people; the plate of the third belongs to nobody, and so does the card of the second.
fn rules(passback: Passback, two_factor: bool, any_order: bool) -> RuleSet {
    let mut rules = RuleSet::new("boot".into());
    let area = Some(Area { id: "garage".into(), passback });
    let asked = TwoFactor { first: Method::Plate, second: Method::Face, any_order, within_ms: WITHIN_MS };
    let gate = AccessPoint { area: area.clone(), two_factor: two_factor.then_some(asked), ..AccessPoint::default() };
    rules.access_points.insert("gate".into(), gate.clone());
    rules.access_points.insert("door".into(), gate);
    rules.access_points.insert("exit".into(), AccessPoint { area, ..AccessPoint::default() });
    for (who, plate) in ["A123BC77", "A123BC777", "B321CA77"].into_iter().enumerate() {
        let plate = Plate::parse(plate, &Grammars::default()).expect("a plate");
        let (subject, grant) = (format!("s{who}").as_str().into(), Grant::default());
        let owner = (who != 2).then(|| format!("s{who}").as_str().into());
        rules.plates.insert(format!("p{who}").into(), PlateGrant { plate, subject: owner, grant: grant.clone() });
        rules.faces.insert(format!("t{who}").into(), FaceGrant { subject, grant: grant.clone() });
        let owner = (who != 1).then(|| format!("s{who}").as_str().into());
        rules.cards.insert(format!("c{who}").into(), CardGrant { subject: owner, grant });
    }
    rules
}

/// What the tests remember by themselves: lists, searched from end to end.
#[derive(Default)]
struct Witness {
    inside: BTreeSet<Holder>,
    /// First factors since the last restart that no admission has used up: where, what, when.
    first: Vec<(usize, Method, u64)>,
    kept: Vec<(Holder, Since)>,
    admitted: usize,
    refused: BTreeSet<Reason>,
}

fn play(mut rules: RuleSet, passback: Passback, steps: &[Step]) -> Result<Witness, TestCaseError> {
    let mut now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(500_000) };
    let mut witness = Witness::default();
    let mut opening = None;
    for step in steps {
        rules.freshness = Some(Freshness { statement_at: now.wall, received: Some(now.mono) });
        match step {
            Step::Wait(ms) => now = Now { wall: now.wall.plus_ms(*ms as i64), mono: now.mono.plus_ms(*ms) },
            Step::SetClock(s) => now.wall = now.wall.plus_ms(s * 1_000),
            Step::Mode(mode) => rules.access_points.values_mut().for_each(|point| point.mode = *mode),
            Step::Restart(machine) => {
                opening = None;
                if *machine {
                    now.mono = Monotonic(0);
                }
                let keep = |since: &Since| Since { mono: since.mono.filter(|_| !machine), ..*since };
                let kept = witness.kept.iter().map(|(who, since)| ("garage".into(), who.clone(), keep(since)));
                rules.ledger = Ledger::restore(kept.collect::<Vec<_>>(), now);
                rules.factors = Factors::default();
                witness.first.clear();
            }
            Step::Button(point) => {
                let request = request(*point, Evidence::ExitButton, now);
                prop_assert!(decide(&request, &rules, now).is_allowed());
            }
            Step::Ends(passed) => {
                let Some(passage) = opening.take() else { continue };
                if !passed {
                    rules.ledger.not_passed(&passage);
                    continue;
                }
                witness.kept.retain(|(who, _)| *who != passage.holder);
                match rules.ledger.passed(&passage, now) {
                    Some(Change::Inside(_, who, since)) => {
                        witness.inside.insert(who.clone());
                        witness.kept.push((who, since));
                    }
                    Some(Change::Outside(_, who)) => drop(witness.inside.remove(&who)),
                    None => {}
                }
            }
            Step::Present(who, method, point) => {
                if let Some(passage) = opening.take() {
                    rules.ledger.not_passed(&passage);
                }
                let request = request(*point, evidence(*who, *method), now);
                let decision = decide(&request, &rules, now);
                rules.factors.decided(&decision, now.mono);
                if request.direction == Direction::Exit {
                    prop_assert!(decision.is_allowed(), "nobody is kept in: {decision:?}");
                } else {
                    judge(&decision, &rules, passback, &mut witness, (*point, *method, now))?;
                }
                if let Some(passage) = decision.passage {
                    rules.ledger.admitted(&passage, now);
                    opening = Some(passage);
                }
            }
        }
    }
    Ok(witness)
}

fn request(point: usize, evidence: Evidence, now: Now) -> AccessRequest {
    let direction = if POINTS[point] == "exit" { Direction::Exit } else { Direction::Entry };
    AccessRequest { access_point: POINTS[point].into(), direction, evidence, at: now.wall, mono: now.mono }
}

fn judge(
    decision: &cardea_access::Decision,
    rules: &RuleSet,
    passback: Passback,
    witness: &mut Witness,
    (point, method, now): (usize, Method, Now),
) -> Result<(), TestCaseError> {
    let rule = &rules.access_points[&cardea_access::id::AccessPointId::from(POINTS[point])];
    if decision.reason == Reason::SecondFactorAwaited {
        witness.first.push((point, method, now.mono.0));
    }
    if !decision.is_allowed() {
        witness.refused.insert(decision.reason);
        return Ok(());
    }
    witness.admitted += 1;
    prop_assert!(rule.mode != Mode::LockedDown, "lockdown: {decision:?}");
    if passback == Passback::Hard {
        let holder = decision.passage.as_ref().map(|passage| &passage.holder);
        prop_assert!(holder.is_some_and(|who| !witness.inside.contains(who)), "inside already: {decision:?}");
    }
    if rule.two_factor.is_some() {
        let complete = witness.first.iter().any(|(at, other, mono)| {
            *at == point && *other != method && (now.mono.0.checked_sub(*mono)).is_some_and(|age| age <= WITHIN_MS)
        });
        prop_assert!(complete, "one factor: {decision:?}");
        witness.first.retain(|(at, ..)| *at != point);
    }
    Ok(())
}

fn passback() -> impl Strategy<Value = Passback> {
    prop_oneof![Just(Passback::Hard), Just(Passback::Soft), Just(Passback::Timed { within_ms: 120_000 })]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_lets_in_twice_with_half_or_in_a_lockdown(
        passback in passback(),
        two_factor in any::<bool>(),
        any_order in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        play(rules(passback, two_factor, any_order), passback, &steps)?;
    }

    /// Nothing holds open that does not say so in this run: neither a restart nor a lost board brings a posture back.
    #[test]
    fn no_posture_opens_by_itself(
        fitted in (0..3usize, 0..3usize, any::<bool>()),
        locked_down in any::<bool>(),
        events in prop::collection::vec(posture_event(), 0..30),
    ) {
        let (lockdown_inputs, free_access_inputs, after_first) = fitted;
        let mut posture = Posture::new(Fitted { lockdown_inputs, free_access_inputs, after_first }, locked_down);
        let (mut ordered, mut switches, mut hours) = (false, [None; 3], false);
        let mut panic = [None; 3];
        let mut locked = locked_down;
        prop_assert!(posture.mode().0 != Mode::HeldOpen, "after a start");
        for event in events {
            posture.handle(event);
            match event {
                posture::Event::Ordered(Order::FreeAccess) => ordered = !locked,
                posture::Event::Ordered(order) => (ordered, locked) = (false, order == Order::Lockdown),
                posture::Event::EquipmentLost => ordered = false,
                posture::Event::FreeAccessInput(n, level) => switches[n] = level,
                posture::Event::LockdownInput(n, level) => panic[n] = level.or(panic[n]),
                posture::Event::Hours(open) => hours = open,
                posture::Event::Admitted => {}
            }
            let (mode, _) = posture.mode();
            let says_so = ordered || hours || switches[..free_access_inputs].contains(&Some(true));
            prop_assert!(mode != Mode::HeldOpen || says_so);
            prop_assert!(!locked || mode == Mode::LockedDown, "only an order to end it ends an ordered lockdown");
            let alarm = panic[..lockdown_inputs].iter().any(|level| *level != Some(false));
            ordered &= !alarm;
            prop_assert!(!alarm || mode == Mode::LockedDown);
        }
    }
}

fn posture_event() -> impl Strategy<Value = posture::Event> {
    use posture::Event::*;
    let order = prop_oneof![Just(Order::Normal), Just(Order::Lockdown), Just(Order::FreeAccess)];
    prop_oneof![
        order.prop_map(Ordered),
        (0..3usize, any::<Option<bool>>()).prop_map(|(n, level)| LockdownInput(n, level)),
        (0..3usize, any::<Option<bool>>()).prop_map(|(n, level)| FreeAccessInput(n, level)),
        any::<bool>().prop_map(Hours),
        Just(Admitted),
        Just(EquipmentLost),
    ]
}

/// The sequences prove nothing if what they speak of does not occur in them.
#[test]
fn admissions_and_every_refusal_of_company_occur() {
    use proptest::strategy::ValueTree;
    let config = ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let cases = (passback(), any::<bool>(), any::<bool>(), prop::collection::vec(step(), 1..60));
    let (mut admitted, mut refused) = (0, BTreeSet::new());
    for _ in 0..500 {
        let (passback, two, any_order, steps) = cases.new_tree(&mut runner).expect("a case").current();
        let witness = play(rules(passback, two, any_order), passback, &steps).expect("a good sequence");
        admitted += witness.admitted;
        refused.extend(witness.refused);
    }
    assert!(admitted > 500, "{admitted}");
    for reason in [
        Reason::PassbackInside,
        Reason::PassbackTooSoon,
        Reason::SecondFactorAwaited,
        Reason::SecondFactorLate,
        Reason::SecondFactorOtherSubject,
        Reason::FirstFactorMissing,
        Reason::LockedDown,
    ] {
        assert!(refused.contains(&reason), "{reason:?} does not occur: {refused:?}");
    }
}
