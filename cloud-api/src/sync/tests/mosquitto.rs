//! What Mosquitto does by the configuration that is shipped, and that the cloud needs nothing of it.

use std::sync::Arc;

use cardea_protocol::clock::{SharedClock, SystemClock};
use cardea_protocol::topic;
use rumqttc::{MqttOptions, QoS, TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::broker::{Mosquitto, On, installed};
use super::cloud::{Cloud, external};
use super::controller::{Controller, PATIENCE, Pipe};
use crate::keys::{SigningKey, Vault};
use crate::pki::{Authority, CLOUD_CLIENT};
use crate::sync::hub::Input;
use crate::sync::link::{BrokerAddress, Client};
use crate::sync::{BrokerChoice, Carrier as _, Inlet, Line, Outgoing, Parts, Sync, SyncSettings};

/// A second client with a certificate of the cloud's own. Mosquitto gives it the cloud's place.
fn as_the_cloud(cloud: &Cloud) -> MqttOptions {
    let keyed = cloud.authority.issue_cloud_client(cloud.now()).unwrap();
    let tls = keyed.tls_client(std::slice::from_ref(cloud.authority.certificate_der())).unwrap();
    let mut options = MqttOptions::new(CLOUD_CLIENT, "localhost", cloud.broker_port());
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
    options
}

async fn publish(pipe: &Pipe, topic: String, payload: &str) {
    pipe.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
}

#[tokio::test]
async fn each_controller_has_its_own_name_and_its_own_topics() {
    if !installed() {
        return;
    }
    let cloud = Cloud::start(On::Mosquitto).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let other = Controller::claimed(&cloud, "gate-2").await;
    // Whatever it calls itself, it is called by its certificate, and so it pushes nobody else out.
    let mut at_other = Pipe::open(other.options(&cloud), &topic::down(&other.id)).await.unwrap();
    let mut options = gate.options(&cloud);
    options.set_client_id(other.id.to_string());
    // A subscription may be granted; what it delivers is what counts.
    let mut at_gate = Pipe::open(options, "#").await.unwrap();
    let mut spy = Pipe::open(as_the_cloud(&cloud), topic::ALL_UP).await.unwrap();

    publish(&spy, topic::down(&other.id), "for gate-2").await;
    publish(&spy, topic::down(&gate.id), "for gate-1").await;
    assert_eq!(at_other.next().await.unwrap(), b"for gate-2");
    assert_eq!(at_gate.next().await.unwrap(), b"for gate-1", "and nothing of gate-2's");

    for foreign in [topic::up(&other.id), topic::down(&other.id), topic::down(&gate.id), "any".to_owned()] {
        publish(&at_gate, foreign, "forged").await;
    }
    publish(&at_gate, topic::up(&gate.id), "its own").await;
    assert_eq!(spy.next().await.unwrap(), b"its own");
    publish(&spy, topic::down(&other.id), "again").await;
    assert_eq!(at_other.next().await.unwrap(), b"again");
}

#[tokio::test]
async fn nothing_is_retained() {
    if !installed() {
        return;
    }
    let cloud = Cloud::start(On::Mosquitto).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut pipe = Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await.unwrap();
    pipe.client.publish(topic::up(&gate.id), QoS::AtLeastOnce, true, "kept").await.unwrap();
    pipe.ended().await;
}

#[tokio::test]
async fn a_revoked_controller_is_not_let_in_once_the_list_was_read() {
    if !installed() {
        return;
    }
    let cloud = Cloud::start(On::Mosquitto).await;
    let mosquitto = cloud.mosquitto.as_ref().unwrap();
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let other = Controller::claimed(&cloud, "gate-2").await;
    let options = gate.options(&cloud);
    assert!(Pipe::open(options.clone(), &topic::down(&gate.id)).await.is_ok());
    let list = cloud.folder.path().join("crl.pem");
    let before = std::fs::read(&list).unwrap();
    cloud.revoke(&gate.id).await;
    let deadline = Instant::now() + PATIENCE;
    while std::fs::read(&list).unwrap() == before {
        assert!(Instant::now() < deadline, "the cloud has not written the list");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    mosquitto.reload().await;
    // With the same TLS configuration, and so with the session that could be resumed.
    assert!(Pipe::open(options, &topic::down(&gate.id)).await.is_err());
    assert!(Pipe::open(other.options(&cloud), &topic::down(&other.id)).await.is_ok());
}

#[tokio::test]
async fn the_cloud_starts_without_its_broker_and_serves_once_it_is_there() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    let storage = crate::testing::Scratch::in_folder(folder.path()).storage;
    let authority = Arc::new(Authority::open_or_create(folder.path(), clock.now()).unwrap());
    let external = external(folder.path(), &storage, &authority, &clock).await;
    let port = external.port;
    let sync = Sync::start(Parts {
        storage,
        vault: Arc::new(Vault::from_bytes([7; 32])),
        authority,
        signer: SigningKey::generate().unwrap().signer().unwrap(),
        clock,
        settings: SyncSettings { freshness_interval_ms: 60_000, command_wait_ms: 1_000 },
        broker: BrokerChoice::External(external),
    })
    .await
    .unwrap();
    assert!(!sync.is_ready());
    let _mosquitto = Mosquitto::start(folder.path(), port).await;
    tokio::time::timeout(PATIENCE, sync.stands()).await.unwrap();
}

#[tokio::test]
async fn what_is_on_its_way_to_a_revoked_controller_is_dropped() {
    if !installed() {
        return;
    }
    let cloud = Cloud::start(On::Mosquitto).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut pipe = Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await.unwrap();
    // The cloud's own link gives way to this one.
    let (port, authority) = (cloud.broker_port(), cloud.authority.clone());
    let keyed = authority.issue_cloud_client(cloud.now()).unwrap();
    let folder = cloud.folder;
    let mosquitto = cloud.mosquitto.unwrap();
    drop(cloud.sync);
    let tls = Arc::new(keyed.tls_client(std::slice::from_ref(authority.certificate_der())).unwrap());
    let address = BrokerAddress { host: "localhost".to_owned(), port, tls, client_id: CLOUD_CLIENT.to_owned() };
    let (outgoing, to_link) = mpsc::channel(4);
    let (hub, mut inputs) = mpsc::unbounded_channel();
    let (presence, _) = mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let _ends = cancel.clone().drop_guard();
    let line = Line { outgoing: to_link, inlet: Inlet { hub, presence } };
    tokio::spawn(async move { Client { address, embedded: None }.run(line, cancel).await });
    assert!(matches!(inputs.recv().await.unwrap(), Input::LinkUp));
    let ended = CancellationToken::new();
    ended.cancel();
    for (payload, ended) in [("too late", ended), ("in time", CancellationToken::new())] {
        let message = Outgoing { to: gate.id.clone(), payload: payload.into(), ended };
        assert!(outgoing.send(message).await.is_ok());
    }
    assert_eq!(pipe.next().await.unwrap(), b"in time");
    drop((folder, mosquitto));
}
