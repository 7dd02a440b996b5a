//! A controller that is revoked, and the box that comes back: nothing is sent to it, nothing is believed of it, whatever the
//! broker does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Extension;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use cardea_protocol::clock::SystemClock;
use cardea_protocol::controller::CONFIGURATION_PATH;
use cardea_protocol::envelope::Sender;
use cardea_protocol::est;
use cardea_protocol::event::{Event, EventKind};
use cardea_protocol::id::{ControllerId, EventId, SessionId};
use cardea_protocol::jws::Use;
use cardea_protocol::message::{Down, Up};
use cardea_protocol::topic;
use rcgen::KeyPair;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::broker::{On, on_each_broker};
use super::cloud::{Cloud, EMBEDDER};
use super::controller::{Controller, PATIENCE, Pipe, Talk, enroll, request_for};
use crate::keys::SigningKey;
use crate::listener::Peer;
use crate::storage::controllers::{ControllerStatus, StandingError};
use crate::storage::engine::params;
use crate::storage::sites::Scope;
use crate::sync::hub::{Hub, Input};
use crate::sync::session::Context;
use crate::sync::{Carrier, Line, SyncSettings};

/// Carries nothing, and has no connections.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Carrier for Nowhere {
    async fn run(&self, _: Line, _: CancellationToken) {}
    async fn end(&self, _: &ControllerId) {}
    async fn end_controllers(&self) {}
}

/// What a revocation has for ending a session.
const LIMIT: Duration = Duration::from_secs(2);

async fn count(cloud: &Cloud, sql: &'static str, of: &ControllerId) -> i64 {
    let of = of.clone();
    cloud.storage.read(move |tx| tx.query_row(sql, params![of.as_str()], |row| row.get(0))).await.unwrap()
}

/// Everything the cloud has been told before is done with: it answers its messages one by one.
async fn settled(cloud: &Cloud, bystander: &mut Talk, seq: u64) {
    let kind = EventKind::Controller { state: "online".to_owned() };
    let event = Event { id: EventId::random(), seq, at: cloud.now(), access_point: None, kind };
    bystander.say(Up::Events { events: vec![event] }).await;
    while !matches!(bystander.next().await, Down::EventsStored { through } if through == seq) {}
}

async fn est_status(cloud: &Cloud, gate: &Controller, request: Request<Body>) -> StatusCode {
    let peer = Peer::read(&gate.certificate, true).unwrap();
    cloud.enroller.controller_router().layer(Extension(peer)).oneshot(request).await.unwrap().status()
}

async fn a_stolen_box_gets_nothing_any_more(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut other = Controller::claimed(&cloud, "gate-2").await;
    let (mut talk, mut bystander) = (gate.begin(&cloud).await, other.begin(&cloud).await);
    gate.follow(&mut talk, 1).await;
    other.follow(&mut bystander, 1).await;
    let start = Instant::now();
    cloud.revoke(&gate.id).await;
    if cloud.has_hooks() {
        talk.pipe.ended().await;
    }
    println!("session ended after {:?}", start.elapsed());
    assert!(start.elapsed() < LIMIT);
    let known = cloud.storage.controller(&Scope::Operator, &gate.id).await.unwrap().unwrap();
    assert_eq!((known.status, known.connected), (ControllerStatus::Revoked, false));
    assert!(known.revoked_at.is_some());

    // What its site is told from now on, it is not told. What it says is not stored.
    cloud.admit("A123BC77").await;
    cloud.enrol(EMBEDDER, b"another vector").await;
    other.follow(&mut bystander, 3).await;
    let event = |seq| {
        let kind = EventKind::Controller { state: "started".to_owned() };
        Event { id: EventId::random(), seq, at: cloud.now(), access_point: None, kind }
    };
    if !cloud.has_hooks() {
        settled(&cloud, &mut bystander, 1).await;
        // What was said before the revocation.
        while talk.pipe.has_message() {
            assert!(matches!(talk.next_any().await, Down::Freshness { revision, .. } if revision.0 == 1));
        }
        talk.say(Up::Events { events: vec![event(1)] }).await;
        settled(&cloud, &mut bystander, 2).await;
        assert!(!talk.pipe.has_message(), "something was sent to it");
    }
    // It comes back with a new session: where it is let in, it hears nothing.
    match Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await {
        Ok(pipe) => {
            assert!(!cloud.has_hooks());
            let mut talk = gate.begin_on(&cloud, pipe).await;
            talk.say(Up::Events { events: vec![event(2)] }).await;
            settled(&cloud, &mut bystander, 3).await;
            assert!(!talk.pipe.has_message(), "something was sent to it");
        }
        Err(_) => assert!(cloud.has_hooks()),
    }
    assert_eq!(count(&cloud, "SELECT count(*) FROM events WHERE controller_id = ?1", &gate.id).await, 0);
    assert!(!cloud.storage.controller(&Scope::Operator, &gate.id).await.unwrap().unwrap().connected);

    // No certificate, no settings, and no second claim.
    let key = KeyPair::generate().unwrap();
    let renewal = Request::post(est::SIMPLEREENROLL_PATH).body(Body::from(request_for(&key))).unwrap();
    assert_eq!(est_status(&cloud, &gate, renewal).await, StatusCode::FORBIDDEN);
    let settings = Request::get(CONFIGURATION_PATH).body(Body::empty()).unwrap();
    assert_eq!(est_status(&cloud, &gate, settings).await, StatusCode::FORBIDDEN);
    let code =
        cloud.storage.renew_claim(&Scope::Operator, &gate.id, "hash".to_owned(), cloud.now().plus_ms(60_000)).await;
    assert!(matches!(code, Err(StandingError::Refused)));
    let claimed = enroll(&cloud, "gate-1", "0000-0000-0000-0000", request_for(&key)).await;
    assert_eq!(claimed.status(), StatusCode::UNAUTHORIZED);
}

