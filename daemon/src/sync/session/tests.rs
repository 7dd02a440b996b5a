//! A scripted cloud against the session: repeated, overlapping, missing and contradictory messages.

use cardea_protocol::digest::Holdings;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{EventId, PlateId};
use proptest::prelude::*;

use super::*;
use crate::seam::HoldingsVersion;

const NOW: Monotonic = Monotonic(1_000);

fn change(n: u64) -> Change {
    Change::PlateRemoved { plate_id: PlateId::new(format!("p-{n}")).unwrap() }
}

fn changes(from: u64, to: u64) -> Down {
    let changes = (from + 1..=to).map(change).collect();
    Down::Changes { from: Revision(from), to: Revision(to), changes, digest: None }
}

fn digest(of: &str) -> Digest {
    let mut holdings = Holdings::new();
    holdings.plate(&PlateEntry::new(PlateId::new("p").unwrap(), of.to_owned()));
    holdings.digest()
}

fn applied(revision: u64) -> Applied {
    let version = HoldingsVersion(revision);
    Applied { revision: Revision(revision), digest: digest("held"), version, erased: vec![], left_out: 0 }
}

fn page(page: u32, pages: u32, revision: u64) -> Down {
    let plate_id = PlateId::new(format!("page-{page}")).unwrap();
    let plates = vec![PlateEntry::new(plate_id, "A111AA77".to_owned())];
    Down::Snapshot {
        revision: Revision(revision),
        page,
        pages,
        plates,
        cards: vec![],
        templates: vec![],
        digest: digest("cloud"),
    }
}

/// A session that has begun.
fn welcomed(cursor: Revision, held: Digest) -> Session {
    let mut session = Session::new(cursor, held);
    assert_eq!(session.message(Down::Welcome { version: 1 }, NOW), []);
    session
}

fn one(steps: Vec<Step>) -> Step {
    let [step] = <[Step; 1]>::try_from(steps).unwrap();
    step
}

#[test]
fn changes_are_applied_and_acknowledged() {
    let mut session = welcomed(Revision(3), digest("held"));
    let Step::Changes(batch) = one(session.message(changes(3, 5), NOW)) else { panic!() };
    assert_eq!((batch.from, batch.to), (Revision(3), Revision(5)));
    let expected = Step::Send(Up::Applied { revision: Revision(5), digest: digest("held") });
    assert_eq!(session.applied(&applied(5)), [expected]);
    assert_eq!(session.in_sync(), None, "nothing was compared");
}

#[test]
fn what_is_repeated_is_skipped_and_what_is_missing_ends_the_session() {
    let mut session = welcomed(Revision(5), digest("held"));
    assert_eq!(one(session.message(changes(2, 5), NOW)), Step::Restate);
    let Step::Changes(batch) = one(session.message(changes(3, 7), NOW)) else { panic!() };
    assert_eq!((batch.from, batch.to, batch.changes), (Revision(5), Revision(7), vec![change(6), change(7)]));
    let gap = Step::End(End::Gap { cursor: Revision(5), from: Revision(6) });
    assert_eq!(one(session.message(changes(6, 7), NOW)), gap);
}

#[test]
fn a_digest_that_differs_is_noticed_and_still_told() {
    let mut session = welcomed(Revision(0), digest("held"));
    let batch =
        Down::Changes { from: Revision(0), to: Revision(1), changes: vec![change(1)], digest: Some(digest("cloud")) };
    session.message(batch, NOW);
    let steps = session.applied(&applied(1));
    assert_eq!(session.in_sync(), Some(false));
    assert_eq!(steps, [Step::Send(Up::Applied { revision: Revision(1), digest: digest("held") })]);
    session.message(page(0, 1, 1), NOW);
    session.applied(&Applied { digest: digest("cloud"), ..applied(1) });
    assert_eq!(session.in_sync(), Some(true));
}

