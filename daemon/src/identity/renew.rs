//! Renewing the certificate before it ends (EST simplereenroll, RFC 7030 §4.2.2).
//!
//! A new key and certificate go to `controller.pem.new`. The next connection is made with them; once the cloud has
//! answered there, they take the place of the old pair ([`promote`]). If that connection fails, the next is made with the
//! old pair again, which stays valid: a bad renewal never costs the identity.

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
    let credential = Credential::join(&key, &certificates, identity.controller())?;
    credential.write(&state.candidate())?;
    Ok(())
}

/// The renewed pair has proved itself: it takes the place of the old one.
pub fn promote(state: &StateDir) -> Result<(), FileError> {
    files::rename(&state.candidate(), &state.credential())
}
