//! Bad input over the real API, against a whole site: a clear error each time, and nothing lost or half-done.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_cloud::auth::roles::Role;
use cardea_cloud::auth::{AccessTokens, Grant, KeyRing, token_keys};
use cardea_cloud::keys::{SigningKey, Vault};
use cardea_cloud::storage::{KeyStoreSettings, Storage};
use cardea_daemon::local::{self, HoldingsStatus};
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_tests::picture::{self, View};
use cardea_tests::site::back_end::{BackEnd, Reply};
use cardea_tests::site::pki::{ClientCa, ClientFiles};
use cardea_tests::site::{self, BARRIER, CLIENT, CONTROLLER, SITE, Site, Tempo};
use cardea_tests::story::{PASSWORD, PLATE, RESIDENT, RESIDENT_PHOTO};
use reqwest::Body;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_util::codec::{BytesCodec, FramedRead};

const PATIENCE: Duration = Duration::from_secs(30);
/// What the cloud may grow by while it refuses what is too large, KiB.
const ROOM_KIB: u64 = 48 * 1_024;

/// Everything that bad input must leave as it is.
#[derive(Debug, PartialEq)]
struct Standing {
    plates: Value,
    /// Revision, cursor and digest, as the operator sees them.
    controller: [Value; 4],
    /// Cursor, digest, plates and templates, as the controller itself says.
    held: (u64, String, usize, usize),
    /// How many rows each of the cloud's tables has, and the newest revision.
    rows: Vec<(String, i64)>,
}

/// Tables with a row for everything that was done.
const TABLES: [&str; 9] =
    ["plates", "consents", "subject_keys", "templates", "changes", "erasures", "sales", "sale_blocks", "commands"];

async fn standing(site: &Site, customer: &BackEnd, operator: &BackEnd) -> anyhow::Result<Standing> {
    let plates = customer.get(&format!("/v1/sites/{SITE}/plates")).await?.expect(200)?.body;
    let view = operator.get(&format!("/v1/controllers/{CONTROLLER}")).await?.expect(200)?.body;
    let HoldingsStatus { cursor, digest, plates: held, templates, .. } =
        local::ask(&site.dir.join("local.sock")).await?.holdings;
    Ok(Standing {
        plates,
        controller: ["site_revision", "cursor", "digest", "in_sync"].map(|field| view[field].clone()),
        held: (cursor, digest, held, templates),
        rows: rows(&site.dir)?,
    })
}

fn rows(dir: &Path) -> anyhow::Result<Vec<(String, i64)>> {
    let database = rusqlite::Connection::open(dir.join("cloud/cloud.db"))?;
    let count = |table: &str| {
        let rows = database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok((table.to_owned(), rows))
    };
    TABLES.iter().map(|table| count(table)).collect()
}

/// The reply is this problem, says what to do, and repeats nothing of what was sent.
fn assert_problem(reply: &Reply, what: &str, status: u16, problem: &str, sent: &str) {
    let got = String::from_utf8_lossy(&reply.bytes);
    assert_eq!((reply.status, reply.problem().as_str()), (status, problem), "{what}: {got}");
    let detail = reply.body["detail"].as_str().unwrap_or_default();
    assert!(detail.len() > 10, "{what}: no word on what to do: {got}");
    assert!(sent.is_empty() || !got.contains(sent), "{what}: the answer repeats what was sent: {got}");
}

