//! Claiming and renewing against a small EST server over real TLS.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use cardea_protocol::controller::CONFIGURATION_PATH;
use cardea_protocol::est::{self as wire, SIMPLEENROLL_PATH, SIMPLEREENROLL_PATH};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls_pki_types::{CertificateSigningRequestDer, PrivateKeyDer};

use super::claim::{Claim, ClaimCode, ClaimError, claim};
use super::est::EstError;
use super::*;
use crate::sync::network::Internet;

mod power_cuts;

const CODE: &str = "ABCD-EFGH-JKMN-PQRS";
const NOW: Timestamp = Timestamp(1_795_000_000_000);
const DAY_MS: i64 = 24 * 3_600_000;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Arc::new(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// A certificate for the key in a PKCS#10 request, valid for 30 days around [`NOW`].
    fn issue(&self, request: &str, name: Option<&str>) -> Vec<u8> {
        let der = wire::decode_body(request).unwrap();
        let mut request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der)).unwrap();
        let at = |ms: i64| ::time::OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap();
        request.params.not_before = at(NOW.0 - 10 * DAY_MS);
        request.params.not_after = at(NOW.0 + 20 * DAY_MS);
        if let Some(name) = name {
            request.params.distinguished_name.push(DnType::CommonName, name);
        }
        request.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    fn server(&self, adapt: impl FnOnce(&mut CertificateParams), clients: bool) -> RustlsConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
        adapt(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.der.clone()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        RustlsConfig::from_config(Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
    }
}

/// The two listeners of a cloud, as far as enrolment goes.
struct Cloudlet {
    authority: Arc<Authority>,
    enrolment: SocketAddr,
    api: SocketAddr,
    switches: Arc<Switches>,
}

#[derive(Default)]
struct Switches {
    code_spent: AtomicBool,
    api_broken: AtomicBool,
    other_key: AtomicBool,
    other_name: AtomicBool,
}

type Shared = (Arc<Authority>, Arc<Switches>);

impl Cloudlet {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adapt: impl FnOnce(&mut CertificateParams)) -> Self {
        let authority = Authority::new();
        let switches = Arc::new(Switches::default());
        let shared = (Arc::clone(&authority), Arc::clone(&switches));
        let enrolment = Router::new()
            .route(SIMPLEENROLL_PATH, post(enroll))
            .route(wire::CACERTS_PATH, get(authorities))
            .with_state(shared.clone());
        let api = Router::new()
            .route(SIMPLEREENROLL_PATH, post(reenroll))
            .route(CONFIGURATION_PATH, get(configuration))
            .with_state(shared);
        Self {
            enrolment: serve(authority.server(adapt, false), enrolment),
            api: serve(authority.server(|_| {}, true), api),
            authority,
            switches,
        }
    }

    fn claim(&self) -> Claim {
        Claim {
            enrolment_url: url(self.enrolment),
            api_url: url(self.api),
            ca_pem: self.authority.pem.clone().into_bytes(),
            controller: ControllerId::new("gate-1").unwrap(),
            code: ClaimCode::new(CODE),
            replace: false,
        }
    }
}

fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("https://{address}")).unwrap()
}

fn serve(tls: RustlsConfig, router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    address
}

async fn enroll(State((authority, switches)): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("gate-1:{CODE}"));
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given != Some(&format!("Basic {expected}")) || switches.code_spent.swap(true, Ordering::SeqCst) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = if switches.other_key.load(Ordering::SeqCst) {
        let key = keys::NewKey::generate().unwrap();
        wire::encode_body(&key.request(&ControllerId::new("gate-1").unwrap()).unwrap())
    } else {
        body
    };
    let name = switches.other_name.load(Ordering::SeqCst).then_some("gate-2");
    // The authority comes along, in an order that means nothing (RFC 5652).
    wire::certs_only(&[&authority.der, &authority.issue(&body, name)]).unwrap().into_response()
}

async fn authorities(State((authority, _)): State<Shared>) -> Response {
    // Another comes along, as after a change of CA.
    wire::certs_only(&[&Authority::new().der, &authority.der]).unwrap().into_response()
}

async fn reenroll(State((authority, _)): State<Shared>, body: String) -> Response {
    wire::certs_only(&[&authority.issue(&body, None)]).unwrap().into_response()
}

