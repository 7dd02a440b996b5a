//! Keeping controllers in step with the cloud: the sessions, the pushes, the orders to open.
//!
//! One [`hub`] task owns a table of controllers and gives each a task of its own ([`session`]), so that a slow one
//! delays nobody. A session begins with the controller's hello and ends with its connection; it sends what the
//! controller lacks of its site's change log, repairs a differing digest with a snapshot, states freshness at a fixed
//! interval, stores events and receipts before it acknowledges them, and carries commands to the one connection that
//! is there, or to none. Nothing is queued for a controller that is away.
//!
//! What carries the messages is a [`Carrier`]. [`link`] is the real one: the cloud's own MQTT client, so that the same code serves
//! the embedded broker and an external one. The broker is believed in nothing: a controller that was revoked is sent nothing and
//! heard in nothing, whether it is let in there or not.
//!
//! Templates of another embedder than the controller's own are neither sent nor counted in its digest.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::{AccessPointId, CommandId, ControllerId, SiteId};
use cardea_protocol::jws::Signer;
use cardea_protocol::message::CommandOutcome;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::broker::external::ExternalBroker;
use crate::broker::revocation_list::{RevocationList, RevocationListError};
use crate::broker::{Broker, BrokerError, BrokerSettings};
use crate::keys::Vault;
use crate::pki::{Authority, CLOUD_CLIENT, PkiError};
use crate::storage::{Storage, StorageError};

mod carrier;
mod catch_up;
mod hub;
mod link;
mod orders;
mod refusal;
mod session;
#[cfg(test)]
mod tests;

pub use carrier::{Carrier, Inlet, Line, Outgoing};
use link::BrokerAddress;

/// Messages on their way to the broker.
const OUTGOING: usize = 1_024;

/// Intervals and limits.
#[derive(Clone, Copy, Debug)]
pub struct SyncSettings {
    /// How often each connected controller is told that its revision is current, milliseconds.
    pub freshness_interval_ms: u64,
    /// How long an order to open waits for its final outcome, and lives at the controller, milliseconds.
    pub command_wait_ms: u64,
}

/// Which broker carries the messages.
#[derive(Clone, Debug)]
pub enum BrokerChoice {
    /// The one inside this program.
    Embedded {
        /// Where it listens. Port 0: any free one.
        listen: SocketAddr,
        /// What controllers reach it by: in its certificate, which the Cardea CA issues.
        public_names: Vec<String>,
        /// Where that certificate and its key are written, for rmqtt to read.
        data_dir: PathBuf,
    },
    /// Another. It must let the Cardea CA's clients in by certificate, name them by its common name, and keep each to
    /// its own topics; who comes and goes, it does not tell: a controller that vanishes shows as connected until an
    /// order goes unanswered. The cloud starts without it, and is not ready until it is there.
    External(ExternalBroker),
    /// Something that is no broker at all: the network of a simulation.
    Carried(Arc<dyn Carrier>),
}

/// What the sync tasks are made of.
pub struct Parts {
    /// The database.
    pub storage: Storage,
    /// Opens templates, to seal them to controllers.
    pub vault: Arc<Vault>,
    /// Issues the broker's certificate and the cloud's own.
    pub authority: Arc<Authority>,
    /// Signs messages with the key that controllers pin.
    pub signer: Signer,
    /// The time.
    pub clock: SharedClock,
    /// Intervals and limits.
    pub settings: SyncSettings,
    /// Which broker.
    pub broker: BrokerChoice,
}

/// Why the sync tasks did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// TLS.
    #[error("the cloud's own certificate is not usable")]
    Tls(#[from] rustls::Error),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The list of revocations for another broker.
    #[error(transparent)]
    RevocationList(#[from] RevocationListError),
    /// The broker's certificate could not be written.
    #[error("the broker's certificate cannot be written to {folder}")]
    File {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection to the broker does not come to stand.
    #[error("the broker does not let the cloud in")]
    Link,
}

/// A handle to the sync tasks; cheap to clone. They end when the last one is dropped.
#[derive(Clone)]
pub struct Sync {
    hub: mpsc::UnboundedSender<hub::Input>,
    broker: Option<Arc<Broker>>,
    ready: watch::Receiver<bool>,
    revoked: Arc<Notify>,
    _running: Arc<DropGuard>,
}

impl std::fmt::Debug for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sync")
    }
}

