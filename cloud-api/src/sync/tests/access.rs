//! Who may connect, and to what: by the embedded broker's hooks, unless a test runs on either broker.

use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::message::{Down, Up};
use cardea_protocol::topic;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, SubscribeReasonCode};
use rumqttc::{ConnectReturnCode, ConnectionError, LastWill, MqttOptions, QoS, v5};
use rustls::HandshakeKind;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::broker::{On, on_each_broker};
use super::cloud::Cloud;
use super::controller::{Controller, PATIENCE, Pipe};
use crate::storage::certificate_revocations::CertificateKey;
use crate::storage::sites::Scope;

/// Whether the broker refused the connection by name.
async fn refused(options: MqttOptions) -> bool {
    matches!(
        Pipe::open(options, "any").await,
        Err(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized))
    )
}

#[tokio::test]
async fn a_client_id_that_is_not_the_certificates_is_refused() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    Controller::claimed(&cloud, "gate-2").await;
    for name in ["gate-2", crate::pki::CLOUD_CLIENT, "gate-11"] {
        let mut options = gate.options(&cloud);
        options.set_client_id(name.to_owned());
        assert!(refused(options).await, "{name}");
    }
    // With its own name it is let in.
    assert!(Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await.unwrap().granted);
}

#[tokio::test]
async fn a_kept_session_and_a_will_are_refused() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut options = gate.options(&cloud);
    options.set_clean_session(false);
    assert!(refused(options).await);
    let mut options = gate.options(&cloud);
    options.set_last_will(LastWill::new(topic::up(&gate.id), b"bye".to_vec(), QoS::AtMostOnce, false));
    assert!(refused(options).await);
}

/// The CONNACK and the SUBACK of an MQTT 5 client.
async fn version_5(
    gate: &Controller,
    cloud: &Cloud,
    session_expiry_s: Option<u32>,
    filter: &str,
) -> Result<SubscribeReasonCode, v5::ConnectionError> {
    let port = cloud.broker_port();
    let mut options = v5::MqttOptions::new(gate.id.as_str(), "localhost", port);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = session_expiry_s;
    options.set_transport(gate.transport(cloud)).set_clean_start(true).set_connect_properties(properties);
    let (client, mut events) = v5::AsyncClient::new(options, 4);
    loop {
        match tokio::time::timeout(PATIENCE, events.poll()).await.expect("the broker answers")? {
            v5::Event::Incoming(Packet::ConnAck(_)) => {
                client.try_subscribe(filter, v5::mqttbytes::QoS::AtLeastOnce).unwrap();
            }
            v5::Event::Incoming(Packet::SubAck(ack)) => return Ok(ack.return_codes[0]),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_same_holds_for_mqtt_5() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let own = topic::down(&gate.id);
    for expiry in [None, Some(0)] {
        let granted = version_5(&gate, &cloud, expiry, &own).await.unwrap();
        assert!(matches!(granted, SubscribeReasonCode::Success(_)), "{granted:?}");
    }
    assert!(version_5(&gate, &cloud, Some(60), &own).await.is_err());
    for filter in ["cardea/v1/+/down", "$share/group/cardea/v1/+/up", "$limit/1/cardea/v1/gate-2/down"] {
        let refused = version_5(&gate, &cloud, None, filter).await;
        assert!(!matches!(refused, Ok(SubscribeReasonCode::Success(_))), "{filter}: {refused:?}");
    }
    cloud.storage.revoke_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    assert!(version_5(&gate, &cloud, None, &own).await.is_err());
}

#[tokio::test]
async fn a_foreign_topic_is_refused() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let other = Controller::claimed(&cloud, "gate-2").await;
    for filter in [topic::down(&other.id), topic::up(&gate.id), "#".to_owned(), "cardea/v1/+/down".to_owned()] {
        assert!(!Pipe::open(gate.options(&cloud), &filter).await.unwrap().granted, "{filter}");
    }
    for (topic, retain) in [(topic::up(&other.id), false), (topic::down(&gate.id), false), (topic::up(&gate.id), true)]
    {
        let mut pipe = Pipe::open(gate.options(&cloud), &topic::down(&gate.id)).await.unwrap();
        pipe.client.publish(&topic, QoS::AtLeastOnce, retain, b"x".to_vec()).await.unwrap();
        pipe.ended().await;
    }
}

#[tokio::test]
async fn a_revoked_controller_is_out_at_once_and_stays_out() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let other = Controller::claimed(&cloud, "gate-2").await;
    let mut talk = gate.begin(&cloud).await;
    let mut bystander = other.begin(&cloud).await;
    assert!(matches!(talk.next_any().await, Down::Freshness { .. }));
    cloud.storage.revoke_controller(&Scope::Operator, &gate.id, cloud.now()).await.unwrap();
    cloud.sync.end_sessions(&gate.id).await;
    talk.pipe.ended().await;
    assert!(refused(gate.options(&cloud)).await);
    bystander.say(Up::Equipment { equipment: vec![other.access_point()] }).await;
    cloud.admit("A123BC77").await;
    assert!(matches!(bystander.next().await, Down::Changes { .. }));
}

