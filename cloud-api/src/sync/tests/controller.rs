//! A controller: claimed through EST, connected through rumqttc, speaking the protocol.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_protocol::envelope::{EnvelopeError, Receiver, Sender};
use cardea_protocol::id::{AccessPointId, BootId, ControllerId, SessionId};
use cardea_protocol::jws::{Signer, Use};
use cardea_protocol::message::{AccessPoint, AccessPointKind, Down, Hello, StalenessLimits, Up};
use cardea_protocol::seal::{OpeningKey, SealingKey};
use cardea_protocol::version::Versions;
use cardea_protocol::{est, topic};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rumqttc::{
    AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS, SubscribeReasonCode, TlsConfiguration, Transport,
};
use rustls_pki_types::CertificateDer;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use super::cloud::{Cloud, EMBEDDER};
use super::held::Held;
use crate::enrolment::claim_code::ClaimCode;
use crate::pki::KeyedCertificate;
use crate::storage::sites::Scope;

/// Nothing here takes longer on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn id(text: &str) -> ControllerId {
    ControllerId::new(text).unwrap()
}

pub(super) fn request_for(key: &KeyPair) -> String {
    est::encode_body(CertificateParams::default().serialize_request(key).unwrap().der())
}

/// A request of that name, as a renewal must have it.
pub(super) fn request_named(key: &KeyPair, name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    est::encode_body(params.serialize_request(key).unwrap().der())
}

/// Registers a controller and returns its claim code.
pub(super) async fn register(cloud: &Cloud, controller: &ControllerId, lifetime_ms: i64) -> ClaimCode {
    let code = ClaimCode::generate().unwrap();
    let hash = code.hash().unwrap();
    let now = cloud.now();
    cloud
        .storage
        .register_controller(&Scope::Operator, controller, &cloud.site, hash, now.plus_ms(lifetime_ms), now)
        .await
        .unwrap();
    code
}

pub(super) async fn enroll(cloud: &Cloud, controller: &str, code: &str, body: String) -> Response<Body> {
    let basic = STANDARD.encode(format!("{controller}:{code}"));
    let request = Request::post(est::SIMPLEENROLL_PATH)
        .header(header::AUTHORIZATION, format!("Basic {basic}"))
        .header(header::CONTENT_TYPE, est::PKCS10)
        .body(Body::from(body))
        .unwrap();
    cloud.enroller.claim_router().oneshot(request).await.unwrap()
}

pub(super) async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The only certificate in an EST answer.
pub(super) fn issued(body: &str) -> CertificateDer<'static> {
    let mut certificates = est::read_certs_only(body).unwrap();
    assert_eq!(certificates.len(), 1);
    certificates.remove(0).into()
}

pub(super) struct Controller {
    pub(super) id: ControllerId,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key_pem: Zeroizing<String>,
    pub(super) opening: OpeningKey,
    sealing: SealingKey,
    pub(super) boot: BootId,
    pub(super) embedder: Option<String>,
    pub(super) held: Held,
}

impl Controller {
    pub(super) async fn claimed(cloud: &Cloud, name: &str) -> Self {
        let code = register(cloud, &id(name), 60_000).await;
        let key = KeyPair::generate().unwrap();
        let response = enroll(cloud, name, &code.reveal(), request_for(&key)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let certificate = issued(&text(response).await);
        let mut ikm = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(ikm.as_mut_slice()).unwrap();
        let (opening, sealing) = OpeningKey::derive(&ikm);
        Self {
            id: id(name),
            certificate,
            key_pem: Zeroizing::new(key.serialize_pem()),
            opening,
            sealing,
            boot: BootId::random(),
            embedder: Some(EMBEDDER.to_owned()),
            held: Held::default(),
        }
    }

    pub(super) fn signer(&self) -> Signer {
        Signer::p256(&self.key_pem, self.id.as_str()).unwrap()
    }

    pub(super) fn access_point(&self) -> AccessPoint {
        AccessPoint {
            id: AccessPointId::new(format!("{}-door", self.id)).unwrap(),
            kind: AccessPointKind::Door,
            credentials: vec!["face".to_owned(), "remote".to_owned()],
            reachable: true,
            state: "closed".to_owned(),
        }
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            staleness: StalenessLimits { face_s: Some(3_600), ..StalenessLimits::default() },
            versions: Versions::SPOKEN,
            boot_id: self.boot.clone(),
            cursor: self.held.cursor,
            digest: self.held.digest(),
            sealing_key: self.sealing.clone(),
            embedder: self.embedder.clone(),
            software: "0.1.0".to_owned(),
            equipment: vec![self.access_point()],
        }
    }

    /// TLS to the broker with its own certificate.
    pub(super) fn transport(&self, cloud: &Cloud) -> Transport {
        Transport::tls_with_config(TlsConfiguration::Rustls(self.tls(cloud)))
    }

    pub(super) fn tls(&self, cloud: &Cloud) -> Arc<rustls::ClientConfig> {
        let keyed = KeyedCertificate {
            chain_pem: pem(&self.certificate),
            private_key_pem: self.key_pem.clone(),
            serial: String::new(),
        };
        Arc::new(keyed.tls_client(std::slice::from_ref(cloud.authority.certificate_der())).unwrap())
    }

