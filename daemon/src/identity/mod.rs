//! Who this controller is: its keys, its certificate, the cloud it belongs to.
//!
//! ```text
//! state_dir/device.key                 wraps the keys of the database (see `store::vault`)
//! state_dir/cardea.db                  the database
//! state_dir/identity/controller.pem    private key (P-256) and certificate, in one file so that both change at once
//! state_dir/identity/controller.pem.new   a renewed pair, until a connection with it has worked
//! state_dir/identity/sealing.key       32 bytes the X25519 key is derived from, to which templates are sealed
//! state_dir/identity/ca.pem            the authority of API and broker
//! state_dir/identity/cloud.json        where they are, and the cloud's signing key: there once the claim is complete
//! ```
//!
//! [`claim`] makes all of it, [`renew`] replaces the pair in time, [`est`] is the client both use.

pub mod bootstrap;
pub mod claim;
pub mod est;
pub mod files;
mod keys;
pub mod renew;
mod state_dir;

use std::sync::Arc;

use cardea_access::time::Timestamp;
use cardea_protocol::controller::Configuration;
use cardea_protocol::id::{ControllerId, SiteId};
use cardea_protocol::jws::{JwsError, Signer, Verifier};
use cardea_protocol::seal::SealingKey;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

pub use keys::{Credential, CredentialError};
pub use state_dir::StateDir;

use crate::store::Opener;
use files::FileError;

/// Why an identity could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key or the certificate.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Something else is missing or damaged.
    #[error("{0} in the state folder is missing or damaged: claim this controller anew")]
    Damaged(&'static str),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] JwsError),
    /// TLS refuses the key, the certificate or the authority.
    #[error("TLS refuses this controller's certificate or authority: claim this controller anew")]
    Tls(#[from] rustls::Error),
}

/// The cloud as it was learnt when this controller was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloud {
    /// The API, for renewals.
    pub api_url: Url,
    /// The enrolment service, for a renewal of what has expired. Identities of earlier versions do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment_url: Option<Url>,
    /// What the cloud said.
    pub configuration: Configuration,
}

/// A claimed controller's identity. `Debug` prints no key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Where the API and the broker are, and whose signature counts.
    pub cloud: Cloud,
    /// Key and certificate.
    pub credential: Credential,
    /// Whether that is a renewed pair which has not yet proved itself.
    pub is_candidate: bool,
    /// What templates are to be sealed to.
    pub sealing_key: SealingKey,
    /// Opens them.
    pub opener: Opener,
    ca_pem: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// Reads it; `None` if this controller was not claimed yet. `candidate` asks for the renewed pair, where there is one.
    pub fn load(state: &StateDir, candidate: bool) -> Result<Option<Self>, IdentityError> {
        let Some(cloud) = files::read_secret(&state.cloud())? else { return Ok(None) };
        let cloud: Cloud = serde_json::from_slice(&cloud).map_err(|_| IdentityError::Damaged("cloud.json"))?;
        let renewed = if candidate { Credential::read(&state.candidate())? } else { None };
        let is_candidate = renewed.is_some();
        let credential = match renewed {
            Some(renewed) => renewed,
            None => Credential::read(&state.credential())?.ok_or(IdentityError::Damaged("controller.pem"))?,
        };
        let ca_pem = files::read_secret(&state.ca())?.ok_or(IdentityError::Damaged("ca.pem"))?;
        let (key, sealing_key) = keys::read_sealing(&state.sealing_key())?;
        let opener = Opener { key: Arc::new(key), controller: cloud.configuration.controller.clone() };
        Ok(Some(Self { cloud, credential, is_candidate, sealing_key, opener, ca_pem }))
    }

    /// Its id.
    pub fn controller(&self) -> &ControllerId {
        &self.cloud.configuration.controller
    }

    /// Where it stands.
    pub fn site(&self) -> &SiteId {
        &self.cloud.configuration.site
    }

    /// The certificate's last moment.
    pub fn not_after(&self) -> Timestamp {
        self.credential.not_after
    }

    /// Whether the certificate has ended by then.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.credential.not_after < now
    }

    /// Signs messages and receipts.
    pub fn signer(&self) -> Result<Signer, IdentityError> {
        Ok(Signer::p256(self.credential.key_pem(), self.controller().as_str())?)
    }

    /// Verifies the cloud's messages, by the key that was pinned at the claim.
    pub fn verifier(&self) -> Result<Verifier, IdentityError> {
        Ok(Verifier::ed25519(&self.cloud.configuration.cloud_key_pem)?)
    }

    /// TLS with this controller's certificate, trusting the pinned authority and nothing else.
    pub fn tls(&self) -> Result<ClientConfig, IdentityError> {
        tls(&self.ca_pem, Some(&self.credential))
    }
}

/// TLS that trusts the authorities in `ca_pem` and nothing else. Sessions are not resumed: the other side would not look
/// at the certificate again.
pub(crate) fn tls(ca_pem: &[u8], credential: Option<&Credential>) -> Result<ClientConfig, IdentityError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.map_err(|_| IdentityError::Damaged("ca.pem"))?)?;
    }
    if roots.is_empty() {
        return Err(IdentityError::Damaged("ca.pem"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match credential {
        None => builder.with_no_client_auth(),
        Some(credential) => {
            let key = PrivateKeyDer::from_pem_slice(credential.key_pem().as_bytes())
                .map_err(|_| IdentityError::Damaged("controller.pem"))?;
            builder.with_client_auth_cert(credential.chain().to_vec(), key)?
        }
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests;
