//! Renewing the certificate before it ends (EST simplereenroll, RFC 7030 §4.2.2).
//!
//! A new key and certificate go to `controller.pem.new`. The next connection is made with them; once the cloud has
//! answered there, they take the place of the old pair ([`promote`]). If that connection fails, the next is made with the
//! old pair again, which stays valid: a bad renewal never costs the identity.
//!
//! Who was away until the certificate ended asks at the enrolment service instead ([`renew_expired`]), which for some time
//! renews what has expired; the API and the broker let it in no more. The gate meanwhile decides as without a cloud.

use cardea_access::time::Timestamp;

use super::est::EstError;
use super::files::{self, FileError};
use super::keys::{Credential, CredentialError, NewKey};
use super::{Identity, IdentityError, StateDir};
use crate::sync::network::Network;

/// Why a renewal failed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The cloud refused, or was not reached.
    #[error(transparent)]
    Cloud(#[from] EstError),
    /// A key or the certificate.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// TLS.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Claimed by a version that did not write down where the enrolment service is.
    #[error(
        "the certificate has ended, and this identity does not say where it could be renewed: ask the operator for a new \
         controller id and its code, and claim with --replace"
    )]
    NoDesk,
}

impl RenewError {
    /// Whether somebody has decided this: asking again at once would be of no use.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Cloud(EstError::Certificate | EstError::Answer { .. }) | Self::NoDesk)
    }
}

/// Whether two thirds of the certificate's life have passed.
pub fn is_due(credential: &Credential, now: Timestamp) -> bool {
    let life_ms = credential.not_after.since_ms(credential.not_before);
    now.since_ms(credential.not_before) >= life_ms / 3 * 2
}

/// Gets a new pair and puts it beside the old one.
pub async fn renew(state: &StateDir, identity: &Identity, network: &dyn Network) -> Result<(), RenewError> {
    let key = NewKey::generate()?;
    let request = key.request(identity.controller())?;
    let certificates = network.reenroll(identity, &request).await?;
    keep(state, identity, &key, &certificates)
}

/// The same with a certificate that has ended.
pub async fn renew_expired(state: &StateDir, identity: &Identity, network: &dyn Network) -> Result<(), RenewError> {
    let key = NewKey::generate()?;
    let request = key.request(identity.controller())?;
    let certificates = network.reenroll_expired(identity, &request).await?;
    keep(state, identity, &key, &certificates)
}

fn keep(state: &StateDir, identity: &Identity, key: &NewKey, certificates: &[Vec<u8>]) -> Result<(), RenewError> {
    let credential = Credential::join(key, certificates, identity.controller())?;
    credential.write(&state.candidate())?;
    Ok(())
}

/// The renewed pair has proved itself: it takes the place of the old one.
pub fn promote(state: &StateDir) -> Result<(), FileError> {
    files::rename(&state.candidate(), &state.credential())
}
