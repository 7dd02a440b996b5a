//! The embedded MQTT broker: rmqtt, driven through its hooks.
//!
//! It is a pipe and nothing more: sessions start clean and end with their connection, nothing is retained, nothing is
//! queued for who is away, wills are refused. [`gate`] says who may connect and what for. The TLS handshake runs in each
//! connection's own task, so a client that connects and says nothing stalls nobody.
//!
//! rmqtt keeps TLS sessions for resumption and does not let us turn that off; every connection, resumed or not, passes
//! the gate, which asks the database whether the certificate's serial still counts and has not expired.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::ControllerId;
use rmqtt::context::ServerContext;
use rmqtt::hook::Type;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;
use rmqtt::types::Id;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::storage::Storage;

pub mod external;
mod gate;
pub mod revocation_list;

use gate::Gate;

/// One changes message with 100 templates is about 0.5 MiB; a page of a snapshot as well.
pub const MAX_PACKET_BYTES: u32 = 8 * 1024 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_IN_FLIGHT: NonZeroU16 = NonZeroU16::MIN.saturating_add(15);
/// rmqtt numbers its listeners; there is one.
const LISTENER: u16 = 1;
const NODE: u64 = 1;

/// Where the broker listens, and as whom.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Port 0: any free one.
    pub listen: SocketAddr,
    /// PEM chain of the server's certificate.
    pub certificate: PathBuf,
    /// PEM key of that certificate.
    pub private_key: PathBuf,
    /// PEM certificate of the Cardea CA: only what it issued is let in.
    pub client_ca: PathBuf,
    /// Serial of the certificate of the cloud's own client, as [`crate::pki::serial_text`] writes it.
    pub cloud_serial: String,
}

/// A controller's connection came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Connected from this address, and about to say hello.
    Came(ControllerId, SocketAddr),
    /// The connection from this address has ended; another of the same controller may have taken its place already.
    Went(ControllerId, SocketAddr),
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
#[error("the broker cannot listen on {listen}: {message}")]
pub struct BrokerError {
    listen: SocketAddr,
    message: String,
}

/// The running broker. Ends its connections when dropped.
pub struct Broker {
    address: SocketAddr,
    context: ServerContext,
    accepting: JoinHandle<()>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({})", self.address)
    }
}

impl Broker {
    /// Listens, and reports on `presence` who comes and goes.
    pub async fn start(
        settings: BrokerSettings,
        storage: Storage,
        clock: SharedClock,
        presence: mpsc::UnboundedSender<Presence>,
    ) -> Result<Self, BrokerError> {
        let listen = settings.listen;
        let failed = |error: rmqtt::Error| BrokerError { listen, message: format!("{error:#}") };
        // rmqtt's own overload check would refuse controllers while another program keeps the processors busy.
        let context = ServerContext::new().node_id(NODE).busy_check_enable(false).build().await;
        let gate = Arc::new(Gate { storage, clock, cloud_serial: settings.cloud_serial, presence });
        let register = context.extends.hook_mgr().register();
        for hook in [
            Type::ClientAuthenticate,
            Type::ClientConnected,
            Type::ClientDisconnected,
            Type::ClientSubscribeCheckAcl,
            Type::MessagePublishCheckAcl,
        ] {
            register.add(hook, Box::new(gate::Hooks(gate.clone()))).await;
        }
        register.start().await;

        let listener = Builder::new()
            .name("controllers")
            .laddr(listen)
            .nodelay(true)
            .allow_anonymous(false)
            .allow_zero_keepalive(false)
            .max_packet_size(MAX_PACKET_BYTES)
            .max_inflight(MAX_IN_FLIGHT)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .session_expiry_interval(Duration::ZERO)
            .max_session_expiry_interval(Duration::from_millis(1)) // zero would mean "no limit"
            .tls_cross_certificate(true)
            .tls_cert(settings.certificate.to_str())
            .tls_key(settings.private_key.to_str())
            .tls_client_ca_certs(settings.client_ca.to_str())
            .collect_cert_info(true)
            .bind()
            .and_then(|listener| listener.tls())
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = MqttServer::new(context.clone()).listener_by_id(listener, LISTENER).build();
        let accepting = tokio::spawn(async move {
            if let Err(error) = server.run().await {
                tracing::error!("the broker has stopped accepting: {error:#}");
            }
        });
        tracing::info!(%address, "the broker listens");
        Ok(Self { address, context, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends a controller's connection, if there is one.
    pub async fn end(&self, controller: &ControllerId) {
        end_client(&self.context, controller.as_str()).await;
    }

    /// Ends the cloud's own connection.
    #[cfg(test)]
    pub(crate) async fn end_cloud(&self) {
        end_client(&self.context, crate::pki::CLOUD_CLIENT).await;
    }

    /// Ends every connection but the cloud's own: after that was lost, so that each controller begins again.
    pub async fn end_controllers(&self) {
        let clients: Vec<String> =
            self.context.extends.shared().await.iter().map(|entry| entry.id().client_id.to_string()).collect();
        for client in clients.iter().filter(|client| *client != crate::pki::CLOUD_CLIENT) {
            end_client(&self.context, client).await;
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.accepting.abort();
        let context = self.context.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let clients: Vec<String> =
                    context.extends.shared().await.iter().map(|entry| entry.id().client_id.to_string()).collect();
                for client in clients {
                    end_client(&context, &client).await;
                }
            });
        }
    }
}

async fn end_client(context: &ServerContext, client: &str) {
    let id = Id::from(NODE, client.to_owned().into());
    let entry = context.extends.shared().await.entry(id);
    match entry.try_lock().await {
        Ok(mut entry) => {
            if let Err(error) = entry.kick(true, true, true).await {
                tracing::warn!(client, "the broker could not end a connection: {error:#}");
            }
        }
        // Held only while the same client connects: the gate looks again once it has.
        Err(error) => tracing::debug!(client, "a connection is being made: {error:#}"),
    }
}
