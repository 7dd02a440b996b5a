//! What the conversation needs of the network, and the network itself.
//!
//! Everything that the sync task knows of the outside world comes through [`Network`]. [`Internet`] is the real one: MQTT to the
//! broker, EST to the API. A simulation brings another.

use async_trait::async_trait;
use bytes::Bytes;
use rumqttc::v5::{ConnectionError, StateError};

use super::mqtt::MqttLink;
use crate::identity::est::{EstClient, find_tls_error};
use crate::identity::renew::RenewError;
use crate::identity::{Identity, IdentityError};

/// Why a connection could not be had, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address.
    #[error("{0} is not an address of an MQTT broker (mqtts://host:port)")]
    Address(String),
    /// The connection.
    #[error("the connection to the broker failed")]
    Connection(#[source] Box<ConnectionError>),
    /// TLS, for a reason worth telling.
    #[error("the broker's TLS: {0}")]
    Tls(rustls::Error),
    /// The identity that the connection is made with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The subscription.
    #[error("the broker refuses this controller its topic")]
    Subscription,
    /// It stopped answering.
    #[error("the broker does not take messages any more")]
    Stuck,
    /// It ended without a word.
    #[error("the connection to the broker has ended")]
    Ended,
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        // In TLS 1.3 a refusal comes after the handshake, where rumqttc reads its first packet, and that error does not name
        // its source.
        let inner: &(dyn std::error::Error + 'static) = match &error {
            ConnectionError::MqttState(StateError::Deserialization(inner)) => inner,
            other => other,
        };
        match find_tls_error(inner) {
            Some(error) => Self::Tls(error),
            None => Self::Connection(Box::new(error)),
        }
    }
}

/// The way to the cloud.
#[async_trait]
pub trait Network: std::fmt::Debug + Send + Sync {
    /// Connects to the broker with this identity, and listens to the controller's topic.
    async fn connect(&self, identity: &Identity) -> Result<Box<dyn Link>, LinkError>;

    /// Asks for another certificate (EST simplereenroll, RFC 7030 §4.2.2): a request (PKCS#10, DER) for certificates (DER).
    async fn reenroll(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError>;

    /// The same with a certificate that has expired, where the cloud still takes it.
    async fn reenroll_expired(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError>;
}

/// A connection that stands. It ends when dropped, and nothing of it outlives its first error.
#[async_trait]
pub trait Link: Send {
    /// The next message. Cancel-safe.
    async fn next(&mut self) -> Result<Bytes, LinkError>;

    /// Tells the broker that the message [`Link::next`] gave last is dealt with.
    async fn acknowledge(&mut self) -> Result<(), LinkError>;

    /// Publishes on the controller's topic.
    async fn publish(&mut self, payload: Vec<u8>) -> Result<(), LinkError>;

    /// Says goodbye, so that the broker need not wait for the keep-alive.
    async fn leave(self: Box<Self>);
}

/// The real network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Internet;

#[async_trait]
impl Network for Internet {
    async fn connect(&self, identity: &Identity) -> Result<Box<dyn Link>, LinkError> {
        let tls = identity.tls()?;
        let broker = &identity.cloud.configuration.broker_url;
        Ok(Box::new(MqttLink::connect(broker, identity.controller(), tls).await?))
    }

    async fn reenroll(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        let client = EstClient::new(&identity.cloud.api_url, identity.tls()?)?;
        Ok(client.simple_reenroll(request).await?)
    }

    async fn reenroll_expired(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        let desk = identity.cloud.enrolment_url.as_ref().ok_or(RenewError::NoDesk)?;
        let client = EstClient::new(desk, identity.tls()?)?;
        Ok(client.simple_reenroll(request).await?)
    }
}
