//! Changes, digests, snapshots, freshness, events.

use cardea_protocol::envelope::Sender;
use cardea_protocol::event::{Event, EventKind};
use cardea_protocol::id::{EventId, Revision};
use cardea_protocol::jws::Use;
use cardea_protocol::message::{Change, Down, Up};
use tokio::time::Instant;

use super::broker::{On, on_each_broker};
use super::cloud::{Cloud, EMBEDDER};
use super::controller::{Controller, PATIENCE};
use crate::retention::Kind;
use crate::storage::changes::LOG_KEPT_MS;
use crate::storage::controllers;
use crate::storage::sites::Scope;
use crate::sync::SyncSettings;

/// Waits until the cloud knows the controller so, or gives up.
async fn eventually(cloud: &Cloud, controller: &Controller, what: impl Fn(&controllers::Controller) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let known = cloud.storage.controller(&Scope::Operator, &controller.id).await.unwrap().unwrap();
        if what(&known) {
            return;
        }
        assert!(Instant::now() < deadline, "still {known:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Waits until the cloud knows that it is gone, where there is somebody to tell it.
async fn gone(cloud: &Cloud, controller: &Controller) {
    if cloud.has_hooks() {
        eventually(cloud, controller, |known| !known.connected).await;
    }
}

async fn a_controller_catches_up_is_pushed_to_and_proves_it(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.admit("A123BC77").await;
    cloud.enrol(EMBEDDER, b"vector of a face").await;
    cloud.enrol("another-embedder", b"vector of another model").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 3).await;
    assert_eq!(gate.held.plates.len(), 1);
    let templates: Vec<&Vec<u8>> = gate.held.templates.values().map(|(_, bytes)| bytes).collect();
    assert_eq!(templates, [b"vector of a face"]);
    eventually(&cloud, &gate, |known| known.in_sync && known.connected && known.cursor == Revision(3)).await;

    // Pushed, without being asked: the time from the announcement to the verified message.
    let mut latencies = Vec::new();
    for n in 0..20 {
        cloud.store_plate(&format!("A{n:03}AA77")).await;
        let start = Instant::now();
        cloud.sync.changed(&cloud.site);
        let message = talk.next().await;
        latencies.push(start.elapsed());
        gate.apply(&mut talk, message).await;
    }
    latencies.sort_unstable();
    println!("push latency: median {:?}, worst {:?}", latencies[10], latencies[19]);
    assert_eq!(gate.held.plates.len(), 21);
    eventually(&cloud, &gate, |known| known.in_sync && known.cursor == Revision(23)).await;

    // What is removed before it was fetched is never sent.
    talk.pipe.leave();
    gone(&cloud, &gate).await;
    let plate = cloud.admit("B123BB77").await;
    cloud.remove_plate(&plate).await;
    let mut talk = gate.begin(&cloud).await;
    let Down::Changes { changes, .. } = talk.next().await else { panic!("changes") };
    assert!(matches!(changes.as_slice(), [Change::Superseded, Change::PlateRemoved { .. }]));
}

async fn a_long_log_comes_in_parts(on: On) {
    let cloud = Cloud::start(on).await;
    for n in 0..950 {
        cloud.store_plate(&format!("A{n:03}AA77")).await;
    }
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 950).await;
    assert_eq!(gate.held.plates.len(), 950);
    eventually(&cloud, &gate, |known| known.in_sync).await;
}