async fn configuration(State((_, switches)): State<Shared>) -> Response {
    if switches.api_broken.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    Json(Configuration {
        controller: ControllerId::new("gate-1").unwrap(),
        site: SiteId::new("house-1").unwrap(),
        broker_url: "mqtts://127.0.0.1:8883".to_owned(),
        cloud_key_pem: key.public_key_pem(),
        freshness_interval_ms: 1_000,
    })
    .into_response()
}

fn state() -> (tempfile::TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path().join("state"));
    (dir, state)
}

#[tokio::test]
async fn a_claimed_controller_has_an_identity_that_works() {
    let cloud = Cloudlet::start().await;
    let (_dir, state) = state();
    assert!(Identity::load(&state, true).unwrap().is_none());
    let identity = claim(&state, &cloud.claim(), NOW).await.unwrap();
    assert_eq!((identity.controller().as_str(), identity.site().as_str()), ("gate-1", "house-1"));
    assert_eq!(identity.not_after(), Timestamp(NOW.0 + 20 * DAY_MS));
    assert!(identity.signer().is_ok() && identity.verifier().is_ok());
    let again = Identity::load(&state, true).unwrap().unwrap();
    assert_eq!(again.sealing_key, identity.sealing_key);
    assert!(!format!("{again:?}").contains("PRIVATE"));
    let second = claim(&state, &cloud.claim(), NOW).await;
    assert!(matches!(second, Err(ClaimError::Claimed(_))), "an identity is not given up by accident");
}

#[tokio::test]
async fn a_printed_fingerprint_is_enough_to_know_the_cloud_by() {
    let cloud = Cloudlet::start().await;
    let printed = cardea_protocol::claim::fingerprint(&cloud.authority.der);
    let ca_pem = bootstrap::authority(&url(cloud.enrolment), &printed).await.unwrap();
    let (_dir, state) = state();
    claim(&state, &Claim { ca_pem, ..cloud.claim() }, NOW).await.unwrap();

    // Somebody in between, with a certificate and a CA of their own; and a cloud that shows the right CA but is not of it.
    let between = Cloudlet::start().await;
    let error = bootstrap::authority(&url(between.enrolment), &printed).await.unwrap_err();
    assert!(matches!(error, ClaimError::Cloud(EstError::Fingerprint { .. })), "{error}");
    let (_dir, state) = self::state();
    let ca_pem = cloud.authority.pem.clone().into_bytes();
    let error = claim(&state, &Claim { ca_pem, ..between.claim() }, NOW).await.unwrap_err();
    assert!(matches!(error, ClaimError::Cloud(EstError::Authority { .. })), "{error}");
    assert!(!between.switches.code_spent.load(Ordering::SeqCst), "the code was not sent");
}