async fn its_data_stays_to_be_accounted_for_until_it_is_decommissioned(on: On) {
    let cloud = Cloud::start(on).await;
    cloud.enrol(EMBEDDER, b"vector").await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    gate.follow(&mut talk, 1).await;
    let owed = || async { cloud.storage.to_account_for(&gate.id).await.unwrap() };
    assert_eq!((owed().await.subjects, owed().await.owed), (1, 0));
    cloud.revoke(&gate.id).await;
    assert_eq!((owed().await.subjects, owed().await.owed), (1, 0), "it may still hold it");

    let erasure = cloud.withdraw().await;
    assert_eq!((owed().await.subjects, owed().await.owed), (0, 1));
    assert_eq!(owed().await.erasures[0].0, erasure);
    let waiting = cloud.storage.erasure(&Scope::Operator, &erasure).await.unwrap().unwrap();
    assert_eq!(waiting.completed_at, None);
    let part = &waiting.controllers[0];
    assert_eq!((&part.controller, part.status), (&gate.id, ControllerStatus::Revoked));
    assert!(part.last_seen.is_some() && part.revoked_at.is_some() && part.decommissioned_at.is_none());

    cloud.storage.decommission_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    let done = cloud.storage.erasure(&Scope::Operator, &erasure).await.unwrap().unwrap();
    assert!(done.completed_at.is_some() && done.controllers[0].decommissioned_at.is_some());
    assert_eq!(owed().await, crate::storage::owed::ToAccountFor::default());
}

on_each_broker! { a_stolen_box_gets_nothing_any_more, its_data_stays_to_be_accounted_for_until_it_is_decommissioned }

#[tokio::test]
async fn a_session_that_is_stuck_ends_at_once_and_what_it_has_sent_is_dropped() {
    let cloud = Cloud::start(On::Embedded).await;
    for n in 0..900 {
        cloud.store_plate(&format!("A{n:03}AA77")).await;
    }
    let gate = Controller::claimed(&cloud, "gate-1").await;
    // A broker that takes one message and no more.
    let (link, mut sent) = mpsc::channel(1);
    let (hub, to_hub) = mpsc::unbounded_channel();
    let context = Context {
        storage: cloud.storage.clone(),
        vault: cloud.vault.clone(),
        signer: SigningKey::generate().unwrap().signer().unwrap(),
        clock: Arc::new(SystemClock),
        settings: SyncSettings { freshness_interval_ms: 60_000, command_wait_ms: 1_000 },
        link,
        hub,
    };
    let inputs = context.hub.clone();
    let (_presence, presences) = mpsc::unbounded_channel();
    let (ready, _) = watch::channel(true);
    let cancel = CancellationToken::new();
    let _ends = cancel.clone().drop_guard();
    tokio::spawn(Hub::new(context, Arc::new(Nowhere), ready).run(to_hub, presences, cancel));
    let mut sender = Sender::new(gate.signer(), Use::Up, gate.id.clone(), SessionId::random());
    let hello = Bytes::from(sender.seal(cloud.now(), Up::Hello(gate.hello())).unwrap());
    inputs.send(Input::Up(gate.id.clone(), hello)).unwrap();
    let connected = async || cloud.storage.controller(&Scope::Operator, &gate.id).await.unwrap().unwrap().connected;
    let deadline = Instant::now() + PATIENCE;
    while sent.is_empty() || !connected().await {
        assert!(Instant::now() < deadline, "it says nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    let (done, ended) = oneshot::channel();
    inputs.send(Input::End(gate.id.clone(), done)).unwrap();
    ended.await.unwrap();
    while connected().await {
        assert!(start.elapsed() < LIMIT, "it is still at work");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut dropped = 0;
    while let Ok(message) = sent.try_recv() {
        assert!(message.ended.is_cancelled());
        dropped += 1;
    }
    assert!(dropped > 0);
}
