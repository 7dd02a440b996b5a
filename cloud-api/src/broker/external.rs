//! Another broker than the cloud's own: where it is, and what it needs to know controllers by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use url::Url;

use cardea_protocol::clock::SharedClock;

use super::revocation_list::{RevocationList, RevocationListError};
use crate::config::ConfigError;
use crate::listener::{TlsError, read_certificates};
use crate::pki::{Authority, PkiError};
use crate::storage::Storage;

/// Registered for MQTT over TLS (IANA).
const DEFAULT_PORT: u16 = 8883;

/// `[broker]`: another broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `mqtts://name:port`: where the cloud connects to, and what controllers are told unless `server.broker_url` says otherwise.
    pub url: Url,
    /// PEM file of the CAs its certificate is trusted by; by default the Cardea CA.
    pub ca: Option<PathBuf>,
    /// File to keep a list of the controllers' ended certificates in (CRL, PEM), for the broker to refuse them by.
    pub revocation_list: Option<PathBuf>,
}

/// Another broker, as the cloud connects to it.
#[derive(Clone, Debug)]
pub struct ExternalBroker {
    /// DNS name or IP address; the broker's certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// By whom its certificate must be issued.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Where a list of ended certificates is kept for it.
    pub revocation_list: Option<PathBuf>,
}

/// Why a broker was not given its files.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The CA.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The list of revocations.
    #[error(transparent)]
    RevocationList(#[from] RevocationListError),
    /// The file system refused.
    #[error("the broker's files cannot be written to {folder}")]
    File {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Settings {
    /// Whether the address is one of a broker.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.url.scheme() == "mqtts" && self.host().is_some_and(|host| !host.is_empty()) {
            return Ok(());
        }
        let rule = "mqtts://name:port: MQTT over TLS is the only way to a broker";
        Err(ConfigError::Value { key: "broker.url", value: self.url.to_string(), rule })
    }

    /// Every path in it.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.ca.iter_mut().chain(self.revocation_list.iter_mut())
    }

    fn host(&self) -> Option<&str> {
        // Of an IPv6 address, without its brackets.
        self.url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// The broker, with the CA it is trusted by.
    pub fn broker(&self, cardea_ca: &CertificateDer<'static>) -> Result<ExternalBroker, TlsError> {
        let authorities = match &self.ca {
            Some(file) => read_certificates(file)?,
            None => vec![cardea_ca.clone()],
        };
        Ok(ExternalBroker {
            host: self.host().unwrap_or_default().to_owned(),
            port: self.url.port().unwrap_or(DEFAULT_PORT),
            authorities,
            revocation_list: self.revocation_list.clone(),
        })
    }

    /// Writes what the broker needs into `folder`: `broker.pem` and `broker.key`, a certificate of the Cardea CA for its host,
    /// and `ca.pem`, by which it knows the controllers; and the list of revocations where that is configured, since a broker
    /// that is to read one does not start without.
    pub async fn issue(
        &self,
        folder: &Path,
        storage: &Storage,
        authority: &Arc<Authority>,
        clock: &SharedClock,
    ) -> Result<(), IssueError> {
        let issued = authority.issue_server(&[self.host().unwrap_or_default().to_owned()], clock.now())?;
        std::fs::create_dir_all(folder)
            .and_then(|()| issued.write(folder, "broker"))
            .and_then(|_| std::fs::write(folder.join("ca.pem"), authority.certificate_pem()))
            .map_err(|source| IssueError::File { folder: folder.to_owned(), source })?;
        if let Some(file) = &self.revocation_list {
            RevocationList::new(storage.clone(), authority.clone(), clock.clone(), file.clone()).write().await?;
        }
        Ok(())
    }
}