#[tokio::test]
async fn each_mistake_has_its_own_words() {
    let cloud = Cloudlet::start().await;
    let (_dir, state) = state();
    let refused = |claim_: Claim| {
        let state = state.clone();
        async move { claim(&state, &claim_, NOW).await.unwrap_err() }
    };
    let wrong = Claim { code: ClaimCode::new("WRONG"), ..cloud.claim() };
    assert!(matches!(refused(wrong).await, ClaimError::Cloud(EstError::Code)));
    let other_authority = Claim { ca_pem: Authority::new().pem.clone().into_bytes(), ..cloud.claim() };
    assert!(matches!(refused(other_authority).await, ClaimError::Cloud(EstError::Authority { .. })));
    let no_authority = Claim { ca_pem: b"nonsense".to_vec(), ..cloud.claim() };
    assert!(matches!(refused(no_authority).await, ClaimError::Authority(_)));
    let by_name = Url::parse(&format!("https://localhost:{}", cloud.enrolment.port())).unwrap();
    let error = refused(Claim { enrolment_url: by_name, ..cloud.claim() }).await;
    assert!(matches!(error, ClaimError::Cloud(EstError::Name { .. })), "{error}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(Claim { enrolment_url: url(closed), ..cloud.claim() }).await;
    assert!(matches!(error, ClaimError::Cloud(EstError::Unreachable { .. })), "{error}");
    let clear = Url::parse("http://127.0.0.1").unwrap();
    let error = refused(Claim { enrolment_url: clear, ..cloud.claim() }).await;
    assert!(matches!(error, ClaimError::Cloud(EstError::Url(_))));
    assert!(Identity::load(&state, true).unwrap().is_none(), "nothing of it was kept");
}

#[tokio::test]
async fn a_wrong_clock_is_named() {
    let at = |year| rcgen::date_time_ymd(year, 1, 1);
    for (from, until, word) in [(2000, 2001, "expired"), (2090, 2091, "not valid yet")] {
        let cloud = Cloudlet::with(|params| {
            params.not_before = at(from);
            params.not_after = at(until);
        })
        .await;
        let (_dir, state) = state();
        let error = claim(&state, &cloud.claim(), NOW).await.unwrap_err();
        assert!(matches!(error, ClaimError::Cloud(EstError::Clock { when, .. }) if when == word), "{error}");
    }
    let cloud = Cloudlet::start().await;
    let (_dir, state) = state();
    let error = claim(&state, &cloud.claim(), Timestamp(NOW.0 + 40 * DAY_MS)).await.unwrap_err();
    assert!(matches!(error, ClaimError::Clock));
}

#[tokio::test]
async fn a_certificate_for_another_key_or_name_is_refused() {
    for (other_key, other_name) in [(true, false), (false, true)] {
        let cloud = Cloudlet::start().await;
        cloud.switches.other_key.store(other_key, Ordering::SeqCst);
        cloud.switches.other_name.store(other_name, Ordering::SeqCst);
        let (_dir, state) = state();
        let error = claim(&state, &cloud.claim(), NOW).await.unwrap_err();
        assert!(matches!(error, ClaimError::Credential(_)), "{error}");
    }
}

#[tokio::test]
async fn a_claim_cut_short_goes_on_without_the_code() {
    let cloud = Cloudlet::start().await;
    let (_dir, state) = state();
    cloud.switches.api_broken.store(true, Ordering::SeqCst);
    let error = claim(&state, &cloud.claim(), NOW).await.unwrap_err();
    assert!(matches!(error, ClaimError::Cloud(EstError::Answer { .. })), "{error}");
    assert!(Identity::load(&state, true).unwrap().is_none());
    cloud.switches.api_broken.store(false, Ordering::SeqCst);
    assert!(cloud.switches.code_spent.load(Ordering::SeqCst));
    claim(&state, &cloud.claim(), NOW).await.unwrap();
}

#[tokio::test]
async fn a_renewed_pair_waits_beside_the_old_one_until_it_has_proved_itself() {
    let cloud = Cloudlet::start().await;
    let (_dir, state) = state();
    let old = claim(&state, &cloud.claim(), NOW).await.unwrap();
    assert!(!renew::is_due(&old.credential, NOW));
    assert!(renew::is_due(&old.credential, Timestamp(NOW.0 + 10 * DAY_MS)));
    renew::renew(&state, &old, &Internet).await.unwrap();
    let still = Identity::load(&state, false).unwrap().unwrap();
    assert_eq!(still.credential.chain(), old.credential.chain());
    let new = Identity::load(&state, true).unwrap().unwrap();
    assert!(new.is_candidate && new.credential.chain() != old.credential.chain());
    // It is a working pair: another renewal with it succeeds.
    renew::renew(&state, &new, &Internet).await.unwrap();
    let newer = Identity::load(&state, true).unwrap().unwrap();
    renew::promote(&state).unwrap();
    let kept = Identity::load(&state, true).unwrap().unwrap();
    assert!(!kept.is_candidate);
    assert_eq!(kept.credential.chain(), newer.credential.chain());
}

#[tokio::test]
async fn a_replaced_identity_takes_what_was_held_with_it() {
    use crate::config::EventsConfig;
    use crate::store::{DeviceKey, Store, StoreOptions};
    let cloud = Cloudlet::start().await;
    let (_dir, state) = state();
    let before = claim(&state, &cloud.claim(), NOW).await.unwrap();
    let options = StoreOptions {
        device_key: DeviceKey::load_or_create(&state.device_key()).unwrap(),
        events: EventsConfig::default(),
        machine_boot: None,
    };
    let running = Store::open(&state.database(), options).unwrap();
    cloud.switches.code_spent.store(false, Ordering::SeqCst);
    let replace = || Claim { replace: true, ..cloud.claim() };
    let error = claim(&state, &replace(), NOW).await.unwrap_err();
    assert!(matches!(error, ClaimError::Database(_)), "not under a running program: {error}");
    running.checkpoint().await.unwrap();
    drop(running);
    // The storage thread lets go of the file on its own time.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    let after = loop {
        match claim(&state, &replace(), NOW).await {
            Ok(identity) => break identity,
            Err(ClaimError::Database(_)) if tokio::time::Instant::now() < deadline => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(!state.database().exists() && !state.device_key().exists());
    assert_ne!(after.sealing_key, before.sealing_key);
}