/// One connection of MQTT 3.1.1 by hand: how TLS came to stand, and the code of the CONNACK (0 accepted, 5 not authorised).
async fn by_hand(gate: &Controller, cloud: &Cloud, tls: &Arc<rustls::ClientConfig>) -> (HandshakeKind, Option<u8>) {
    let tcp = TcpStream::connect(("127.0.0.1", cloud.broker_port())).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(tls.clone()).connect(name, tcp).await.unwrap();
    let id = gate.id.as_str().as_bytes();
    let mut connect = vec![0x10, 12 + id.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, id.len() as u8];
    connect.extend(id);
    stream.write_all(&connect).await.unwrap();
    let mut answer = [0; 4];
    let answered = tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("the broker answers");
    (stream.get_ref().1.handshake_kind().unwrap(), answered.ok().map(|_| answer[3]))
}

#[tokio::test]
async fn a_resumed_tls_session_does_not_outlive_the_certificate() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let tls = gate.tls(&cloud);
    assert_eq!(by_hand(&gate, &cloud, &tls).await, (HandshakeKind::Full, Some(0)));
    assert_eq!(by_hand(&gate, &cloud, &tls).await, (HandshakeKind::Resumed, Some(0)));
    cloud.revoke(&gate.id).await;
    assert_eq!(by_hand(&gate, &cloud, &tls).await, (HandshakeKind::Resumed, Some(5)));
}

#[tokio::test]
async fn a_controllers_certificate_that_is_revoked_by_its_number_is_out_at_once() {
    let cloud = Cloud::start(On::Embedded).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let mut talk = gate.begin(&cloud).await;
    assert!(matches!(talk.next_any().await, Down::Freshness { .. }));
    let serial = crate::pki::Peer::of(&gate.certificate).unwrap().serial;
    let key = CertificateKey { issuer: crate::pki::AUTHORITY_NAME.to_owned(), serial };
    let revoked = cloud.storage.revoke_certificate(&Scope::Operator, key, cloud.now()).await.unwrap();
    assert_eq!(revoked.controller.as_ref(), Some(&gate.id));
    cloud.sync.end_sessions(&gate.id).await;
    talk.pipe.ended().await;
    assert!(refused(gate.options(&cloud)).await);
    // The controller itself still stands.
    let status = cloud.storage.controller(&Scope::Operator, &gate.id).await.unwrap().unwrap().status;
    assert_eq!(status, crate::storage::controllers::ControllerStatus::Active);
}

async fn a_second_connection_of_the_same_controller_takes_over(on: On) {
    let cloud = Cloud::start(on).await;
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    let mut first = gate.begin(&cloud).await;
    assert!(matches!(first.next_any().await, Down::Freshness { .. }));
    let mut second = gate.begin(&cloud).await;
    first.pipe.ended().await;
    cloud.admit("A123BC77").await;
    gate.follow(&mut second, 1).await;
    assert_eq!(gate.held.plates.len(), 1);
}

async fn a_silent_connection_stalls_nobody(on: On) {
    let cloud = Cloud::start(on).await;
    let address = ("127.0.0.1", cloud.broker_port());
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut gate = Controller::claimed(&cloud, "gate-1").await;
    // Far less than the time the broker gives a handshake.
    let mut talk = tokio::time::timeout(Duration::from_secs(5), gate.begin(&cloud)).await.expect("not stalled");
    cloud.admit("A123BC77").await;
    gate.follow(&mut talk, 1).await;
    // They were silent and open all the while.
    for stream in &mut silent {
        let mut byte = [0];
        assert!(tokio::time::timeout(Duration::ZERO, stream.read(&mut byte)).await.is_err());
    }
}

on_each_broker! { a_second_connection_of_the_same_controller_takes_over, a_silent_connection_stalls_nobody }