#[test]
fn a_snapshot_counts_once_all_its_pages_are_here_in_order() {
    let mut session = welcomed(Revision(3), digest("held"));
    assert_eq!(session.message(page(0, 3, 9), NOW), []);
    assert_eq!(session.message(page(1, 3, 9), NOW), []);
    assert_eq!(session.message(page(0, 2, 10), NOW), [], "the cloud began anew");
    let Step::Snapshot(snapshot) = one(session.message(page(1, 2, 10), NOW)) else { panic!() };
    assert_eq!((snapshot.revision, snapshot.plates.len()), (Revision(10), 2));
}

#[test]
fn pages_out_of_order_and_impossible_numbers_end_the_session() {
    let ends = |messages: Vec<Down>| {
        let mut session = welcomed(Revision(3), digest("held"));
        let last = messages.into_iter().map(|message| session.message(message, NOW)).last().unwrap();
        assert!(matches!(one(last), Step::End(End::Malformed(_))));
    };
    ends(vec![page(1, 2, 9)]);
    ends(vec![page(0, 3, 9), page(2, 3, 9)]);
    ends(vec![page(0, 3, 9), page(1, 3, 8)]);
    ends(vec![page(0, 0, 9)]);
    ends(vec![page(5, 5, 9)]);
    ends(vec![page(0, u32::MAX, 9)]);
    ends(vec![page(0, 2, 9), changes(3, 4)]);
    ends(vec![Down::Changes { from: Revision(3), to: Revision(9), changes: vec![change(4)], digest: None }]);
    ends(vec![Down::Changes { from: Revision(3), to: Revision(2), changes: vec![], digest: None }]);
    ends(vec![Down::Changes { from: Revision(0), to: Revision(u64::MAX), changes: vec![], digest: None }]);
}

fn stated(revision: u64, at: i64, of: &str) -> Down {
    Down::Freshness { revision: Revision(revision), digest: digest(of), at: Timestamp(at) }
}

fn kept(revision: u64, at: i64, received: u64) -> Step {
    Step::Freshness { revision: Revision(revision), at: Timestamp(at), received: Monotonic(received) }
}

#[test]
fn freshness_counts_only_once_its_revision_is_applied_and_as_of_when_it_came() {
    let mut session = welcomed(Revision(3), digest("held"));
    assert_eq!(session.message(stated(3, 50, "held"), Monotonic(5)), [kept(3, 50, 5)]);
    assert_eq!(session.message(stated(2, 60, "held"), Monotonic(6)), [], "a cloud that went back");
    assert_eq!(session.message(stated(5, 70, "held"), Monotonic(7)), [], "not applied yet");
    session.message(changes(3, 4), Monotonic(8));
    assert_eq!(session.applied(&applied(4)).len(), 1, "still not");
    session.message(changes(4, 5), Monotonic(9));
    assert_eq!(session.applied(&applied(5))[1], kept(5, 70, 7));
    session.message(changes(5, 6), Monotonic(10));
    assert_eq!(session.applied(&applied(6)).len(), 1, "once");
}

#[test]
fn whoever_holds_something_else_is_not_fresh_and_says_so() {
    let mut session = welcomed(Revision(3), digest("held"));
    assert_eq!(session.message(stated(3, 50, "other"), NOW), [Step::Restate]);
    assert_eq!(session.in_sync(), Some(false));
    assert_eq!(session.message(stated(4, 60, "other"), NOW), [], "not applied yet");
    session.message(changes(3, 4), NOW);
    assert_eq!(session.applied(&applied(4)).len(), 1, "and not what was stated");
    assert_eq!(session.message(page(0, 2, 9), NOW), []);
    assert_eq!(session.message(stated(4, 70, "other"), NOW), [], "it is being repaired");
    session.message(page(1, 2, 9), NOW);
    session.applied(&applied(9));
    assert_eq!(session.message(stated(9, 80, "held"), Monotonic(7)), [kept(9, 80, 7)]);
    assert_eq!(session.in_sync(), Some(true));
}

