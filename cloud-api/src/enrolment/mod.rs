//! How a controller comes to its certificate: Enrolment over Secure Transport (RFC 7030).
//!
//! | route | listener | who | answer |
//! |---|---|---|---|
//! | `GET /.well-known/est/cacerts` | enrolment | anyone | the Cardea CA |
//! | `POST /.well-known/est/simpleenroll` | enrolment | HTTP Basic, controller id and claim code | its first certificate |
//! | `POST /.well-known/est/simplereenroll` | API | the certificate in use | a further certificate |
//! | `POST /.well-known/est/simplereenroll` | enrolment | the same, or one that ended within the grace | a further certificate |
//! | `GET /v1/controllers/self/configuration` | API | the certificate in use | [`Configuration`] |
//!
//! A claim code is used once, expires, and bears few wrong tries; then it is void and the operator makes another. A
//! refusal does not say which of these it was. Errors are plain text for people, as §4.2.3 asks.
//!
//! A controller that was away for long comes back with a certificate that has expired. For some days
//! ([`EnrolmentSettings::renewal_grace_days`]) it is good for one thing more, to be renewed: on the enrolment listener, which
//! alone lets it through the handshake (`listener::strangers`), and only if nothing has taken its place, nobody has revoked it,
//! and the controller still counts. "Taken its place" is what a newer certificate has done once it was used: one that was issued
//! and never arrived must not lock the controller out.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_protocol::Timestamp;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::controller::{CONFIGURATION_PATH, Configuration};
use cardea_protocol::est::{self, EstError};
use cardea_protocol::id::ControllerId;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::listener::Peer as TlsPeer;
use crate::pki::{Authority, Peer, PkiError};
use crate::storage::audit::NewAction;
use crate::storage::certificates::CertificateStatus;
use crate::storage::controllers::StandingError;
use crate::storage::{Storage, StorageError};

pub mod claim_code;

use claim_code::ClaimCode;

/// A PKCS#10 request for a P-256 key is well below 1 KiB.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Claim codes compared at once; each takes 19 MiB and a processor, and anyone may ask.
const HASHES_AT_ONCE: usize = 2;
const DAY_MS: i64 = 24 * 3_600_000;
const CHALLENGE: &str = "Basic realm=\"cardea enrolment\", charset=\"UTF-8\"";

/// What controllers are told, and how long things last.
#[derive(Clone, Debug)]
pub struct EnrolmentSettings {
    /// Validity of a controller's certificate, days.
    pub certificate_days: u32,
    /// Wrong codes before a claim code is void.
    pub claim_tries: u32,
    /// For how long after its end a certificate can be renewed, days.
    pub renewal_grace_days: u32,
    /// `mqtts://host:port`.
    pub broker_url: String,
    /// The key controllers pin, SPKI PEM.
    pub cloud_key_pem: String,
    /// How often freshness is stated, milliseconds.
    pub freshness_interval_ms: u64,
}

/// Why a certificate or a configuration was not given.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// Not an EST body.
    #[error(transparent)]
    Body(#[from] EstError),
    /// Wrong, expired, used, void, or not for this controller. Deliberately one answer for all.
    #[error("the claim code is not accepted: ask the operator for a new one")]
    Claim,
    /// The certificate presented is superseded, revoked, or not a controller's.
    #[error("this certificate is not, or no more, an active controller's")]
    Certificate,
    /// It counts, but ended before the grace began.
    #[error(
        "this certificate expired too long ago to be renewed: ask the operator for a new controller id and its claim code"
    )]
    Expired,
    /// The certificate request.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The storage failed.
    #[error("the storage failed")]
    Storage(#[from] StorageError),
    /// Something else failed inside.
    #[error("enrolment failed inside")]
    Internal,
}

impl From<StandingError> for EnrolmentError {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::NotFound | StandingError::Refused => Self::Claim,
            StandingError::Storage(error) => Self::Storage(error),
        }
    }
}

impl IntoResponse for EnrolmentError {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Self::Body(_) | Self::Pki(PkiError::Request | PkiError::KeyKind | PkiError::Subject) => {
                (StatusCode::BAD_REQUEST, self.to_string())
            }
            Self::Claim => {
                let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))];
                return (StatusCode::UNAUTHORIZED, challenge, self.to_string()).into_response();
            }
            Self::Certificate | Self::Expired => (StatusCode::FORBIDDEN, self.to_string()),
            Self::Pki(_) | Self::Storage(_) | Self::Internal => {
                tracing::error!(error = &self as &dyn std::error::Error, "enrolment failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "the server failed; it is logged there".to_owned())
            }
        };
        (status, text).into_response()
    }
}

