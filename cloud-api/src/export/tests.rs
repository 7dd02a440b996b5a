//! A bundle tells what it may, and any change to it shows.

use cardea_protocol::event::{AccessDecision, EventKind, Timings};
use cardea_protocol::id::{ControllerId, EventId, PlateId, SubjectToken};
use cardea_protocol::jws::Verifier;
use proptest::prelude::*;

use super::*;
use crate::keys::SigningKey;

const SUBJECT: &str = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f";

fn event(seq: i64, kind: EventKind) -> StoredEvent {
    StoredEvent {
        event_id: EventId::random(),
        controller: ControllerId::new("gate-17").unwrap(),
        at: Timestamp(1_800_000_000_000 + seq * 1_000),
        received_at: Timestamp(1_800_000_000_500 + seq * 1_000),
        access_point: None,
        kind,
    }
}

fn decision() -> EventKind {
    EventKind::AccessDecision(AccessDecision {
        credential: "face".to_owned(),
        granted: true,
        reason: "granted".to_owned(),
        card_id: None,
        plate_id: Some(PlateId::new("registration-77").unwrap()),
        subject: Some(SubjectToken::new(SUBJECT).unwrap()),
        command_id: None,
        score: Some(0.7),
        threshold: Some(0.5),
        liveness: None,
        ends_at: None,
        timings: Timings { detect_ms: Some(3.5), ..Timings::default() },
    })
}

fn sample(key: &SigningKey, names: &Pseudonyms) -> Vec<u8> {
    let period =
        Period { site: SiteId::new("site-1").unwrap(), from: Timestamp(0), until: Timestamp(1_900_000_000_000) };
    let events = vec![
        event(1, decision()),
        event(2, EventKind::AccessPointState { state: "open".to_owned() }),
        event(
            3,
            EventKind::Equipment {
                equipment: "board-10-0-0-7".to_owned(),
                reachable: false,
                detail: Some("no answer from 10.0.0.7:502".to_owned()),
            },
        ),
        event(4, EventKind::Alarm { alarm: "10.0.0.9 is down".to_owned() }),
        event(5, decision()),
    ];
    let actions = vec![StoredAction {
        at: Timestamp(1_800_000_002_500),
        by: By::Account("birch-homes-backend".to_owned()),
        action: "revoke_controller".to_owned(),
        target: Some("gate-17".to_owned()),
        outcome: "done".to_owned(),
    }];
    bundle(&period, events, actions, names, &key.signer().unwrap(), Timestamp(1_800_000_100_000)).unwrap()
}

fn signed() -> (Vec<u8>, Verifier) {
    let key = SigningKey::generate().unwrap();
    (sample(&key, &Pseudonyms::new().unwrap()), key.verifier().unwrap())
}

#[test]
fn a_bundle_verifies_and_says_what_it_covers() {
    let (bundle, verifier) = signed();
    let summary = verify(&bundle, &verifier).unwrap();
    assert_eq!((summary.site_id.as_str(), summary.entries), ("site-1", 6));
}

#[test]
fn it_names_nobody_and_nothing_inside() {
    let (bundle, _) = signed();
    let text = String::from_utf8(bundle).unwrap();
    for secret in [SUBJECT, "registration-77", "gate-17", "10.0.0", "board-", "birch-homes-backend"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn the_same_subject_has_one_name_in_a_bundle_and_another_in_the_next() {
    let key = SigningKey::generate().unwrap();
    let subjects = |bundle: Vec<u8>| -> Vec<String> {
        let text = String::from_utf8(bundle).unwrap();
        let values = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        values.filter_map(|v| v["event"]["subject"].as_str().map(str::to_owned)).collect()
    };
    let first = subjects(sample(&key, &Pseudonyms::new().unwrap()));
    let second = subjects(sample(&key, &Pseudonyms::new().unwrap()));
    assert_eq!((first.len(), &first[0]), (2, &first[1]));
    assert_ne!(first[0], second[0]);
}

#[test]
fn lines_come_in_the_order_of_time() {
    let (bundle, _) = signed();
    let text = String::from_utf8(bundle).unwrap();
    let values = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let at: Vec<Timestamp> =
        values.filter_map(|line| line["at"].as_str().map(|at| rfc3339::parse(at).unwrap())).collect();
    assert!(at.len() == 6 && at.is_sorted(), "{at:?}");
}

#[test]
fn a_cut_end_a_removed_and_a_swapped_line_all_show() {
    let (bundle, verifier) = signed();
    let lines: Vec<&[u8]> = bundle.split_inclusive(|&byte| byte == b'\n').collect();
    for cut in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(cut);
        assert!(verify(&without.concat(), &verifier).is_err(), "without line {cut}");
        let mut doubled = lines.clone();
        doubled.insert(cut, lines[cut]);
        assert!(verify(&doubled.concat(), &verifier).is_err(), "with line {cut} twice");
        assert!(verify(&lines[..cut].concat(), &verifier).is_err(), "cut at line {cut}");
        if cut > 0 {
            let mut swapped = lines.clone();
            swapped.swap(cut - 1, cut);
            assert!(verify(&swapped.concat(), &verifier).is_err(), "lines {cut} swapped");
        }
    }
}

#[test]
fn another_clouds_bundle_is_not_believed() {
    let (bundle, _) = signed();
    let (_, other) = signed();
    assert_eq!(verify(&bundle, &other), Err(Fault::Signature));
}

proptest! {
    #[test]
    fn any_changed_byte_shows(position in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let (mut bundle, verifier) = signed();
        let position = position.index(bundle.len());
        bundle[position] ^= flip;
        prop_assert!(verify(&bundle, &verifier).is_err());
    }

    #[test]
    fn any_cut_or_added_byte_shows(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (bundle, verifier) = signed();
        let position = position.index(bundle.len());
        prop_assert!(verify(&bundle[..position], &verifier).is_err());
        let mut longer = bundle;
        longer.insert(position, byte);
        prop_assert!(verify(&longer, &verifier).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, verifier) = signed();
        prop_assert!(verify(&bytes, &verifier).is_err());
    }
}
