//! The API on a database of its own and a manual clock, without TLS: each request carries the peer it claims to come from.
//!
//! World: [`SITE`] of [`CUSTOMER`] with one registered controller and a barrier; [`OTHER_SITE`] of another customer.

pub(crate) mod faces;
pub(crate) mod postgres;
pub(crate) mod tokens;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use cardea_access::time::Timestamp;
use cardea_protocol::clock::ManualClock;
use cardea_protocol::id::{ConsentTextId, ControllerId, CustomerId, SiteId};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::auth::roles::Role;
use crate::auth::{AccessTokens, ExternalIssuers, Grant, KeyRing, Throttle};
use crate::config::Config;
use crate::keys::{SigningKey, Vault};
use crate::listener::Peer;
use crate::state::{App, ClaimDesk, Shared};
use crate::storage::consent_texts::ConsentText;
use crate::storage::principals::Principal;
use crate::storage::sites::Scope;
use crate::storage::{KeyStoreSettings, Storage};
use crate::sync::Sync;
pub(crate) use crate::testing::faces::FACE_PHOTO;
use crate::testing::faces::FakeEnroller;

pub(crate) const ISSUER: &str = "https://localhost";
pub(crate) const SITE: &str = "birch-street-12";
pub(crate) const OTHER_SITE: &str = "oak-street-3";
pub(crate) const CUSTOMER: &str = "birch-homes";
pub(crate) const OTHER_CUSTOMER: &str = "oak-homes";
pub(crate) const CONTROLLER: &str = "birch-gate";
pub(crate) const BARRIER: &str = "birch-barrier";
pub(crate) const SUBJECT: &str = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const BACKEND_DN: &str = "CN=backend,O=Birch Homes";
pub(crate) const START: Timestamp = Timestamp(1_795_420_800_000);

/// A storage for a test: SQLite, or PostgreSQL where `CARDEA_TEST_DATABASE` says `postgresql`. `make test` runs the tests of
/// this crate with both.
pub(crate) struct Scratch {
    pub(crate) storage: Storage,
    database: Option<postgres::Database>,
}

/// A database of PostgreSQL, if the tests run with that and it is here.
fn on_postgresql() -> Option<postgres::Database> {
    let wanted = std::env::var_os("CARDEA_TEST_DATABASE").is_some_and(|name| name == "postgresql");
    if wanted { postgres::database() } else { None }
}

impl Scratch {
    /// With SQLite, the file is in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let database = on_postgresql();
        let storage = match &database {
            Some(database) => Storage::connect(database.settings(), file_keys(folder)),
            None => Storage::open(&folder.join("cloud.db"), file_keys(folder)),
        };
        Self { storage: storage.unwrap(), database }
    }

    /// Every byte of the database's files.
    pub(crate) fn bytes(&self, folder: &Path) -> Vec<u8> {
        match &self.database {
            Some(database) => [database.bytes(), files(folder)].concat(),
            None => files(folder),
        }
    }
}

impl Scratch {
    /// What a backup by the server's own program holds, in readable form; nothing with SQLite, whose file is its backup.
    pub(crate) fn dump(&self) -> Vec<u8> {
        self.database.as_ref().map(postgres::Database::dump).unwrap_or_default()
    }
}

/// Every byte of the files in a folder.
pub(crate) fn files(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.is_file()).flat_map(|file| std::fs::read(file).unwrap()).collect()
}

/// A key store in memory.
pub(crate) fn memory_keys() -> KeyStoreSettings {
    KeyStoreSettings { file: None, vault: Arc::new(Vault::from_bytes([7; 32])), at: START }
}

/// The key store of a folder.
pub(crate) fn file_keys(folder: &Path) -> KeyStoreSettings {
    KeyStoreSettings { file: Some(folder.join("subject-keys.db")), ..memory_keys() }
}

/// A storage for a test that looks at no files.
pub(crate) fn scratch_storage() -> Storage {
    match on_postgresql() {
        Some(database) => Storage::connect(database.settings(), memory_keys()),
        None => Storage::in_memory(memory_keys()),
    }
    .unwrap()
}

/// Which account asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct As(Option<&'static str>);