    pub(super) fn options(&self, cloud: &Cloud) -> MqttOptions {
        let port = cloud.broker_port();
        let mut options = MqttOptions::new(self.id.as_str(), "localhost", port);
        options.set_transport(self.transport(cloud)).set_clean_session(true).set_max_packet_size(8 << 20, 8 << 20);
        options
    }

    /// Connects, subscribes and says hello.
    pub(super) async fn begin(&self, cloud: &Cloud) -> Talk {
        let pipe = Pipe::open(self.options(cloud), &topic::down(&self.id)).await.unwrap();
        self.begin_on(cloud, pipe).await
    }

    pub(super) async fn begin_on(&self, cloud: &Cloud, pipe: Pipe) -> Talk {
        let session = SessionId::random();
        let sender = Sender::new(self.signer(), Use::Up, self.id.clone(), session.clone());
        let receiver = Receiver::new(cloud.verifier.clone(), Use::Down, self.id.clone(), session);
        let up = topic::up(&self.id);
        let mut talk = Talk { pipe, sender, receiver, up, welcomed: false, cloud_now: cloud.now(), heard: false };
        talk.say(Up::Hello(self.hello())).await;
        talk
    }

    /// Applies what comes until the cursor is there, and acknowledges it.
    pub(super) async fn follow(&mut self, talk: &mut Talk, revision: u64) {
        while self.held.cursor.0 < revision {
            let message = talk.next().await;
            self.apply(talk, message).await;
        }
    }

    pub(super) async fn apply(&mut self, talk: &mut Talk, message: Down) {
        if self.held.apply(&self.id, &self.opening, message) {
            talk.say(Up::Applied { revision: self.held.cursor, digest: self.held.digest() }).await;
        }
    }
}

pub(super) fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

/// An MQTT connection with one subscription.
pub(super) struct Pipe {
    pub(super) client: AsyncClient,
    pub(super) granted: bool,
    incoming: mpsc::UnboundedReceiver<Vec<u8>>,
    polling: tokio::task::JoinHandle<()>,
}

impl Pipe {
    pub(super) async fn open(options: MqttOptions, filter: &str) -> Result<Self, ConnectionError> {
        let (client, mut events) = AsyncClient::new(options, 16);
        events.network_options.set_tcp_nodelay(true);
        let granted = loop {
            match timeout(PATIENCE, events.poll()).await.expect("the broker answers")? {
                Event::Incoming(Packet::ConnAck(_)) => client.try_subscribe(filter, QoS::AtLeastOnce).unwrap(),
                Event::Incoming(Packet::SubAck(ack)) => {
                    break ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                }
                _ => {}
            }
        };
        let (sender, incoming) = mpsc::unbounded_channel();
        let polling = tokio::spawn(async move {
            // The first error ends the connection, and with it the channel.
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event
                    && sender.send(publish.payload.to_vec()).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self { client, granted, incoming, polling })
    }

    /// The next message; `None` once the connection has ended.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        timeout(PATIENCE, self.incoming.recv()).await.expect("a message or the end of the connection")
    }

    /// Whether a message waits to be looked at.
    pub(super) fn has_message(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Drops the connection, as a power cut does.
    pub(super) fn leave(&self) {
        self.polling.abort();
    }

    pub(super) async fn ended(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// A session.
pub(super) struct Talk {
    pub(super) pipe: Pipe,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    up: String,
    welcomed: bool,
    cloud_now: cardea_protocol::Timestamp,
    heard: bool,
}

impl Talk {
    pub(super) async fn say(&mut self, message: Up) -> Vec<u8> {
        let payload = self.sender.seal(self.cloud_now, message).unwrap();
        self.publish(payload.clone()).await;
        payload
    }

    pub(super) async fn publish(&self, payload: Vec<u8>) {
        self.pipe.client.publish(&self.up, QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// The next message after the welcome, which comes first and once.
    pub(super) async fn next_any(&mut self) -> Down {
        loop {
            let payload = self.pipe.next().await.expect("the connection stands");
            let message = match self.receiver.open::<Down>(&payload) {
                // A cloud that nobody tells who comes and goes speaks in the session before, until it has heard the hello.
                Err(EnvelopeError::Session) if !self.heard => continue,
                opened => opened.expect("signed, addressed and numbered").message,
            };
            self.heard = true;
            match message {
                Down::Welcome { version } => {
                    assert!(!self.welcomed && Versions::SPOKEN.contains(version), "a second welcome, or a strange one");
                    self.welcomed = true;
                }
                message @ (Down::Refused { .. } | Down::Reconnect { .. }) => return message,
                message => {
                    assert!(self.welcomed, "a message before the welcome");
                    return message;
                }
            }
        }
    }

    /// The next message that is not a statement of freshness.
    pub(super) async fn next(&mut self) -> Down {
        loop {
            let message = self.next_any().await;
            if !matches!(message, Down::Freshness { .. }) {
                return message;
            }
        }
    }
}
