//! A running cloud in a temporary folder, the CAs around it, and clients with certificates of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cardea_cloud::auth::roles::Role;
use cardea_cloud::config::Config;
use cardea_cloud::server::Server;
use cardea_cloud::storage::consent_texts::ConsentText;
use cardea_cloud::storage::principals::Principal;
use cardea_protocol::clock::{Clock as _, ManualClock, SystemClock};
use cardea_protocol::id::{ConsentTextId, CustomerId, SiteId};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

pub(crate) const SITE: &str = "birch-street-12";
pub(crate) const CUSTOMER: &str = "birch-homes";
pub(crate) const SUBJECT: &str = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A CA of customers or of the operator.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate and its key, PEM.
    pub(crate) fn server(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A client certificate and its key, PEM.
    pub(crate) fn client(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Birch Homes");
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Where the workspace is.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A picture that set-up has put in place.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    let path = workspace().join(".tools/samples").join(name);
    std::fs::read(&path).unwrap_or_else(|_| panic!("{} is missing: run `make setup`", path.display()))
}

/// A server's certificate that is its own CA, and its key, PEM.
fn self_signed(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A running cloud.
pub(crate) struct Cloud {
    pub(crate) server: Server,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) clients: Ca,
    pub(crate) folder: tempfile::TempDir,
    /// In `server.pem` of its folder at the start.
    pub(crate) first_certificate: String,
}

/// The configuration of a cloud in `folder`.
pub(crate) fn config_text(folder: &Path, clients: &Ca, models: bool) -> String {
    std::fs::write(folder.join("clients.pem"), &clients.pem).unwrap();
    let mut text = "data_dir = 'data'\n[server]\napi_listen = '127.0.0.1:0'\nenrol_listen = '127.0.0.1:0'\n\
        broker_listen = '127.0.0.1:0'\npublic_names = ['localhost', '127.0.0.1']\n[client_ca]\nfiles = ['clients.pem']\n"
        .to_owned();
    if models {
        let (pack, library) =
            (workspace().join("models/base"), workspace().join(".tools/onnxruntime/libonnxruntime.so"));
        text += &format!("[recognition]\npack = '{}'\nonnxruntime = '{}'\n", pack.display(), library.display());
    }
    text
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        Self::start_with(false).await
    }

    pub(crate) async fn start_with(models: bool) -> Self {
        Self::start_configured_with(models, "").await
    }

    /// With this at the end of its configuration.
    pub(crate) async fn start_configured(more: &str) -> Self {
        Self::start_configured_with(false, more).await
    }

    async fn start_configured_with(models: bool, more: &str) -> Self {
        Self::start_with_text(models, |text| text + more).await
    }

    /// With its configuration changed.
    pub(crate) async fn start_edited(edit: impl FnOnce(String) -> String) -> Self {
        Self::start_with_text(false, edit).await
    }

    async fn start_with_text(models: bool, edit: impl FnOnce(String) -> String) -> Self {
        // The one provider; a second call only says that it is there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clients = Ca::new("Clients");
        let path = folder.path().join("cloud.toml");
        std::fs::write(&path, edit(config_text(folder.path(), &clients, models))).unwrap();
        // Where a configuration names one of its own.
        let (first_certificate, first_key) = self_signed("localhost");
        std::fs::write(folder.path().join("server.pem"), &first_certificate).unwrap();
        std::fs::write(folder.path().join("server.key"), first_key).unwrap();
        let clock = ManualClock::at(SystemClock.now());
        let server = Server::start(Config::load(&path).unwrap(), clock.clone()).await.unwrap();
        let cloud = Self { server, clock, clients, folder, first_certificate };
        cloud.add_account("operator", Role::Operator, None).await;
        cloud
    }

    /// The cloud's time, so many milliseconds on (RFC 3339).
    pub(crate) fn clock_rfc3339(&self, ms: i64) -> String {
        cardea_protocol::rfc3339::format(self.clock.now().plus_ms(ms))
    }

    /// An account whose certificate is `CN=name,O=Birch Homes`.
    pub(crate) async fn add_account(&self, name: &str, role: Role, customer: Option<&str>) {
        let principal = Principal {
            principal_id: name.to_owned(),
            customer: customer.map(|customer| CustomerId::new(customer).unwrap()),
            role,
            password_hash: None,
            subject_dn: Some(format!("CN={name},O=Birch Homes")),
        };
        self.server.app().storage.register_principal(principal, self.clock.now()).await.unwrap();
    }

    /// The site and its customer with an administrator, without going through the API.
    pub(crate) async fn with_customer(self) -> Self {
        let (storage, now) = (&self.server.app().storage, self.clock.now());
        let (site, customer) = (SiteId::new(SITE).unwrap(), CustomerId::new(CUSTOMER).unwrap());
        storage.register_site(&site, "12 Birch Street".to_owned(), now).await.unwrap();
        storage.register_customer(&customer, "Birch Homes".to_owned(), vec![site], now).await.unwrap();
        let text = ConsentText {
            text_id: ConsentTextId::random(),
            customer,
            version: "2026-03".to_owned(),
            language: "en".to_owned(),
            body: "I agree.".to_owned(),
            recorded_at: now,
        };
        storage.record_consent_text(text).await.unwrap();
        self.add_account("admin", Role::CustomerIntegration, Some(CUSTOMER)).await;
        self
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.server.addresses().api
    }

    fn ca_pem(&self) -> Vec<u8> {
        std::fs::read(&self.server.addresses().ca_file).unwrap()
    }

    /// reqwest that trusts this cloud, with or without a certificate.
    pub(crate) fn http(&self, identity: Option<(String, String)>) -> reqwest::Client {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&self.ca_pem()).unwrap()]);
        if let Some((certificate, key)) = identity {
            builder = builder.identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    /// reqwest with a certificate, that trusts this server's certificate or CA alone.
    pub(crate) fn http_trusting(&self, pem: &str) -> reqwest::Client {
        let (certificate, key) = self.clients.client("anyone");
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()])
            .identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap())
            .build()
            .unwrap()
    }

    /// A client with a certificate for `name`, and no token yet.
    pub(crate) fn client(&self, name: &str) -> Client {
        let identity = self.clients.client(name);
        let http = self.http(Some(identity.clone()));
        Client { http, identity, base: format!("https://localhost:{}", self.api().port()), token: None }
    }

    /// A client with a token by its certificate.
    pub(crate) async fn logged_in(&self, name: &str) -> Client {
        let mut client = self.client(name);
        let answer = client.token(&[("grant_type", "client_credentials"), ("client_id", name)]).await;
        client.token = Some(answer.text("access_token"));
        client
    }

    /// Every byte the cloud has on disk.
    pub(crate) fn disk(&self) -> Vec<u8> {
        fn read(folder: &Path, bytes: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { read(&path, bytes) } else { bytes.extend(std::fs::read(path).unwrap()) }
            }
        }
        let mut bytes = Vec::new();
        read(self.folder.path(), &mut bytes);
        bytes
    }
}

/// A back end: a certificate, a token, an address.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    /// Its certificate and key, PEM.
    pub(crate) identity: (String, String),
    pub(crate) base: String,
    pub(crate) token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    /// `WWW-Authenticate`.
    pub(crate) challenge: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn text(&self, member: &str) -> String {
        self.json[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }

    /// Status and slug, for comparing.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        (self.status.as_u16(), self.json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap())
    }
}

impl Client {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn photo(&self, path: &str, photo: Vec<u8>) -> Answer {
        answer(self.request(Method::POST, path).header("content-type", "image/jpeg").body(photo)).await
    }

    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        answer(self.http.post(format!("{}/oauth2/token", self.base)).form(form)).await
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status();
    let header = |name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let (content_type, challenge) = (header("content-type"), header("www-authenticate"));
    let bytes = response.bytes().await.unwrap().to_vec();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, content_type, challenge, bytes, json }
}

/// A consent to record.
pub(crate) fn consent(subject: &str) -> Value {
    json!({
        "subject": subject, "document_version": "2026-03", "given_at": "2026-01-10T10:00:00Z",
        "evidence_sha256": "ab".repeat(32),
    })
}