fn consent(subject: &str) -> Value {
    json!({
        "subject": subject, "document_version": "2026-03", "given_at": "2026-03-01T09:00:00Z",
        "evidence_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    })
}

fn faces() -> String {
    format!("/v1/sites/{SITE}/subjects/{RESIDENT}/faces")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_explained_and_changes_nothing() -> anyhow::Result<()> {
    site::prepare()?;
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("site");
    let (mut site, customer, operator) = Site::start_claimed(&dir, Tempo::DEMO, site::now(), PASSWORD).await?;
    // Something to lose: a plate and a face, at the cloud and at the controller.
    let photo = picture::photograph(RESIDENT_PHOTO, View::PLAIN)?;
    customer.post(&format!("/v1/sites/{SITE}/plates"), &json!({ "plate": PLATE })).await?.expect(201)?;
    let text = json!({ "version": "2026-03", "language": "en", "text": "I agree." });
    customer.post("/v1/consent-texts", &text).await?.expect(201)?;
    customer.post(&format!("/v1/sites/{SITE}/consents"), &consent(RESIDENT)).await?.expect(201)?;
    customer.post_bytes(&faces(), "image/jpeg", photo.clone()).await?.expect(201)?;
    site.in_sync(&operator, PATIENCE).await?;
    let before = settled(&site, &customer, &operator).await?;
    assert_eq!((before.held.2, before.held.3), (1, 1));

    unknown_fields(&customer).await?;
    malformed_plates(&customer).await?;
    subjects_that_are_people(&customer).await?;
    photos_of_nobody_in_particular(&customer, &photo).await?;
    bodies_without_end(&mut site, &customer).await?;

    site.in_sync(&operator, PATIENCE).await?;
    assert_eq!(standing(&site, &customer, &operator).await?, before);
    // And what is right still goes through.
    customer.post_bytes(&faces(), "image/jpeg", photo).await?.expect(201)?;
    site.in_sync(&operator, PATIENCE).await?;
    site.stop().await
}

/// The standing once the controller matches what it holds.
async fn settled(site: &Site, customer: &BackEnd, operator: &BackEnd) -> anyhow::Result<Standing> {
    site::poll(PATIENCE, "the controller matches what it holds", async || {
        let standing = standing(site, customer, operator).await?;
        Ok((standing.held.3 > 0).then_some(standing))
    })
    .await
}

async fn unknown_fields(customer: &BackEnd) -> anyhow::Result<()> {
    let mut with_phone = consent("0d1f3a52-6b7c-4d8e-9f00-a1b2c3d4e5f6");
    with_phone["phone"] = json!("+79161234567");
    let bodies = [
        ("plates", json!({ "plate": "B222BB77", "owner": "Pyotr Ivanov" }), "owner", "Pyotr"),
        ("consents", with_phone, "phone", "+7916"),
        ("property-sales", json!({ "plates": [PLATE], "subjects": [], "flat": "Flat 12" }), "flat", "Flat 12"),
    ];
    for (collection, body, field, value) in bodies {
        let reply = customer.post(&format!("/v1/sites/{SITE}/{collection}"), &body).await?;
        assert_problem(&reply, field, 422, "invalid-field", value);
        assert!(reply.text("/detail")?.contains(&format!("`{field}`")), "which field? {}", reply.body);
    }
    let plates = format!("/v1/sites/{SITE}/plates");
    let cut_short = customer.post_bytes(&plates, "application/json", "{\"plate\": \"B222").await?;
    assert_problem(&cut_short, "half a body", 400, "malformed-request", "B222");
    let form = customer.post_bytes(&plates, "application/x-www-form-urlencoded", "plate=B222BB77").await?;
    assert_problem(&form, "a form", 415, "unsupported-media-type", "B222");
    Ok(())
}

async fn malformed_plates(customer: &BackEnd) -> anyhow::Result<()> {
    let overlong = "A123BC77".repeat(500);
    for plate in [&overlong, "A123BC7777", "K321MC7", "A12ЗBC77", "QWERTY", "+7 916 123-45-67", "'; DROP TABLE plates"]
    {
        let body = json!({ "plate": plate });
        let reply = customer.post(&format!("/v1/sites/{SITE}/plates"), &body).await?;
        assert_problem(&reply, plate, 422, "plate-malformed", plate);
        // A sale is one operation: a bad plate beside a good one blocks neither.
        let body = json!({ "plates": [PLATE, plate], "subjects": [] });
        let reply = customer.post(&format!("/v1/sites/{SITE}/property-sales"), &body).await?;
        assert_problem(&reply, plate, 422, "plate-malformed", plate);
    }
    Ok(())
}

async fn subjects_that_are_people(customer: &BackEnd) -> anyhow::Result<()> {
    let people =
        ["+79161234567", "79161234567", "ivan.petrov@example.org", "Ivan Petrov", "Иван Петров", "4509 123456"];
    for person in people {
        let reply = customer.post(&format!("/v1/sites/{SITE}/consents"), &consent(person)).await?;
        assert_problem(&reply, person, 422, "invalid-field", person);
        assert!(reply.text("/detail")?.contains("opaque"), "{}", reply.body);
        let body = json!({ "plates": [PLATE], "subjects": [RESIDENT, person] });
        let reply = customer.post(&format!("/v1/sites/{SITE}/property-sales"), &body).await?;
        assert_problem(&reply, person, 422, "invalid-field", person);
        let path = format!("/v1/sites/{SITE}/subjects/{}/faces", person.replace('+', "%2B").replace(' ', "%20"));
        let reply = customer.post_bytes(&path, "image/jpeg", picture::nobody()?).await?;
        assert_problem(&reply, person, 422, "subject-not-opaque", person);
    }
    Ok(())
}

async fn photos_of_nobody_in_particular(customer: &BackEnd, photo: &[u8]) -> anyhow::Result<()> {
    let two = picture::side_by_side("grace_hopper.jpg", "astronaut.png")?;
    let photos: [(&str, Vec<u8>, &str); 6] = [
        ("a scene without a face", picture::nobody()?, "no-face"),
        ("two people", two, "several-faces"),
        ("a document", b"%PDF-1.7 and more".to_vec(), "not-an-image"),
        ("nothing", Vec::new(), "not-an-image"),
        ("the head of a picture", photo[..400].to_vec(), "not-an-image"),
        ("noise behind a JPEG's first bytes", [&[0xff, 0xd8, 0xff, 0xe0], &[0x5a; 4_000][..]].concat(), "not-an-image"),
    ];
    for (what, bytes, problem) in photos {
        let reply = customer.post_bytes(&faces(), "image/jpeg", bytes).await?;
        assert_problem(&reply, what, 422, problem, "");
    }
    let gif = customer.post_bytes(&faces(), "image/gif", &b"GIF89a"[..]).await?;
    assert_problem(&gif, "a GIF", 415, "unsupported-media-type", "");
    Ok(())
}

/// Bodies past the limits: by a little an answer, by far an answer or a closed connection; the service serves on, and
/// holds none of it in memory.
async fn bodies_without_end(site: &mut Site, customer: &BackEnd) -> anyhow::Result<()> {
    let plates = format!("/v1/sites/{SITE}/plates");
    let routes = [(plates.as_str(), "application/json", 65 * 1_024), (&faces(), "image/jpeg", 9 * 1_024 * 1_024)];
    let peak_before = peak_kib(site)?;
    for (path, kind, beyond) in routes {
        for bytes in [beyond, 100 * 1_024 * 1_024] {
            let sent = customer.post_bytes(path, kind, endless(bytes)).await;
            let closed_early = sent.is_err() && bytes > beyond;
            if !closed_early {
                assert_problem(&sent?, &format!("{bytes} bytes to {path}"), 413, "body-too-large", "");
            }
            customer.get("/healthz").await?.expect(204)?;
        }
    }
    let grown = peak_kib(site)?.saturating_sub(peak_before);
    assert!(grown < ROOM_KIB, "the cloud grew by {grown} KiB over what it refused");
    Ok(())
}

/// A stream of so many bytes, none of which lies in memory, and whose length is not told beforehand.
fn endless(bytes: u64) -> Body {
    Body::wrap_stream(FramedRead::with_capacity(tokio::io::repeat(b'x').take(bytes), BytesCodec::new(), 64 * 1_024))
}

/// The most memory the cloud has had so far.
fn peak_kib(site: &mut Site) -> anyhow::Result<u64> {
    let pid = site.cloud().pid().context("the cloud is not running")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// A cloud with a registered site and customer, whose controller was not claimed.
async fn unclaimed(dir: &Path) -> anyhow::Result<(Site, String)> {
    site::prepare()?;
    let site = Site::start(dir, Tempo::DEMO, site::now()).await?;
    let code = site.register(PASSWORD).await?;
    Ok((site, code))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_current_token_of_this_cloud_on_its_own_certificate_counts() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (site, _) = unclaimed(&folder.path().join("site")).await?;
    let client = site.customer_client()?;
    let issuer = client.get("/.well-known/openid-configuration").await?.expect(200)?.text("/issuer")?;
    let own = thumbprint(&site.customer)?;
    let vault = Arc::new(Vault::open_or_create(&site.dir.join("cloud/keys/vault.key"))?);
    let keys = KeyStoreSettings {
        file: Some(site.dir.join("cloud/subject-keys.db")),
        vault: vault.clone(),
        at: SystemClock.now(),
    };
    let storage = Storage::open(&site.dir.join("cloud/cloud.db"), keys)?;
    let real_keys = token_keys::load(&storage, &vault).await?.context("no keys that sign tokens")?;
    let real = AccessTokens::new(real_keys.clone(), issuer.clone(), 3_600);
    let role = Role::CustomerIntegration;
    let now = SystemClock.now();
    let issue = |tokens: &AccessTokens, at, thumbprint: &str| {
        let grant = Grant { principal: CLIENT, client: CLIENT, role, scope: role.name(), thumbprint, login: None };
        tokens.issue(at, &grant)
    };

    // The way these are made is right: one that should count does.
    let good = issue(&real, now, &own)?;
    client.with_token(&good).get("/v1/sites").await?.expect(200)?;

    let expired = issue(&real, now.plus_ms(-3_600_000), &own)?;
    let foreign = issue(&AccessTokens::new(KeyRing::of(&SigningKey::generate()?)?, issuer, 3_600), now, &own)?;
    let elsewhere = issue(&AccessTokens::new(real_keys, "https://elsewhere.example".into(), 3_600), now, &own)?;
    let another = site.client_ca.client("Birch Homes", "another-back-end")?;
    let anothers = issue(&real, now, &thumbprint(&another)?)?;
    let unsigned = without_signature(&good)?;
    let refused = [
        ("expired", expired.as_str()),
        ("signed by another key", &foreign),
        ("of another issuer", &elsewhere),
        ("of another certificate", &anothers),
        ("not signed", &unsigned),
        ("no token at all", "nonsense"),
    ];
    for (what, token) in refused {
        let reply =
            client.with_token(token).post(&format!("/v1/sites/{SITE}/plates"), &json!({ "plate": PLATE })).await?;
        assert_problem(&reply, what, 401, "token-invalid", token);
    }
    // The very token of the customer, on a connection with another certificate of the same CA, and on the operator's.
    for thief in [&another, &site.operator] {
        let thief = BackEnd::new(&site.api, &site.cloud_ca, Some(thief))?.with_token(&good);
        let reply = thief.post(&format!("/v1/sites/{SITE}/plates"), &json!({ "plate": PLATE })).await?;
        assert_problem(&reply, "a stolen token", 401, "token-invalid", &good);
    }
    let reply = client.post(&format!("/v1/access-points/{BARRIER}/open"), &json!({})).await?;
    assert_problem(&reply, "no token", 401, "token-missing", "");
    assert!(rows(&site.dir)?.iter().all(|(_, rows)| *rows == 0), "something was done: {:?}", rows(&site.dir)?);
    client.with_token(&good).get("/v1/sites").await?.expect(200)?;
    site.stop().await
}

/// `x5t#S256` of RFC 8705 §3.1.
fn thumbprint(files: &ClientFiles) -> anyhow::Result<String> {
    let certificate = CertificateDer::from_pem_file(&files.certificate)?;
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)))
}

/// The token as it would be if the header were believed that nobody signed it.
fn without_signature(token: &str) -> anyhow::Result<String> {
    let claims = token.split('.').nth(1).context("not a JWT")?;
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"at+jwt"}"#);
    Ok(format!("{header}.{claims}."))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_claim_codes_are_tried_in_vain() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (site, code) = unclaimed(&folder.path().join("site")).await?;

    // No certificate, one of a CA that only has the right name, and one that the client signed itself.
    let impostor = ClientCa::create(&folder.path().join("impostor"), "Cardea demo client CA", site::now())?;
    let forged = impostor.client("Operator", "operator")?;
    for files in [None, Some(&forged)] {
        let stranger = BackEnd::new(&site.api, &site.cloud_ca, files)?;
        for path in ["/healthz", "/openapi.json", "/v1/sites"] {
            let error = stranger.get(path).await.err().with_context(|| format!("{path} was served to a stranger"))?;
            ensure!(error.is::<reqwest::Error>(), "not a failed connection: {error:#}");
        }
        let form = [("grant_type", "client_credentials"), ("client_id", "operator")];
        ensure!(stranger.token(&form).await.is_err(), "a stranger got an answer from the token endpoint");
    }
    site.operator().await?.get("/healthz").await?.expect(204)?;

    // A wrong code says what to do, and leaves nothing behind on the controller.
    let tries = cardea_cloud::config::Enrolment::default().claim_tries;
    let output = site.claim("0000-0000-0000-0000").await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("claim code"), "cardead claim said: {said}");
    ensure!(!said.contains("0000"), "the code is repeated: {said}");
    ensure!(!site.dir.join("controller/identity/controller.pem").exists(), "an identity without a claim");
    for _ in 1..tries {
        assert_eq!(site.enrolment_with("0000-0000-0000-0000").await?, 401);
    }
    // The tries are used up: the right code is void, for a thief and for the installer alike.
    assert_eq!(site.enrolment_with(&code).await?, 401);
    ensure!(!site.claim(&code).await?.status.success(), "a void code was accepted");
    let operator = site.operator().await?;
    let view = operator.get(&format!("/v1/controllers/{CONTROLLER}")).await?.expect(200)?.body;
    assert_eq!(view["status"], "registered", "{view}");

    // The operator makes another; the old one stays void, also beside it.
    let path = format!("/v1/controllers/{CONTROLLER}/claim-codes");
    let another = operator.post(&path, &json!({})).await?.expect(201)?.text("/claim_code")?;
    assert_eq!(site.enrolment_with(&code).await?, 401);
    let output = site.claim(&another).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    site.stop().await
}