async fn a_differing_digest_is_repaired_and_reported(on: On) {
    let cloud = Cloud::start(on).await;
    for n in 0..230 {
        cloud.store_plate(&format!("A{n:03}AA77")).await;
    }
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 231).await;
    eventually(&cloud, &gate, |known| known.in_sync).await;

    // A row of its own database is lost; it says so without knowing it.
    let lost = gate.held.plates.keys().next().unwrap().clone();
    gate.held.plates.remove(&lost);
    talk.say(Up::Applied { revision: gate.held.cursor, digest: gate.held.digest() }).await;
    for page in 0..3 {
        let message = talk.next().await;
        assert!(matches!(message, Down::Snapshot { page: p, pages: 3, .. } if p == page), "{message:?}");
        gate.apply(&mut talk, message).await;
    }
    assert!(gate.held.plates.contains_key(&lost));
    eventually(&cloud, &gate, |known| known.in_sync).await;
    // In sync is stored before the alarm that it was repaired.
    let deadline = Instant::now() + PATIENCE;
    while cloud.alarms().await != ["digest-mismatch", "digest-repaired"] {
        assert!(Instant::now() < deadline, "{:?}", cloud.alarms().await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn a_site_that_was_restored_rises_above_whoever_had_followed_further(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.admit("A123BC77").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    gate.held.cursor = Revision(999);
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1_000).await;
    assert_eq!((gate.held.cursor, gate.held.plates.len()), (Revision(1_000), 1));
    eventually(&cloud, &gate, |known| known.in_sync).await;
    cloud.admit("A124BC77").await;
    gate.follow(&mut talk, 1_001).await;
    eventually(&cloud, &gate, |known| known.in_sync).await;

    // Another had followed less far: what it lacks is not in the log.
    let mut other = Controller::claimed(&cloud, "gate-2").await;
    other.held.cursor = Revision(7);
    let mut talk = other.begin(&cloud).await;
    assert!(matches!(talk.next_any().await, Down::Freshness { revision: Revision(1_001), .. }));
    other.follow(&mut talk, 1_001).await;
    assert_eq!(other.held.plates.len(), 2);
    eventually(&cloud, &other, |known| known.in_sync).await;
    assert_eq!(cloud.alarms().await, ["controller-ahead", "digest-repaired"], "the other was only behind");

    // A stolen controller's word does not take the site to the end of all numbers.
    gate.held.cursor = Revision(u64::MAX);
    let _talk = gate.begin(&cloud).await;
    let deadline = Instant::now() + PATIENCE;
    while !cloud.alarms().await.contains(&"digest-mismatch-persists".to_owned()) {
        assert!(Instant::now() < deadline, "{:?}", cloud.alarms().await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(cloud.storage.revision(&cloud.site).await.unwrap(), Revision(1_001));
}

async fn where_the_log_does_not_reach_back_a_snapshot_comes_and_then_the_orders(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector of a face").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1).await;
    eventually(&cloud, &gate, |known| known.in_sync).await;
    talk.pipe.leave();
    gone(&cloud, &gate).await;

    // While it is away: erased, enrolled anew, and the log compacted.
    let erasure = cloud.withdraw().await;
    cloud.enrol(EMBEDDER, b"another vector").await;
    let after = cloud.now().plus_ms(LOG_KEPT_MS);
    while cloud.storage.delete_some(Kind::Changes, after, after).await.unwrap() > 0 {}

    let mut talk = gate.begin(&cloud).await;
    let message = talk.next().await;
    assert!(matches!(message, Down::Snapshot { revision: Revision(3), .. }), "{message:?}");
    gate.apply(&mut talk, message).await;
    let message = talk.next().await;
    let Down::Changes { changes, .. } = &message else { panic!("{message:?}") };
    assert!(
        matches!(
            changes.as_slice(),
            [Change::SubjectErased { erasure: ordered, .. }, Change::TemplateAdded(_)] if *ordered == erasure
        ),
        "{changes:?}"
    );
    gate.apply(&mut talk, message).await;
    let templates: Vec<&Vec<u8>> = gate.held.templates.values().map(|(_, bytes)| bytes).collect();
    assert_eq!(templates, [b"another vector"]);
    eventually(&cloud, &gate, |known| known.in_sync && known.cursor == Revision(5)).await;
    assert!(cloud.alarms().await.is_empty(), "nothing was wrong");
}

async fn a_digest_that_stays_wrong_is_not_repaired_forever(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.admit("A123BC77").await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    assert!(matches!(talk.next().await, Down::Changes { .. }));
    let wrong = gate.held.digest();
    for _ in 0..4 {
        talk.say(Up::Applied { revision: Revision(1), digest: wrong.clone() }).await;
    }
    for _ in 0..3 {
        assert!(matches!(talk.next().await, Down::Snapshot { .. }));
    }
    let event = Event { id: EventId::random(), seq: 1, at: cloud.now(), access_point: None, kind: started() };
    talk.say(Up::Events { events: vec![event] }).await;
    assert!(matches!(talk.next().await, Down::EventsStored { through: 1 }), "no fourth snapshot");
    let alarms = cloud.alarms().await;
    assert!(alarms.contains(&"digest-mismatch-persists".to_owned()), "{alarms:?}");
    assert_eq!(alarms.len(), 4);
    talk.say(Up::Applied { revision: Revision(1), digest: wrong }).await;
    let event = Event { id: EventId::random(), seq: 2, at: cloud.now(), access_point: None, kind: started() };
    talk.say(Up::Events { events: vec![event] }).await;
    assert!(matches!(talk.next().await, Down::EventsStored { through: 2 }));
    assert_eq!(cloud.alarms().await.len(), 4, "it is said once");
}

fn started() -> EventKind {
    EventKind::Controller { state: "started".to_owned() }
}

async fn freshness_is_stated_at_its_interval(on: On) {
    let cloud = Cloud::with(on, SyncSettings { freshness_interval_ms: 100, command_wait_ms: 1_000 }).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    let mut last = None;
    for _ in 0..3 {
        let Down::Freshness { revision, at, .. } = talk.next_any().await else { panic!("freshness") };
        assert_eq!(revision, Revision(0));
        assert!(last.is_none_or(|last| last <= at));
        last = Some(at);
    }
}

async fn events_are_stored_once_however_often_they_arrive(on: On) {
    let cloud = Cloud::start(on).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    let events: Vec<Event> = (1..=3)
        .map(|seq| Event { id: EventId::random(), seq, at: cloud.now(), access_point: None, kind: started() })
        .collect();
    for _ in 0..2 {
        talk.say(Up::Events { events: events.clone() }).await;
        assert!(matches!(talk.next().await, Down::EventsStored { through: 3 }));
    }
    let stored: i64 =
        cloud.storage.read(|tx| tx.query_row("SELECT count(*) FROM events", [], |row| row.get(0))).await.unwrap();
    assert_eq!(stored, 3);
}

async fn a_replayed_message_is_not_taken_and_a_missing_one_is_noticed(on: On) {
    let cloud = Cloud::start(on).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    let event = |seq| Event { id: EventId::random(), seq, at: cloud.now(), access_point: None, kind: started() };
    let first = talk.say(Up::Events { events: vec![event(1)] }).await;
    assert!(matches!(talk.next().await, Down::EventsStored { through: 1 }));
    talk.publish(first).await;
    talk.say(Up::Events { events: vec![event(2)] }).await;
    assert!(matches!(talk.next().await, Down::EventsStored { through: 2 }), "no answer to the replay");

    // Signed with another key than the certificate's.
    let stranger = Controller::claimed(&cloud, "gate-2").await;
    let mut forged = Sender::new(stranger.signer(), Use::Up, gate.id.clone(), talk.sender.session().clone());
    for n in 0..4 {
        let payload = forged.seal(cloud.now(), Up::Events { events: vec![event(90 + n)] }).unwrap();
        talk.publish(payload).await;
    }
    talk.say(Up::Events { events: vec![event(3)] }).await;
    assert!(matches!(talk.next().await, Down::EventsStored { through: 3 }), "no answer to the forgery");

    // The broker has lost one: a later batch must not be acknowledged as if the earlier were stored.
    talk.sender.seal(cloud.now(), Up::Events { events: vec![event(4)] }).unwrap();
    talk.say(Up::Events { events: vec![event(5)] }).await;
    assert!(matches!(talk.next().await, Down::Reconnect { .. }));
}

async fn an_old_hello_and_a_forgotten_session_change_nothing(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.admit("A123BC77").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    let old_hello = Sender::new(gate.signer(), Use::Up, gate.id.clone(), talk.sender.session().clone())
        .seal(cloud.now(), Up::Hello(gate.hello()))
        .unwrap();
    gate.follow(&mut talk, 1).await;
    talk.publish(old_hello).await;
    eventually(&cloud, &gate, |known| known.in_sync).await;
    cloud.admit("A124BC77").await;
    gate.follow(&mut talk, 2).await;

    // A session that the cloud knows nothing of: it asks for a hello, believably.
    let session = cardea_protocol::id::SessionId::random();
    let mut sender = Sender::new(gate.signer(), Use::Up, gate.id.clone(), session.clone());
    let payload = sender.seal(cloud.now(), Up::Equipment { equipment: vec![] }).unwrap();
    talk.receiver =
        cardea_protocol::envelope::Receiver::new(cloud.verifier.clone(), Use::Down, gate.id.clone(), session);
    talk.publish(payload).await;
    let reconnect = loop {
        let payload = talk.pipe.next().await.unwrap();
        if let Ok(envelope) = talk.receiver.open::<Down>(&payload) {
            break envelope.message;
        }
    };
    assert!(matches!(reconnect, Down::Reconnect { .. }));
}

async fn after_the_cloud_lost_its_own_connection_everybody_begins_again(on: On) {
    let mut cloud = Cloud::start(on).await;
    cloud.admit("A123BC77").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1).await;
    cloud.lose_broker().await;
    talk.pipe.ended().await;
    let mut talk = gate.begin(&cloud).await;
    cloud.admit("A124BC77").await;
    gate.follow(&mut talk, 2).await;
    eventually(&cloud, &gate, |known| known.in_sync && known.connected).await;
}

on_each_broker! {
    a_site_that_was_restored_rises_above_whoever_had_followed_further,
    where_the_log_does_not_reach_back_a_snapshot_comes_and_then_the_orders,
    a_controller_catches_up_is_pushed_to_and_proves_it,
    a_long_log_comes_in_parts,
    a_differing_digest_is_repaired_and_reported,
    a_digest_that_stays_wrong_is_not_repaired_forever,
    freshness_is_stated_at_its_interval,
    events_are_stored_once_however_often_they_arrive,
    a_replayed_message_is_not_taken_and_a_missing_one_is_noticed,
    an_old_hello_and_a_forgotten_session_change_nothing,
    after_the_cloud_lost_its_own_connection_everybody_begins_again,
}
