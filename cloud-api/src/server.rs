//! Putting the cloud together: storage, keys, controllers' sessions, two HTTPS listeners; and taking it apart in order.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::claim;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::jws::JwsError;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::api;
use crate::audit::{self, AuditError};
use crate::auth::token_keys::{self, TokenKeyError};
use crate::auth::{AccessTokens, ExternalIssuers, SourceError, Throttle};
use crate::config::{Config, ConfigError};
use crate::enrolment::{Enroller as ControllerEnroller, EnrolmentError, EnrolmentSettings};
use crate::health;
use crate::keys::{self, KeyError, SigningKey, Vault};
use crate::listener::certificates::{Certificates, CertificatesError};
use crate::listener::{self, Handle, Listener, TlsError};
use crate::pki::{Authority, PkiError};
use crate::recognition::{Enroller, NoEnroller, PackEnroller, RecognitionError};
use crate::retention;
use crate::state::{App, ClaimDesk, Shared};
use crate::storage::{AddressError, KeyStoreSettings, PostgresSettings, Storage, StorageError};
use crate::sync::{BrokerChoice, Parts, StartError, Sync, SyncSettings};
use crate::webhooks::courier::{Courier, Means};
use crate::webhooks::sender::{Https, NoWayOut, Post, SenderError, SystemNames};

/// Requests in flight get this long when the cloud ends.
const GRACE: Duration = Duration::from_secs(10);

/// Why the cloud did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory.
    #[error("the data directory {path} cannot be created: create it, as the service's own")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An address is taken or not this machine's.
    #[error("cannot listen on {address}: another program has it, or it is not an address of this machine")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keys that sign tokens.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
    /// Another issuer.
    #[error(transparent)]
    Issuer(#[from] SourceError),
    /// The audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The signing key.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The Cardea CA.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The listeners' certificates.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database's address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The model pack.
    #[error(transparent)]
    Recognition(#[from] RecognitionError),
    /// The broker and the sessions.
    #[error(transparent)]
    Sync(#[from] StartError),
    /// The way out for webhooks.
    #[error(transparent)]
    Webhooks(#[from] SenderError),
    /// Enrolment.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
}

/// What is kept in the data directory, opened.
#[derive(Debug)]
pub struct Data {
    /// The database.
    pub storage: Storage,
    /// The key file.
    pub vault: Arc<Vault>,
    /// Signs exports and what controllers are told.
    pub signing: SigningKey,
    /// The Cardea CA.
    pub authority: Arc<Authority>,
}

impl Data {
    /// Opens everything, or makes it at the first start. Keys have a folder of their own, so that a backup of the data
    /// can leave them out.
    pub fn open(config: &Config, clock: &SharedClock) -> Result<Self, ServerError> {
        let keys = config.data_dir.join("keys");
        for folder in [&config.data_dir, &keys] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|source| ServerError::DataDir { path: folder.clone(), source })?;
        }
        let vault = Arc::new(Vault::open_or_create(&keys.join("vault.key"))?);
        Ok(Self {
            storage: open_storage(config, vault.clone(), clock)?,
            vault,
            signing: SigningKey::open_or_create(&keys.join("signing.key"))?,
            authority: Arc::new(Authority::open_or_create(&keys, clock.now())?),
        })
    }
}

/// What is done again and again.
fn jobs(app: &Shared, certificates: &Arc<Certificates>, courier: Courier) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(token_keys::run(app.clone())),
        tokio::spawn(audit::run(app.clone())),
        tokio::spawn(retention::run(app.clone())),
        tokio::spawn(courier.run()),
        tokio::spawn(certificates.clone().keep(app.clock.clone())),
    ]
}

/// Delivers webhooks.
fn courier(config: &Config, data: &Data, clock: &SharedClock) -> Result<Courier, ServerError> {
    let post: Arc<dyn Post> = match Https::new(&config.webhooks, Arc::new(SystemNames)) {
        Ok(https) => Arc::new(https),
        // A system without CA certificates is no reason not to open gates.
        Err(error @ SenderError::Client(_)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "webhooks cannot be delivered until a restart");
            Arc::new(NoWayOut)
        }
        Err(error) => return Err(error.into()),
    };
    let means = Means { storage: data.storage.clone(), vault: data.vault.clone(), clock: clock.clone(), post };
    Ok(Courier::new(means, StdRng::from_os_rng()))
}

/// The database the configuration names.
fn open_storage(config: &Config, vault: Arc<Vault>, clock: &SharedClock) -> Result<Storage, ServerError> {
    let keys = KeyStoreSettings { file: Some(config.data_dir.join("subject-keys.db")), vault, at: clock.now() };
    let section = &config.storage;
    let Some(url) = &section.url else {
        let path = section.path.clone().unwrap_or_else(|| config.data_dir.join("cloud.db"));
        return Ok(Storage::open(&path, keys)?);
    };
    let password = section.password_file.as_deref().map(keys::password).transpose()?;
    let authorities = section.ca.as_deref().map(listener::read_certificates).transpose()?.unwrap_or_default();
    let settings = PostgresSettings::new(url, password.as_ref().map(|password| password.as_slice()), &authorities)?;
    Ok(Storage::connect(settings, keys)?)
}

