//! The cloud's own MQTT connection, to the embedded broker or to an external one.
//!
//! rumqttc is thrown away whole on any error and built anew: its event loop can livelock after a lost session and
//! keeps requests of the old one. It subscribes on every CONNACK, and nothing rests on its acknowledgements: what was
//! lost with a connection is noticed by the sessions, which begin again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cardea_protocol::id::ControllerId;
use cardea_protocol::topic;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::carrier::{Carrier, Inlet, Line, Outgoing};
use crate::broker::{Broker, MAX_PACKET_BYTES};

const KEEP_ALIVE: Duration = Duration::from_secs(20);
const IN_FLIGHT: u16 = 16;
const REQUESTS: usize = 16;
const RETRY: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(5)];

/// Which broker, and as whom.
#[derive(Clone, Debug)]
pub(super) struct BrokerAddress {
    /// DNS name or IP address; the broker's certificate must be for it.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// The cloud's client certificate and the CA of the broker.
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// MQTT client id; the common name of that certificate.
    pub(super) client_id: String,
}

/// A broker, and the connection to it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: BrokerAddress,
    /// The embedded one, which tells who comes and goes, and ends connections.
    pub(super) embedded: Option<Arc<Broker>>,
}

#[async_trait]
impl Carrier for Client {
    async fn run(&self, line: Line, cancel: CancellationToken) {
        keep(&self.address, line, cancel).await;
    }

    async fn end(&self, controller: &ControllerId) {
        if let Some(broker) = &self.embedded {
            broker.end(controller).await;
        }
    }

    async fn end_controllers(&self) {
        if let Some(broker) = &self.embedded {
            broker.end_controllers().await;
        }
    }
}

/// Keeps the connection until cancelled; tells of every message and of every (re)connection.
async fn keep(broker: &BrokerAddress, Line { mut outgoing, inlet }: Line, cancel: CancellationToken) {
    let mut failures = 0;
    while !cancel.is_cancelled() {
        let (client, events) = AsyncClient::new(options(broker), REQUESTS);
        let worked = tokio::select! {
            () = cancel.cancelled() => return,
            worked = converse(&client, events, &mut outgoing, &inlet) => worked,
        };
        failures = if worked { 0 } else { failures + 1 };
        let wait = RETRY.get(failures).or(RETRY.last()).copied().unwrap_or_default();
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn options(broker: &BrokerAddress) -> MqttOptions {
    let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(broker.tls.clone())))
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_session(true)
        .set_inflight(IN_FLIGHT)
        .set_max_packet_size(MAX_PACKET_BYTES as usize, MAX_PACKET_BYTES as usize);
    options
}

/// One connection, from its CONNECT to its first error. Returns whether it ever stood.
async fn converse(
    client: &AsyncClient,
    mut events: EventLoop,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    inlet: &Inlet,
) -> bool {
    events.network_options.set_tcp_nodelay(true);
    let mut stands = false;
    // A future beside the polling and not inside it: publishing waits for room that only polling makes.
    let pump = async {
        while let Some(Outgoing { to, payload, ended }) = outgoing.recv().await {
            if ended.is_cancelled() {
                continue;
            }
            if client.publish(topic::down(&to), QoS::AtLeastOnce, false, payload).await.is_err() {
                break;
            }
        }
    };
    tokio::pin!(pump);
    loop {
        let event = tokio::select! {
            event = events.poll() => event,
            () = &mut pump, if stands => return stands,
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if client.try_subscribe(topic::ALL_UP, QoS::AtLeastOnce).is_err() {
                    return stands;
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                if ack.return_codes.iter().any(|code| matches!(code, rumqttc::SubscribeReasonCode::Failure)) {
                    tracing::error!("the broker refuses the cloud's subscription: check its access rules");
                    return stands;
                }
                stands = true;
                inlet.stands();
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                if let Some(controller) = topic::speaker(&publish.topic) {
                    inlet.message(controller, publish.payload);
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the connection to the broker is lost");
                if stands {
                    inlet.lost();
                }
                return stands;
            }
        }
    }
}
