//! One MQTT connection, from CONNECT to its first error, after which it is thrown away whole.
//!
//! rumqttc can livelock after a lost session, drops unacknowledged publishes when the broker has none, and does not
//! subscribe again; so nothing of it outlives an error, and nothing rests on its acknowledgements: both ends number their
//! messages and answer each other. Messages are acknowledged by hand, once they are dealt with. Its event loop runs in a
//! task of its own, because publishing waits for room that only polling makes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cardea_protocol::id::ControllerId;
use cardea_protocol::topic;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::network::{Link, LinkError};

const KEEP_ALIVE: Duration = Duration::from_secs(20);
const CONNECT_S: u64 = 10;
const IN_FLIGHT: u16 = 16;
const REQUESTS: usize = 16;
/// What the broker may send before it is acknowledged is bounded by `IN_FLIGHT`; more is a broken broker.
const MAILBOX: usize = 4 * IN_FLIGHT as usize;
/// As the cloud's broker has it.
const MAX_PACKET: u32 = 8 * 1024 * 1024;
/// A broker that takes nothing for so long is as good as gone.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that stands and listens to the controller's topic. Ends when dropped.
pub(super) struct MqttLink {
    client: AsyncClient,
    incoming: mpsc::Receiver<Result<Publish, LinkError>>,
    /// What the broker has not been told to be dealt with.
    at_hand: Option<Publish>,
    topic: String,
    _ends_with_this: DropGuard,
}

impl MqttLink {
    /// Connects and subscribes.
    pub(super) async fn connect(
        broker_url: &str,
        controller: &ControllerId,
        tls: ClientConfig,
    ) -> Result<Self, LinkError> {
        let (client, mut events) = AsyncClient::new(options(broker_url, controller, tls)?, REQUESTS);
        loop {
            match events.poll().await? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    client.try_subscribe(topic::down(controller), QoS::AtLeastOnce).map_err(|_| LinkError::Stuck)?;
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    let refused = |code: &SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
                    if ack.return_codes.is_empty() || ack.return_codes.iter().any(refused) {
                        return Err(LinkError::Subscription);
                    }
                    break;
                }
                _ => {}
            }
        }
        let (sender, incoming) = mpsc::channel(MAILBOX);
        let cancel = CancellationToken::new();
        tokio::spawn(poll(events, sender, cancel.clone()));
        let topic = topic::up(controller);
        Ok(Self { client, incoming, at_hand: None, topic, _ends_with_this: cancel.drop_guard() })
    }
}

#[async_trait]
impl Link for MqttLink {
    async fn next(&mut self) -> Result<Bytes, LinkError> {
        let publish = self.incoming.recv().await.unwrap_or(Err(LinkError::Ended))?;
        let payload = publish.payload.clone();
        self.at_hand = Some(publish);
        Ok(payload)
    }

    async fn acknowledge(&mut self) -> Result<(), LinkError> {
        match self.at_hand.take() {
            Some(publish) => within(self.client.ack(&publish)).await,
            None => Ok(()),
        }
    }

    async fn publish(&mut self, payload: Vec<u8>) -> Result<(), LinkError> {
        within(self.client.publish(self.topic.as_str(), QoS::AtLeastOnce, false, payload)).await
    }

    async fn leave(mut self: Box<Self>) {
        let leaving = async {
            if self.client.disconnect().await.is_ok() {
                // The task ends with the connection.
                while self.incoming.recv().await.is_some_and(|message| message.is_ok()) {}
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), leaving).await;
    }
}

async fn within<T, E>(request: impl Future<Output = Result<T, E>>) -> Result<T, LinkError> {
    match tokio::time::timeout(PUBLISH_TIMEOUT, request).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(LinkError::Ended),
        Err(_) => Err(LinkError::Stuck),
    }
}

async fn poll(mut events: EventLoop, sender: mpsc::Sender<Result<Publish, LinkError>>, cancel: CancellationToken) {
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return,
            event = events.poll() => event,
        };
        let message = match event {
            Ok(Event::Incoming(Packet::Publish(publish))) => Ok(publish),
            Ok(_) => continue,
            Err(error) => Err(error.into()),
        };
        let is_last = message.is_err();
        // A full mailbox ends the connection as an error does: the receiver sees the channel close.
        if sender.try_send(message).is_err() || is_last {
            return;
        }
    }
}

fn options(broker_url: &str, controller: &ControllerId, tls: ClientConfig) -> Result<MqttOptions, LinkError> {
    let address = || LinkError::Address(broker_url.to_owned());
    let url = Url::parse(broker_url).map_err(|_| address())?;
    // Without the brackets of an IPv6 address, which are for URLs only.
    let host = url.host_str().ok_or_else(address)?.trim_matches(['[', ']']).to_owned();
    let port = url.port().unwrap_or(8883);
    if url.scheme() != "mqtts" {
        return Err(address());
    }
    let mut options = MqttOptions::new(controller.as_str(), host, port);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(0);
    properties.receive_maximum = Some(IN_FLIGHT);
    properties.max_packet_size = Some(MAX_PACKET);
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(std::sync::Arc::new(tls))))
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_S)
        .set_clean_start(true)
        .set_manual_acks(true)
        .set_connect_properties(properties)
        .set_outgoing_inflight_upper_limit(IN_FLIGHT);
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    Ok(options)
}