/// Where the cloud is to be found, as the ready file says it.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    /// Bound address of the API.
    pub api: SocketAddr,
    /// Bound address of the enrolment listener.
    pub enrol: SocketAddr,
    /// Bound address of the embedded broker.
    pub broker: Option<SocketAddr>,
    /// `https://name:port` of the API.
    pub api_url: String,
    /// `https://name:port` of the enrolment listener.
    pub enrol_url: String,
    /// `mqtts://name:port`, as controllers are told.
    pub broker_url: String,
    /// PEM file of the Cardea CA.
    pub ca_file: PathBuf,
    /// Bound address of the health listener, if there is one.
    pub health: Option<SocketAddr>,
}

/// The running cloud.
#[derive(Debug)]
pub struct Server {
    addresses: Addresses,
    app: Shared,
    handles: Vec<Handle>,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
    jobs: Vec<JoinHandle<()>>,
    certificates: Arc<Certificates>,
}

/// Takes an address, and says which one it has become (port 0: any free one).
pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen { address, source };
    let socket = TcpListener::bind(address).map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}

/// `scheme://name:port`, with the brackets of an IPv6 address.
fn url(scheme: &str, name: &str, port: u16) -> String {
    if name.contains(':') { format!("{scheme}://[{name}]:{port}") } else { format!("{scheme}://{name}:{port}") }
}

/// An address of our own making, from a configured name.
fn parsed(address: &str) -> Result<url::Url, ServerError> {
    address.parse().map_err(|_| PkiError::Name { name: address.to_owned() }.into())
}

fn broker_choice(config: &Config, data: &Data) -> Result<BrokerChoice, ServerError> {
    Ok(match &config.broker {
        Some(other) => BrokerChoice::External(other.broker(data.authority.certificate_der())?),
        None => BrokerChoice::Embedded {
            listen: config.server.broker_listen,
            public_names: config.server.public_names.clone(),
            data_dir: config.data_dir.clone(),
        },
    })
}

/// What controllers are told to connect to.
fn told_broker_url(config: &Config, name: &str, embedded: Option<SocketAddr>) -> String {
    let configured = config.server.broker_url.as_ref().or(config.broker.as_ref().map(|other| &other.url));
    configured.map_or_else(
        || url("mqtts", name, embedded.map_or(config.server.broker_listen.port(), |broker| broker.port())),
        |configured| configured.as_str().trim_end_matches('/').to_owned(),
    )
}

impl Server {
    /// Starts everything; when this returns, it serves.
    pub async fn start(config: Config, clock: SharedClock) -> Result<Self, ServerError> {
        let data = Data::open(&config, &clock)?;
        let (api_socket, api) = bind(config.server.api_listen)?;
        let (enrol_socket, enrol) = bind(config.server.enrol_listen)?;
        let certificates = Arc::new(Certificates::read(&config, data.authority.clone(), clock.now())?);
        let enroller = load_enroller(&config).await?;
        let courier = courier(&config, &data, &clock)?;
        let sync = Sync::start(Parts {
            storage: data.storage.clone(),
            vault: data.vault.clone(),
            authority: data.authority.clone(),
            signer: data.signing.signer()?,
            clock: clock.clone(),
            settings: SyncSettings {
                freshness_interval_ms: config.sync.freshness_interval_ms,
                command_wait_ms: config.sync.command_wait_ms,
            },
            broker: broker_choice(&config, &data)?,
        })
        .await?;

        let name = config.server.public_names.first().map_or("localhost", String::as_str);
        let broker = sync.broker_address();
        let mut addresses = Addresses {
            api,
            enrol,
            broker,
            api_url: url("https", name, api.port()),
            enrol_url: url("https", name, enrol.port()),
            broker_url: told_broker_url(&config, name, broker),
            ca_file: data.authority.certificate_file().to_owned(),
            health: None,
        };
        let controllers = ControllerEnroller::new(
            data.storage.clone(),
            data.authority.clone(),
            clock.clone(),
            EnrolmentSettings {
                certificate_days: config.enrolment.certificate_days,
                claim_tries: config.enrolment.claim_tries,
                renewal_grace_days: config.enrolment.renewal_grace_days,
                broker_url: addresses.broker_url.clone(),
                cloud_key_pem: data.signing.public_pem().to_owned(),
                freshness_interval_ms: config.sync.freshness_interval_ms,
            },
        )?;
        let listener =
            Listener::new(api_socket, certificates.api(), certificates.trust(), data.authority.certificate_der())?;
        let enrol_listener = listener::strangers::listener(enrol_socket, certificates.enrol())?;
        let health = config.health.listen.map(bind).transpose()?;

        let issuer = config.tokens.issuer.clone().unwrap_or_else(|| addresses.api_url.clone());
        let token_keys =
            token_keys::keep(&data.storage, &data.vault, clock.now(), config.tokens.key_max_age_ms()).await?;
        let desk = ClaimDesk {
            enrolment_url: parsed(&addresses.enrol_url)?,
            api_url: parsed(&addresses.api_url)?,
            ca_sha256: claim::fingerprint(data.authority.certificate_der()),
        };
        let app = Shared(Arc::new(App {
            desk,
            tokens: AccessTokens::new(token_keys, issuer, config.tokens.lifetime_s),
            issuers: ExternalIssuers::new(&config.issuers)?,
            storage: data.storage,
            vault: data.vault,
            sync,
            clock,
            signing: data.signing,
            enroller,
            throttle: Throttle::default(),
            grammars: config.grammars()?,
            config,
        }));
        let handles = vec![Handle::new(), Handle::new(), Handle::new()];
        let router = api::router(app.clone(), controllers.controller_router());
        let enrol_router = controllers.claim_router().into_make_service();
        let mut tasks = vec![
            tokio::spawn(listener.serve(router, handles[0].clone())),
            tokio::spawn(enrol_listener.handle(handles[1].clone()).serve(enrol_router)),
        ];
        if let Some((socket, address)) = health {
            addresses.health = Some(address);
            tasks.push(tokio::spawn(health::serve(socket, app.clone(), handles[2].clone())));
        }
        for handle in &handles[..tasks.len()] {
            handle.listening().await;
        }
        tracing::info!(api = %addresses.api, enrol = %addresses.enrol, "the cloud serves");
        let jobs = jobs(&app, &certificates, courier);
        Ok(Self { addresses, app, handles, tasks, jobs, certificates })
    }

