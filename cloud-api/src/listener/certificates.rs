//! What the two HTTPS listeners show, and whom the API trusts: read when the cloud starts, and again when the files change.
//!
//! New connections see what is new; open ones go on as they are, unless their certificate is trusted no more: those end. Files that cannot be used are told once, and what was read
//! before stays. The broker's certificate is always of the Cardea CA, and is made at each start.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use cardea_access::time::Timestamp;
use cardea_protocol::clock::SharedClock;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::trust::Trust;
use super::{ServerIdentity, TlsError, client_verifier, read_certificates, server_config, strangers};
use crate::config::Config;
use crate::pki::{Authority, PkiError};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// A certificate of the Cardea CA is replaced at this age, long before it expires.
const OWN_MAX_AGE_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// Files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The Cardea CA could not make one.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// What was read last.
#[derive(Debug)]
struct Seen {
    /// SHA-256 over the files.
    files: [u8; 32],
    at: Timestamp,
}

/// The certificates of the listeners.
#[derive(Debug)]
pub struct Certificates {
    settings: Config,
    authority: Arc<Authority>,
    api: RustlsConfig,
    enrol: RustlsConfig,
    trust: watch::Sender<Trust>,
    seen: Mutex<Seen>,
}

impl Certificates {
    /// Reads the files that the configuration names.
    pub fn read(settings: &Config, authority: Arc<Authority>, now: Timestamp) -> Result<Self, CertificatesError> {
        let files = digest(settings);
        let Loaded { api, enrol, trust } = load(settings, &authority, now)?;
        Ok(Self {
            settings: settings.clone(),
            authority,
            api: RustlsConfig::from_config(Arc::new(api)),
            enrol: RustlsConfig::from_config(Arc::new(enrol)),
            trust: watch::Sender::new(trust),
            seen: Mutex::new(Seen { files, at: now }),
        })
    }

    /// For the API.
    pub fn api(&self) -> RustlsConfig {
        self.api.clone()
    }

    /// For the enrolment of controllers.
    pub fn enrol(&self) -> RustlsConfig {
        self.enrol.clone()
    }

    /// Whom the API trusts, whenever that changes.
    pub fn trust(&self) -> watch::Receiver<Trust> {
        self.trust.subscribe()
    }

    /// Reads the files again, if they have changed, or if the certificate is this cloud's own and has come of age; whether
    /// anything is new. Where they cannot be used, everything stays as it was, until they change again.
    pub fn renew(&self, now: Timestamp) -> Result<bool, CertificatesError> {
        let files = digest(&self.settings);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.settings.server.certificate.is_none() && now.0 - seen.at.0 >= OWN_MAX_AGE_MS;
        if files == seen.files && !old {
            return Ok(false);
        }
        seen.files = files;
        let Loaded { api, enrol, trust } = load(&self.settings, &self.authority, now)?;
        self.api.reload_from_config(Arc::new(api));
        self.enrol.reload_from_config(Arc::new(enrol));
        // Last: a handshake that is trusted by what was before is asked again when it has ended.
        self.trust.send_replace(trust);
        seen.at = now;
        Ok(true)
    }

    /// Looks at the files again and again.
    pub async fn keep(self: Arc<Self>, clock: SharedClock) {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        loop {
            interval.tick().await;
            match self.renew(clock.now()) {
                Ok(false) => {}
                Ok(true) => tracing::info!("new connections see the new certificates"),
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    tracing::error!("certificates have changed and cannot be used, the old ones stay: {error:#}");
                }
            }
        }
    }
}

fn files(settings: &Config) -> impl Iterator<Item = &PathBuf> {
    let server = &settings.server;
    server.certificate.iter().chain(&server.private_key).chain(&settings.client_ca.files)
}

/// What tells whether any of the files has changed.
fn digest(settings: &Config) -> [u8; 32] {
    let mut all = Sha256::new();
    for file in files(settings) {
        let content = std::fs::read(file).map(zeroize::Zeroizing::new);
        all.update(content.map(|content| Sha256::digest(content.as_slice()).to_vec()).unwrap_or_default());
    }
    all.finalize().into()
}

struct Loaded {
    api: rustls::ServerConfig,
    enrol: rustls::ServerConfig,
    trust: Trust,
}

fn load(settings: &Config, authority: &Authority, now: Timestamp) -> Result<Loaded, CertificatesError> {
    let identity = identity(settings, authority, now)?;
    let clients = client_verifier(&client_authorities(settings)?, authority.certificate_der())?;
    let tls12 = settings.server.tls12;
    let api = server_config(identity.duplicate(), clients.clone(), tls12)?;
    let enrol = server_config(identity, strangers::verifier(authority.certificate_der())?, tls12)?;
    Ok(Loaded { api, enrol, trust: Trust(clients) })
}

/// The server's certificate: the configured one, or one of the Cardea CA.
fn identity(settings: &Config, authority: &Authority, now: Timestamp) -> Result<ServerIdentity, CertificatesError> {
    if let (Some(chain), Some(key)) = (&settings.server.certificate, &settings.server.private_key) {
        return Ok(ServerIdentity::load(chain, key)?);
    }
    let issued = authority.issue_server(&settings.server.public_names, now)?;
    let (chain, key) = issued.for_rustls()?;
    Ok(ServerIdentity { chain, key })
}

/// The CA certificates whose clients are let in.
pub fn client_authorities(settings: &Config) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut certificates = Vec::new();
    for file in &settings.client_ca.files {
        certificates.extend(read_certificates(file)?);
    }
    Ok(certificates)
}
