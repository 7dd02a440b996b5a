//! Controllers that speak another version, and messages that are not understood.

use std::collections::BTreeMap;

use cardea_protocol::envelope::{Receiver, Sender};
use cardea_protocol::id::SessionId;
use cardea_protocol::jws::Use;
use cardea_protocol::message::{Down, Up};
use cardea_protocol::topic;
use cardea_protocol::version::Versions;
use serde::Serialize;
use tokio::time::Instant;

use super::broker::On;
use super::cloud::Cloud;
use super::controller::{Controller, PATIENCE, Pipe};
use crate::storage::sites::Scope;

/// A session that begins with `first`, and what the cloud answers.
async fn answer(cloud: &Cloud, gate: &Controller, first: impl Serialize) -> Down {
    let mut pipe = Pipe::open(gate.options(cloud), &topic::down(&gate.id)).await.unwrap();
    let session = SessionId::random();
    let payload =
        Sender::new(gate.signer(), Use::Up, gate.id.clone(), session.clone()).seal(cloud.now(), first).unwrap();
    pipe.client.publish(topic::up(&gate.id), rumqttc::QoS::AtLeastOnce, false, payload).await.unwrap();
    let mut receiver = Receiver::new(cloud.verifier.clone(), Use::Down, gate.id.clone(), session);
    let answer = pipe.next().await.expect("the connection stands");
    receiver.open::<Down>(&answer).unwrap().message
}

async fn alarmed(cloud: &Cloud, alarms: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while cloud.alarms().await != alarms {
        assert!(Instant::now() < deadline, "{:?}", cloud.alarms().await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// As a later version may say it.
fn unknown() -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
    BTreeMap::from([("sworn", BTreeMap::from([("through", 7)]))])
}

#[tokio::test]
async fn a_controller_of_another_version_is_refused_and_reported_and_no_session() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut hello = gate.hello();
    hello.versions = Versions::new(Versions::SPOKEN.highest() + 1, Versions::SPOKEN.highest() + 2);
    for _ in 0..2 {
        let refused = answer(&cloud, &gate, Up::Hello(hello.clone())).await;
        assert_eq!(refused, Down::Refused { versions: Versions::SPOKEN, retry_ms: 60_000 });
    }
    alarmed(&cloud, &["version-refused"]).await;
    assert!(
        cloud.storage.controller(&Scope::Operator, &gate.id).await.unwrap().unwrap().software.is_none(),
        "its hello was not taken"
    );

    // A newer one that still speaks ours is welcome.
    hello.versions = Versions::new(1, Versions::SPOKEN.highest() + 2);
    let welcome = answer(&cloud, &gate, Up::Hello(hello)).await;
    assert_eq!(welcome, Down::Welcome { version: Versions::SPOKEN.highest() });
}

#[tokio::test]
async fn what_is_not_understood_ends_the_session_and_is_reported_once() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    for _ in 0..2 {
        let mut talk = gate.begin(&cloud).await;
        assert!(matches!(talk.next_any().await, Down::Freshness { .. }));
        let payload = talk.sender.seal(cloud.now(), unknown()).unwrap();
        talk.publish(payload).await;
        assert!(matches!(talk.next().await, Down::Reconnect { retry_ms: 15_000 }));
        alarmed(&cloud, &["message-not-understood"]).await;
    }
    assert!(matches!(answer(&cloud, &gate, unknown()).await, Down::Reconnect { retry_ms: 15_000 }));
    alarmed(&cloud, &["message-not-understood"]).await;
}

#[tokio::test]
async fn fields_of_a_later_version_are_passed_over() {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Later {
        Events { events: Vec<u64>, more: &'static str },
    }
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    let payload = talk.sender.seal(cloud.now(), Later::Events { events: vec![], more: "x" }).unwrap();
    talk.publish(payload).await;
    talk.say(Up::Receipt { receipt_jws: "no.receipt.".to_owned() }).await;
    talk.say(Up::Applied { revision: gate.held.cursor, digest: gate.held.digest() }).await;
    for _ in 0..2 {
        assert!(matches!(talk.next_any().await, Down::Freshness { .. }), "the session goes on");
    }
    assert!(cloud.alarms().await.is_empty());
}