/// Why an order to open has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The site has no such access point.
    #[error("the site has no such access point")]
    UnknownAccessPoint,
    /// Its controller is not connected; nothing was sent and nothing will be.
    #[error("the controller of the access point is not connected: nothing was sent")]
    Unreachable,
    /// The controller was sent the order and has not answered in time; the order has expired.
    #[error("the controller did not answer in time: the order has expired")]
    Unanswered,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Sync {
    /// Starts the broker, if it is the embedded one, the connection to it, and the sessions.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let cancel = CancellationToken::new();
        let running = Arc::new(cancel.clone().drop_guard());
        parts.storage.forget_connections(parts.clock.now()).await?;
        let (presence, presences) = mpsc::unbounded_channel();
        let revoked = Arc::new(Notify::new());
        // Another broker may be away, and withdrawals are carried out in the cloud all the same.
        let waits = !matches!(parts.broker, BrokerChoice::External(_));
        let (broker, carrier): (_, Arc<dyn Carrier>) = match parts.broker {
            BrokerChoice::Carried(carrier) => (None, carrier),
            BrokerChoice::External(ExternalBroker { host, port, authorities, revocation_list }) => {
                if let Some(file) = revocation_list {
                    let (storage, clock) = (parts.storage.clone(), parts.clock.clone());
                    let mut list = RevocationList::new(storage, parts.authority.clone(), clock, file);
                    list.write().await?;
                    tokio::spawn(list.keep(revoked.clone(), cancel.clone()));
                }
                let client = parts.authority.issue_cloud_client(parts.clock.now())?;
                let tls = Arc::new(client.tls_client(&authorities)?);
                let address = BrokerAddress { host, port, tls, client_id: CLOUD_CLIENT.to_owned() };
                (None, Arc::new(link::Client { address, embedded: None }))
            }
            BrokerChoice::Embedded { listen, public_names, data_dir } => {
                let now = parts.clock.now();
                let host = match listen.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                    ip => ip,
                }
                .to_string();
                let mut names = public_names;
                if !names.contains(&host) {
                    names.push(host.clone());
                }
                let (certificate, private_key) = parts
                    .authority
                    .issue_server(&names, now)?
                    .write(&data_dir, "broker")
                    .map_err(|source| StartError::File { folder: data_dir, source })?;
                let client = parts.authority.issue_cloud_client(now)?;
                let settings = BrokerSettings {
                    listen,
                    certificate,
                    private_key,
                    client_ca: parts.authority.certificate_file().to_owned(),
                    cloud_serial: client.serial.clone(),
                };
                let presence = presence.clone();
                let broker = Broker::start(settings, parts.storage.clone(), parts.clock.clone(), presence).await?;
                let port = broker.address().port();
                let tls = Arc::new(client.tls_client(std::slice::from_ref(parts.authority.certificate_der()))?);
                let address = BrokerAddress { host, port, tls, client_id: CLOUD_CLIENT.to_owned() };
                let broker = Arc::new(broker);
                (Some(broker.clone()), Arc::new(link::Client { address, embedded: Some(broker) }))
            }
        };
        let (hub, inputs) = mpsc::unbounded_channel();
        let (outgoing, to_link) = mpsc::channel(OUTGOING);
        let (ready_now, mut ready) = watch::channel(false);
        let context = session::Context {
            storage: parts.storage,
            vault: parts.vault,
            signer: parts.signer,
            clock: parts.clock,
            settings: parts.settings,
            link: outgoing,
            hub: hub.clone(),
        };
        let (line, ended) = (Line { outgoing: to_link, inlet: Inlet { hub: hub.clone(), presence } }, cancel.clone());
        let carrying = carrier.clone();
        tokio::spawn(async move { carrying.run(line, ended).await });
        tokio::spawn(hub::Hub::new(context, carrier, ready_now).run(inputs, presences, cancel));
        if waits {
            ready.wait_for(|stands| *stands).await.map_err(|_| StartError::Link)?;
        }
        Ok(Self { hub, broker, ready, revoked, _running: running })
    }

    /// Once the connection to the broker stands.
    #[cfg(test)]
    pub(crate) async fn stands(&self) {
        let _ = self.ready.clone().wait_for(|stands| *stands).await;
    }

    /// A handle with nothing behind it, so that every controller is unreachable: for tests of the API.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        let (hub, _) = mpsc::unbounded_channel();
        let (_, ready) = watch::channel(false);
        let revoked = Arc::new(Notify::new());
        Self { hub, broker: None, ready, revoked, _running: Arc::new(CancellationToken::new().drop_guard()) }
    }

    /// Where the embedded broker listens.
    pub fn broker_address(&self) -> Option<SocketAddr> {
        self.broker.as_ref().map(|broker| broker.address())
    }

    /// Whether the connection to the broker stands.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// New revisions of the site are committed: push them to its connected controllers now.
    pub fn changed(&self, site: &SiteId) {
        // The hub ends only with the program.
        let _ = self.hub.send(hub::Input::Changed(site.clone()));
    }

    /// Orders the access point to open and waits for the final outcome, a few seconds at most.
    pub async fn open(
        &self,
        command_id: CommandId,
        access_point: &AccessPointId,
        site: &SiteId,
    ) -> Result<CommandOutcome, OpenError> {
        let (reply, outcome) = oneshot::channel();
        let order = hub::Order { command_id, access_point: access_point.clone(), site: site.clone(), reply };
        self.hub.send(hub::Input::Open(order)).map_err(|_| OpenError::Unreachable)?;
        outcome.await.unwrap_or(Err(OpenError::Unreachable))
    }

    /// Ends the live session of a controller that is revoked or decommissioned, at once: nothing more is sent to it. The
    /// embedded broker ends its connection too; another one is told by the list of revocations.
    pub async fn end_sessions(&self, controller: &ControllerId) {
        self.revoked.notify_one();
        let (done, ended) = oneshot::channel();
        if self.hub.send(hub::Input::End(controller.clone(), done)).is_ok() {
            let _ = ended.await;
        }
    }
}
