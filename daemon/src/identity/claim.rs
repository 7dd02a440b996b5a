//! Claiming: with a one-time code from the operator this controller gets its certificate, then learns where everything is.
//!
//! The steps are written down one by one, so that a claim that was cut short (the code is spent with the certificate)
//! goes on where it stopped when it is run again.

use cardea_access::time::Timestamp;
use cardea_protocol::id::ControllerId;
use url::Url;
use zeroize::Zeroizing;

use super::est::{EstClient, EstError};
use super::files::{self, FileError};
use super::keys::{Credential, CredentialError, NewKey, ensure_sealing};
use super::{Cloud, Identity, IdentityError, StateDir, tls};
use crate::store::StoreError;

/// What a claim needs.
#[derive(Debug)]
pub struct Claim {
    /// The enrolment service.
    pub enrolment_url: Url,
    /// The API.
    pub api_url: Url,
    /// The authority of both, PEM.
    pub ca_pem: Vec<u8>,
    /// Which controller this is to be.
    pub controller: ControllerId,
    /// The one-time code.
    pub code: ClaimCode,
    /// Whether an identity that is already here may be given up, with everything that was held for it.
    pub replace: bool,
}

/// A one-time code. `Debug` prints `…`; memory is wiped on drop.
pub struct ClaimCode(Zeroizing<String>);

impl ClaimCode {
    /// As typed; surrounding white space is dropped.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }
}

impl std::fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimCode(…)")
    }
}

/// Why a claim failed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// There is an identity already.
    #[error("this controller is already claimed as {0}: add --replace to give that identity up")]
    Claimed(ControllerId),
    /// The authority given.
    #[error("the file given with --ca does not hold a certificate in PEM")]
    Authority(#[source] IdentityError),
    /// The cloud refused, or was not reached.
    #[error(transparent)]
    Cloud(#[from] EstError),
    /// A key or the certificate.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The old database.
    #[error("the database of the old identity cannot be removed: stop cardead, then try again")]
    Database(#[source] StoreError),
    /// What is there cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The clock.
    #[error(
        "by this machine's clock the new certificate is not valid: set the clock (timedatectl), then run claim again; \
         the code is not needed a second time"
    )]
    Clock,
}

/// Claims this controller.
pub async fn claim(state: &StateDir, claim: &Claim, now: Timestamp) -> Result<Identity, ClaimError> {
    let before = match Identity::load(state, false) {
        Ok(before) => before,
        Err(error) if claim.replace => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the identity that was here is given up");
            None
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(before) = before.filter(|_| !claim.replace) {
        return Err(ClaimError::Claimed(before.controller().clone()));
    }
    tls(&claim.ca_pem, None).map_err(ClaimError::Authority)?;
    if claim.replace {
        crate::store::remove(state).map_err(ClaimError::Database)?;
    }
    state.create()?;
    let credential = match unfinished(state, claim)? {
        Some(credential) => credential,
        None => enrol(state, claim).await?,
    };
    if !(credential.not_before..=credential.not_after).contains(&now) {
        return Err(ClaimError::Clock);
    }
    let api = EstClient::new(&claim.api_url, tls(&claim.ca_pem, Some(&credential))?)?;
    let configuration = api.configuration().await?;
    let enrolment_url = Some(claim.enrolment_url.clone());
    let cloud = Cloud { api_url: claim.api_url.clone(), enrolment_url, configuration };
    // Refused here rather than at the first message.
    if cardea_protocol::jws::Verifier::ed25519(&cloud.configuration.cloud_key_pem).is_err()
        || cloud.configuration.controller != claim.controller
    {
        return Err(EstError::Content { host: claim.api_url.to_string() }.into());
    }
    let text = serde_json::to_vec_pretty(&cloud).map_err(|_| IdentityError::Damaged("cloud.json"))?;
    files::write_secret(&state.cloud(), &text)?;
    Identity::load(state, false)?.ok_or(ClaimError::Identity(IdentityError::Damaged("cloud.json")))
}

/// A certificate from a claim that did not come to its end.
fn unfinished(state: &StateDir, claim: &Claim) -> Result<Option<Credential>, ClaimError> {
    if claim.replace {
        return Ok(None);
    }
    let credential = Credential::read(&state.credential())?;
    Ok(credential.filter(|credential| credential.common_name == claim.controller.as_str()))
}

async fn enrol(state: &StateDir, claim: &Claim) -> Result<Credential, ClaimError> {
    let client = EstClient::new(&claim.enrolment_url, tls(&claim.ca_pem, None)?)?;
    let key = NewKey::generate()?;
    let request = key.request(&claim.controller)?;
    let certificates = client.simple_enroll(&claim.controller, &claim.code.0, &request).await?;
    let credential = Credential::join(&key, &certificates, &claim.controller)?;
    // Not claimed any more, until the new claim is complete. What was held belonged to the old identity's site.
    files::remove(&state.cloud())?;
    files::remove(&state.candidate())?;
    if claim.replace {
        files::remove(&state.sealing_key())?;
    }
    ensure_sealing(&state.sealing_key())?;
    files::write_secret(&state.ca(), &claim.ca_pem)?;
    credential.write(&state.credential())?;
    Ok(credential)
}