pub(crate) fn as_operator() -> As {
    As(Some("operator"))
}
pub(crate) fn as_admin() -> As {
    As(Some("admin"))
}
pub(crate) fn as_service() -> As {
    As(Some("service"))
}
pub(crate) fn as_other() -> As {
    As(Some("other"))
}
pub(crate) fn as_nobody() -> As {
    As(None)
}
/// The account of a role that belongs to another customer, or to an installer of another site.
pub(crate) fn as_role_elsewhere(role: Role) -> Option<As> {
    match role {
        Role::CustomerIntegration => Some(as_other()),
        Role::ResidentSupport => Some(As(Some("other-service"))),
        Role::Auditor => Some(As(Some("other-auditor"))),
        Role::Installer => Some(As(Some("other-installer"))),
        Role::Operator | Role::SecurityOfficer | Role::Administrator => None,
    }
}
/// The account of that id.
pub(crate) fn as_account(id: &'static str) -> As {
    As(Some(id))
}
pub(crate) fn as_role(role: Role) -> As {
    match role {
        Role::CustomerIntegration => as_admin(),
        Role::ResidentSupport => as_service(),
        Role::Operator => as_operator(),
        Role::Installer => As(Some("installer")),
        Role::SecurityOfficer => As(Some("security-officer")),
        Role::Auditor => As(Some("auditor")),
        Role::Administrator => As(Some("administrator")),
    }
}

/// A consent to record.
pub(crate) fn consent(subject: &str) -> Value {
    json!({
        "subject": subject, "document_version": "2026-03", "given_at": "2026-11-01T10:00:00Z",
        "evidence_sha256": "ab".repeat(32),
    })
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: Vec<u8>,
    pub(crate) json: Value,
    headers: axum::http::HeaderMap,
}

impl Answer {
    /// Status and slug, for comparing.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), crate::problem::CONTENT_TYPE, "{} {}", self.status, self.json);
        (self.status, self.json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap())
    }

    /// A member of the body that is text.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_default()
    }

    /// Status and OAuth error code, for comparing.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.text("error"))
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// The API.
pub(crate) struct Api {
    pub(crate) app: Shared,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) peer: Peer,
    router: Router,
    scratch: Scratch,
    folder: tempfile::TempDir,
}

/// A client certificate with that subject, self-signed: the handlers never see who issued it.
pub(crate) fn peer(name: &[(rcgen::DnType, &str)]) -> Peer {
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in name {
        params.distinguished_name.push(kind.clone(), *value);
    }
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    Peer::read(certificate.der(), false).unwrap()
}