#[test]
fn one_batch_of_events_is_on_its_way_until_stored_or_overdue() {
    let mut session = welcomed(Revision(0), digest("held"));
    let event = Event {
        id: EventId::random(),
        seq: 4,
        at: Timestamp(0),
        access_point: None,
        kind: EventKind::Alarm { alarm: "forced".to_owned() },
    };
    assert!(session.wants_events(NOW));
    assert_eq!(session.events(vec![], NOW), None);
    assert!(session.wants_events(NOW), "nothing was sent");
    assert!(session.events(vec![event.clone()], NOW).is_some());
    assert!(!session.wants_events(NOW.plus_ms(EVENTS_RESEND_MS - 1)));
    assert!(session.wants_events(NOW.plus_ms(EVENTS_RESEND_MS)));
    assert_eq!(session.message(Down::EventsStored { through: 4 }, NOW), [Step::EventsStored(4)]);
    assert!(session.wants_events(NOW));
}

#[test]
fn receipts_are_repeated_until_stored() {
    let mut session = welcomed(Revision(0), digest("held"));
    assert!(session.wants_receipts(NOW));
    assert_eq!(session.receipts(vec!["a.b.c".to_owned()], NOW).len(), 1);
    assert!(!session.wants_receipts(NOW));
    assert!(session.wants_receipts(NOW.plus_ms(RECEIPTS_RESEND_MS)));
}

#[test]
fn the_cloud_may_ask_for_a_new_session() {
    let mut session = welcomed(Revision(0), digest("held"));
    let asked = session.message(Down::Reconnect { retry_ms: 700 }, NOW);
    assert_eq!(asked, [Step::End(End::Asked { retry_ms: 700 })]);
}

proptest! {
    /// However a cloud repeats and overlaps what it sends, every change is applied exactly once, in order.
    #[test]
    fn every_change_is_applied_once_and_in_order(
        start in 0u64..5,
        sends in prop::collection::vec((0u64..6, 0u64..6), 1..40),
    ) {
        let mut session = welcomed(Revision(start), digest("held"));
        let mut cursor = start;
        for (back, ahead) in sends {
            let from = cursor.saturating_sub(back);
            match one(session.message(changes(from, from + back + ahead), NOW)) {
                Step::Changes(batch) => {
                    prop_assert_eq!(batch.from, Revision(cursor));
                    let expected: Vec<Change> = (cursor + 1..=batch.to.0).map(change).collect();
                    prop_assert_eq!(&batch.changes, &expected);
                    cursor = batch.to.0;
                    session.applied(&applied(cursor));
                }
                Step::Restate => prop_assert!(from + back + ahead <= cursor),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn a_session_begins_with_one_welcome_to_a_version_that_is_spoken() {
    let ends =
        |session: &mut Session, message| matches!(one(session.message(message, NOW)), Step::End(End::Malformed(_)));
    let fresh = || Session::new(Revision(0), digest("held"));
    assert!(ends(&mut fresh(), changes(0, 1)), "nothing is applied before the version is known");
    assert!(ends(&mut fresh(), Down::Welcome { version: 2 }));
    assert!(ends(&mut welcomed(Revision(0), digest("held")), Down::Welcome { version: 1 }));
    let asked = one(fresh().message(Down::Reconnect { retry_ms: 7 }, NOW));
    assert_eq!(asked, Step::End(End::Asked { retry_ms: 7 }));
}

#[test]
fn whoever_is_refused_learns_what_to_update() {
    let said = |lowest, highest| {
        let refused = Down::Refused { versions: Versions::new(lowest, highest), retry_ms: 60_000 };
        match one(Session::new(Revision(0), digest("held")).message(refused, NOW)) {
            Step::End(end) => end.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(said(2, 3), "update cardead: this controller speaks versions 1 to 1 of the messages, the cloud 2 to 3");
    assert!(said(0, 0).starts_with("update cardea-cloud: "));
}