    /// Where it is to be found.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What its handlers share.
    pub fn app(&self) -> &Shared {
        &self.app
    }

    /// What its listeners show, to be read anew.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Stops accepting, lets requests in flight finish, and truncates the database's log.
    pub async fn stop(self) -> Result<(), ServerError> {
        for handle in &self.handles {
            handle.graceful_shutdown(Some(GRACE));
        }
        for task in self.tasks {
            // A listener that failed has said so in the log.
            let _ = task.await;
        }
        self.jobs.iter().for_each(JoinHandle::abort);
        audit::sign(&self.app.storage, &self.app.signing.signer()?, self.app.now()).await?;
        self.app.storage.scrub().await?;
        tracing::info!("the cloud has ended");
        Ok(())
    }
}

async fn load_enroller(config: &Config) -> Result<Arc<dyn Enroller>, ServerError> {
    let Some(recognition) = config.recognition.clone() else {
        tracing::warn!("no [recognition] is configured: photos will be refused");
        return Ok(Arc::new(NoEnroller));
    };
    let loaded = tokio::task::spawn_blocking(move || PackEnroller::load(&recognition)).await;
    match loaded {
        Ok(enroller) => Ok(Arc::new(enroller?)),
        Err(_) => Ok(Arc::new(NoEnroller)),
    }
}

/// Writes the ready file, complete before it has its name.
pub fn write_ready_file(path: &Path, addresses: &Addresses) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, serde_json::to_vec_pretty(addresses)?)?;
    std::fs::rename(partial, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use cardea_protocol::Timestamp;
    use cardea_protocol::clock::ManualClock;

    use super::*;
    use crate::storage::sites::Scope;
    use crate::testing::postgres::{PASSWORD, database};

    #[tokio::test]
    async fn the_database_is_the_one_that_is_configured() {
        let Some(database) = database() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
        std::fs::copy(database.certificate_file(), folder.path().join("database-ca.pem")).unwrap();
        let config = format!(
            "data_dir = 'data'\n[server]\npublic_names = ['localhost']\n[client_ca]\nfiles = []\n
             [storage]\nurl = '{}'\npassword_file = 'password'\nca = 'database-ca.pem'\n",
            database.network_url()
        );
        let path = folder.path().join("cardea-cloud.toml");
        std::fs::write(&path, config).unwrap();
        let config = Config::load(&path).unwrap();
        let clock: SharedClock = ManualClock::at(Timestamp(1_795_420_800_000));

        assert!(matches!(Data::open(&config, &clock), Err(ServerError::Key(KeyError::Exposed { .. }))));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let storage = Data::open(&config, &clock).unwrap().storage;
        let site = cardea_protocol::id::SiteId::new("house-1").unwrap();
        storage.register_site(&site, "Test street 1".to_owned(), clock.now()).await.unwrap();
        assert_eq!(database.query("SELECT site_id FROM sites"), ["house-1"]);
        assert!(!config.data_dir.join("cloud.db").exists());
        drop(storage);
        // The same data is there at the next start.
        let storage = Data::open(&config, &clock).unwrap().storage;
        assert_eq!(storage.sites(&Scope::Operator).await.unwrap().len(), 1);
    }
}