/// Issues certificates to controllers.
#[derive(Clone)]
pub struct Enroller {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    authority: Arc<Authority>,
    clock: SharedClock,
    settings: EnrolmentSettings,
    /// Compared with where there is nothing to compare with, so that an unknown id takes as long as a wrong code.
    decoy_hash: String,
    hashes: Semaphore,
}

impl std::fmt::Debug for Enroller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enroller")
    }
}

impl Enroller {
    /// Ready to enrol.
    pub fn new(
        storage: Storage,
        authority: Arc<Authority>,
        clock: SharedClock,
        settings: EnrolmentSettings,
    ) -> Result<Self, EnrolmentError> {
        let decoy = ClaimCode::generate().and_then(|code| code.hash()).map_err(|_| EnrolmentError::Internal)?;
        let hashes = Semaphore::new(HASHES_AT_ONCE);
        Ok(Self { inner: Arc::new(Inner { storage, authority, clock, settings, decoy_hash: decoy, hashes }) })
    }

    /// The routes of the enrolment listener, which needs no client certificate. It puts a [`TlsPeer`] into the requests of
    /// those who show one of the Cardea CA, whether it has expired or not.
    pub fn claim_router(&self) -> Router {
        Router::new()
            .route(est::CACERTS_PATH, get(cacerts))
            .route(est::SIMPLEENROLL_PATH, post(simple_enroll))
            .route(est::SIMPLEREENROLL_PATH, post(late_reenroll))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(self.clone())
    }

    /// The routes for claimed controllers on the API listener, which puts its [`TlsPeer`] into each request.
    pub fn controller_router(&self) -> Router {
        Router::new()
            .route(est::SIMPLEREENROLL_PATH, post(simple_reenroll))
            .route(CONFIGURATION_PATH, get(configuration))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(self.clone())
    }

    /// A first certificate for a claim code: a certs-only message.
    async fn claim(&self, controller: ControllerId, code: ClaimCode, body: &str) -> Result<String, EnrolmentError> {
        let Inner { storage, authority, clock, settings, decoy_hash, hashes } = &*self.inner;
        let request = est::decode_body(body)?;
        let now = clock.now();
        // Before the code is looked at, so that a malformed request costs no try.
        let (certificate, issued) =
            authority.issue_controller(&request, &controller, settings.certificate_days, now)?;
        let turn = hashes.acquire().await.map_err(|_| EnrolmentError::Internal)?;
        let stored = storage.begin_claim(&controller, settings.claim_tries, now).await?;
        let hash = stored.clone().unwrap_or_else(|| decoy_hash.clone());
        let right =
            tokio::task::spawn_blocking(move || code.matches(&hash)).await.map_err(|_| EnrolmentError::Internal)?;
        drop(turn);
        let Some(hash) = stored.filter(|_| right) else {
            tracing::warn!(%controller, "a claim was refused");
            self.audit_claim(&controller, "claim-refused").await;
            return Err(EnrolmentError::Claim);
        };
        storage.finish_claim(&controller, hash, issued).await?;
        self.audit_claim(&controller, "done").await;
        tracing::info!(%controller, "claimed");
        Ok(est::certs_only(&[&certificate])?)
    }

    /// Writes a claim down, as one at the controller's site. What names no controller may be anything, and is not kept.
    async fn audit_claim(&self, controller: &ControllerId, outcome: &'static str) {
        let Inner { storage, clock, .. } = &*self.inner;
        let site = match storage.site_of_controller(controller).await {
            Ok(Some(site)) => site,
            Ok(None) => return,
            // The code is used up by now: a claim that was right is not refused for this.
            Err(error) => return tracing::error!(%error, %controller, "a claim could not be audited"),
        };
        let action = NewAction {
            customer: None,
            site: Some(site),
            principal_id: None,
            action: "claim_controller",
            target: Some(controller.to_string()),
        };
        if let Err(error) = storage.audit_done(action, outcome, clock.now()).await {
            tracing::error!(%error, %controller, "a claim could not be audited");
        }
    }

    /// A further certificate for the holder of one that counts.
    async fn renew(&self, certificate_der: &[u8], body: &str, grace_days: u32) -> Result<String, EnrolmentError> {
        let Inner { storage, authority, clock, settings, .. } = &*self.inner;
        let now = clock.now();
        let held = self.standing_of(certificate_der, grace_days, now).await?;
        let request = est::decode_body(body)?;
        let (certificate, issued) =
            authority.renew_controller(&request, &held.controller, settings.certificate_days, now)?;
        storage.add_certificate(&held.controller, issued).await.map_err(|error| match error {
            // Revoked or decommissioned a moment ago.
            StandingError::NotFound | StandingError::Refused => EnrolmentError::Certificate,
            StandingError::Storage(error) => error.into(),
        })?;
        let days_late = now.since_ms(held.not_after).max(0) / DAY_MS;
        tracing::info!(controller = %held.controller, days_late, "certificate renewed");
        Ok(est::certs_only(&[&certificate])?)
    }