impl Api {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::in_folder(folder.path());
        Self::over(scratch, folder, Sync::detached(), START).await
    }

    /// The API before controllers in session: on the storage that their sessions work with.
    pub(crate) async fn in_session(storage: &Storage, sync: &Sync, now: Timestamp) -> Self {
        let scratch = Scratch { storage: storage.clone(), database: None };
        Self::over(scratch, tempfile::tempdir().unwrap(), sync.clone(), now).await
    }

    async fn over(scratch: Scratch, folder: tempfile::TempDir, sync: Sync, now: Timestamp) -> Self {
        let clock = ManualClock::at(now);
        let storage = scratch.storage.clone();
        let config = "data_dir = '/nowhere'\n[server]\npublic_names = ['localhost']\n[client_ca]\nfiles = []\n";
        let config = Config::parse(config).unwrap();
        let tokens =
            AccessTokens::new(KeyRing::of(&SigningKey::generate().unwrap()).unwrap(), ISSUER.to_owned(), 3_600);
        let app = App {
            storage,
            vault: Arc::new(Vault::from_bytes([7; 32])),
            sync,
            clock: clock.clone(),
            grammars: config.grammars().unwrap(),
            config,
            issuers: ExternalIssuers::default(),
            tokens,
            signing: SigningKey::generate().unwrap(),
            enroller: Arc::new(FakeEnroller),
            throttle: Throttle::default(),
            desk: ClaimDesk {
                enrolment_url: "https://localhost:8444".parse().unwrap(),
                api_url: "https://localhost:8443".parse().unwrap(),
                ca_sha256: [7; 32],
            },
        };
        let app = Shared(Arc::new(app));
        populate(&app.storage).await;
        let peer = peer(&[(rcgen::DnType::OrganizationName, "Birch Homes"), (rcgen::DnType::CommonName, "backend")]);
        Self { router: crate::api::router(app.clone(), Router::new()), app, clock, peer, scratch, folder }
    }

    pub(crate) async fn get(&self, path: &str, who: As) -> Answer {
        self.send(&Method::GET, path, who).await
    }

    pub(crate) async fn delete(&self, path: &str, who: As) -> Answer {
        self.send(&Method::DELETE, path, who).await
    }

    pub(crate) async fn post_empty(&self, path: &str, who: As) -> Answer {
        self.send(&Method::POST, path, who).await
    }

    /// A request without a body.
    pub(crate) async fn send(&self, method: &Method, path: &str, who: As) -> Answer {
        self.call(self.request(method, path, who).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, who: As) -> Answer {
        self.post_bytes(path, "application/json", body.to_string().into_bytes(), who).await
    }

    pub(crate) async fn post_photo(&self, path: &str, photo: &[u8], who: As) -> Answer {
        self.post_bytes(path, "image/jpeg", photo.to_vec(), who).await
    }

    /// Photos as the parts of a form.
    pub(crate) async fn post_photos(&self, path: &str, photos: &[&[u8]], who: As) -> Answer {
        let form = crate::api::photo_form(photos, "7c1f0a9e");
        self.post_bytes(path, "multipart/form-data; boundary=7c1f0a9e", form, who).await
    }

    pub(crate) async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let form = serde_urlencoded::to_string(form).unwrap();
        self.post_bytes(path, "application/x-www-form-urlencoded", form.into_bytes(), as_nobody()).await
    }

    pub(crate) async fn post_json_keyed(&self, path: &str, body: &Value, key: &str, who: As) -> Answer {
        let request = self.request(&Method::POST, path, who).header("idempotency-key", key);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.call(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn post_keyed(&self, path: &str, key: &str, who: As) -> Answer {
        let request = self.request(&Method::POST, path, who).header("idempotency-key", key);
        self.call(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, media_type: &str, body: Vec<u8>, who: As) -> Answer {
        let request = self.request(&Method::POST, path, who).header(header::CONTENT_TYPE, media_type);
        self.call(request.header(header::CONTENT_LENGTH, body.len()).body(Body::from(body)).unwrap()).await
    }

    /// A request with a JSON body.
    pub(crate) async fn send_json(&self, method: &Method, path: &str, body: &Value, who: As) -> Answer {
        let request = self.request(method, path, who).header(header::CONTENT_TYPE, "application/json");
        self.call(request.header(header::IF_MATCH, "*").body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) fn request(&self, method: &Method, path: &str, who: As) -> axum::http::request::Builder {
        let mut request = Request::builder().method(method).uri(path);
        if let As(Some(account)) = who {
            let token = self.app.tokens.issue(self.app.now(), &self.grant(account)).unwrap();
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
    }

    /// What a token for that account is issued for, on a connection of [`Api::peer`].
    pub(crate) fn grant<'a>(&'a self, account: &'a str) -> Grant<'a> {
        let (role, thumbprint) = (Role::Auditor, &*self.peer.thumbprint);
        Grant { principal: account, client: account, role, scope: role.name(), thumbprint, login: None }
    }

    /// Sends a request as it is, on a connection of [`Api::peer`].
    pub(crate) async fn call(&self, mut request: Request<Body>) -> Answer {
        let route = (request.method().clone(), request.uri().path().to_owned());
        request.extensions_mut().insert(self.peer.clone());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = Answer { status: parts.status.as_u16(), bytes, json, headers: parts.headers };
        if answer.header("content-type") == crate::problem::CONTENT_TYPE {
            // What a route answers, its description lists.
            crate::api::assert_described(&route.0, &route.1, answer.problem());
        }
        answer
    }

    /// The newest revision of [`SITE`].
    pub(crate) async fn revision(&self) -> u64 {
        self.app.storage.revision(&SiteId::new(SITE).unwrap()).await.unwrap().0
    }

    /// Makes a registered controller an active one, as a claim would.
    pub(crate) async fn activate(&self, controller: &str) {
        let controller = controller.to_owned();
        let activate = move |tx: &crate::storage::engine::Transaction<'_>| {
            tx.execute("UPDATE controllers SET status = 'active' WHERE controller_id = ?1", [&controller])?;
            Ok::<_, crate::storage::StorageError>(())
        };
        self.app.storage.write(activate).await.unwrap();
    }

    /// Adds events of an alarm at [`SITE`].
    pub(crate) async fn add_events(&self, count: i64) {
        let add = move |tx: &crate::storage::engine::Transaction<'_>| {
            for seq in 1..=count {
                let row = crate::storage::engine::params![format!("event-{seq}"), SITE, CONTROLLER, seq, START.0 + seq];
                let sql = r#"INSERT INTO events (event_id, site_id, controller_id, seq, at, received_at, kind)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?5, '{"type":"alarm","alarm":"forced"}')"#;
                tx.execute(sql, row)?;
            }
            Ok::<_, crate::storage::StorageError>(())
        };
        self.app.storage.write(add).await.unwrap();
    }

    /// Every byte of the database's files.
    pub(crate) async fn database_bytes(&self) -> Vec<u8> {
        self.scratch.bytes(self.folder.path())
    }

    /// What a backup of the database holds, as [`Scratch::dump`] makes it.
    pub(crate) fn dump(&self) -> Vec<u8> {
        self.scratch.dump()
    }
}

/// Records the text that [`consent`] is to.
pub(crate) async fn record_text(storage: &Storage, customer: &CustomerId) {
    let text = ConsentText {
        text_id: ConsentTextId::new(format!("text-of-{customer}")).unwrap(),
        customer: customer.clone(),
        version: "2026-03".to_owned(),
        language: "en".to_owned(),
        body: "I agree.".to_owned(),
        recorded_at: START,
    };
    storage.record_consent_text(text).await.unwrap();
}

async fn populate(storage: &Storage) {
    for (site, customer) in [(SITE, CUSTOMER), (OTHER_SITE, OTHER_CUSTOMER)] {
        let (site, customer) = (SiteId::new(site).unwrap(), CustomerId::new(customer).unwrap());
        storage.register_site(&site, format!("at {site}"), START).await.unwrap();
        storage.register_customer(&customer, format!("{customer}"), vec![site], START).await.unwrap();
        record_text(storage, &customer).await;
    }
    // Cheap parameters: only the token endpoint's own tests hash at full cost.
    let accounts = [
        ("operator", Role::Operator, None),
        ("installer", Role::Installer, None),
        ("security-officer", Role::SecurityOfficer, None),
        ("administrator", Role::Administrator, None),
        ("supervisor", Role::Auditor, None),
        ("admin", Role::CustomerIntegration, Some(CUSTOMER)),
        ("service", Role::ResidentSupport, Some(CUSTOMER)),
        ("auditor", Role::Auditor, Some(CUSTOMER)),
        ("other", Role::CustomerIntegration, Some(OTHER_CUSTOMER)),
        ("other-service", Role::ResidentSupport, Some(OTHER_CUSTOMER)),
        ("other-auditor", Role::Auditor, Some(OTHER_CUSTOMER)),
        ("other-installer", Role::Installer, None),
    ];
    for (id, role, customer) in accounts {
        let principal = Principal {
            principal_id: id.to_owned(),
            customer: customer.map(|customer| CustomerId::new(customer).unwrap()),
            role,
            password_hash: None,
            subject_dn: Some(BACKEND_DN.to_owned()),
        };
        storage.register_principal(principal, START).await.unwrap();
    }
    for (installer, site) in [("installer", SITE), ("other-installer", OTHER_SITE)] {
        storage.give_sites(installer, vec![SiteId::new(site).unwrap()], START).await.unwrap();
    }
    let (controller, site) = (ControllerId::new(CONTROLLER).unwrap(), SiteId::new(SITE).unwrap());
    let hash = "unclaimed".to_owned();
    storage.register_controller(&Scope::Operator, &controller, &site, hash, START.plus_ms(1_000), START).await.unwrap();
    let add = |tx: &crate::storage::engine::Transaction<'_>| {
        tx.execute(
            r#"INSERT INTO access_points (access_point_id, controller_id, kind, credentials, reachable, state)
               VALUES (?1, ?2, 'barrier', '["plate","remote"]', 1, 'closed')"#,
            [BARRIER, CONTROLLER],
        )?;
        Ok::<_, crate::storage::StorageError>(())
    };
    storage.write(add).await.unwrap();
}