    /// Whose certificate it is, if it counts, or did not more than `grace_days` ago.
    async fn standing_of(
        &self,
        certificate_der: &[u8],
        grace_days: u32,
        now: Timestamp,
    ) -> Result<CertificateStatus, EnrolmentError> {
        let peer = Peer::of(certificate_der)?;
        let status = self.inner.storage.certificate(&peer.serial).await?.ok_or(EnrolmentError::Certificate)?;
        if !status.active || status.controller.as_str() != peer.common_name {
            return Err(EnrolmentError::Certificate);
        }
        let good_until = status.not_after.plus_ms(i64::from(grace_days) * DAY_MS);
        if good_until > now { Ok(status) } else { Err(EnrolmentError::Expired) }
    }
}

fn certs_only_response(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(est::PKCS7)),
        (header::HeaderName::from_static("content-transfer-encoding"), HeaderValue::from_static("base64")),
    ];
    (headers, body).into_response()
}

/// RFC 7617: the controller's id and its claim code.
fn basic_credentials(headers: &HeaderMap) -> Option<(ControllerId, ClaimCode)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (controller, code) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((ControllerId::new(controller).ok()?, ClaimCode::parse(code)?))
}

async fn cacerts(State(enroller): State<Enroller>) -> Result<Response, EnrolmentError> {
    Ok(certs_only_response(est::certs_only(&[enroller.inner.authority.certificate_der()])?))
}

async fn simple_enroll(
    State(enroller): State<Enroller>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, EnrolmentError> {
    let (controller, code) = basic_credentials(&headers).ok_or(EnrolmentError::Claim)?;
    Ok(certs_only_response(enroller.claim(controller, code, &body).await?))
}

async fn simple_reenroll(
    State(enroller): State<Enroller>,
    Extension(peer): Extension<TlsPeer>,
    body: String,
) -> Result<Response, EnrolmentError> {
    Ok(certs_only_response(enroller.renew(&peer.certificate, &body, 0).await?))
}

async fn late_reenroll(
    State(enroller): State<Enroller>,
    peer: Option<Extension<TlsPeer>>,
    body: String,
) -> Result<Response, EnrolmentError> {
    let Extension(peer) = peer.ok_or(EnrolmentError::Certificate)?;
    let grace_days = enroller.inner.settings.renewal_grace_days;
    Ok(certs_only_response(enroller.renew(&peer.certificate, &body, grace_days).await?))
}

async fn configuration(
    State(enroller): State<Enroller>,
    Extension(peer): Extension<TlsPeer>,
) -> Result<Json<Configuration>, EnrolmentError> {
    let held = enroller.standing_of(&peer.certificate, 0, enroller.inner.clock.now()).await?;
    let settings = &enroller.inner.settings;
    Ok(Json(Configuration {
        controller: held.controller,
        site: held.site,
        broker_url: settings.broker_url.clone(),
        cloud_key_pem: settings.cloud_key_pem.clone(),
        freshness_interval_ms: settings.freshness_interval_ms,
    }))
}

#[cfg(test)]
mod tests {
    use cardea_protocol::clock::ManualClock;

    use super::*;

    #[tokio::test]
    async fn a_flood_of_claims_waits_for_its_turn_before_it_costs_memory() {
        let now = Timestamp(1_800_000_000_000);
        let folder = tempfile::tempdir().unwrap();
        let settings = EnrolmentSettings {
            certificate_days: 90,
            claim_tries: 5,
            renewal_grace_days: 90,
            broker_url: String::new(),
            cloud_key_pem: String::new(),
            freshness_interval_ms: 1_000,
        };
        let authority = Arc::new(Authority::open_or_create(folder.path(), now).unwrap());
        let storage = crate::testing::scratch_storage();
        let enroller = Enroller::new(storage, authority, ManualClock::at(now), settings).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let body = est::encode_body(request.der());
        let claim = || {
            let code = ClaimCode::parse("0000-0000-0000-0000").unwrap();
            enroller.claim(ControllerId::new("gate-1").unwrap(), code, &body)
        };
        let busy = enroller.inner.hashes.acquire_many(HASHES_AT_ONCE as u32).await.unwrap();
        let mut waiting = std::pin::pin!(claim());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "no comparison while others are under way");
        drop(busy);
        assert!(matches!(waiting.await, Err(EnrolmentError::Claim)));
        assert_eq!(enroller.inner.hashes.available_permits(), HASHES_AT_ONCE);
    }
}
