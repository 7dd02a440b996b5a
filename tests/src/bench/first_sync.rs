//! The first sync of a controller: ten thousand templates that the cloud holds, until all of them are on the controller's disk.
//!
//! Each is decrypted, sealed to the controller, signed for and sent by the cloud, and opened, encrypted under its subject's own key
//! and stored by the controller. It is held against SQLite, which stores rows of that length in one transaction and does nothing else.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cardea_cloud::fingerprint;
use cardea_cloud::keys::{SubjectKey, Vault};
use cardea_cloud::storage::consents::NewConsent;
use cardea_cloud::storage::sites::Scope;
use cardea_cloud::storage::templates::NewTemplate;
use cardea_cloud::storage::{KeyStoreSettings, Storage};
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::digest::template_hash;
use cardea_protocol::id::{ConsentId, SiteId, SubjectToken, TemplateId};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rusqlite::{Connection, params};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Summary;
use crate::fleet::Claimed;
use crate::look::Onlooker;
use crate::site::{self, SITE, Site, Tempo};
use crate::story::telling::line;
use crate::story::{PASSWORD, consent_text};

const SUBJECTS: usize = 2_000;
/// As many as one may have.
const OF_EACH: usize = 5;
/// Bytes of a template of 256 numbers.
const TEMPLATE: usize = 1_060;
/// Enrolments under way at once.
const AT_ONCE: usize = 64;

/// Measures in `dir`, which must not exist.
pub async fn run(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let mut site = Site::start(dir, Tempo::REAL, site::now()).await?;
    site.register(PASSWORD).await?;
    site.customer().await?.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
    site.cloud().stop().await?;
    let embedder = Onlooker::load()?.faces.embedder().model().to_owned();
    enrol(&site, &embedder).await?;
    line(format_args!("   {} templates are in the cloud", SUBJECTS * OF_EACH));
    site.restart_cloud().await?;
    let operator = site.operator().await?;
    let sites = operator.get("/v1/sites").await?.expect(200)?.body;
    let revision = sites["sites"][0]["revision"].as_u64().context("the site tells no revision")?;
    let claimed = Claimed::new(&site, &operator, &site.dir.join("fleet"), 1).await?;
    let begun = Instant::now();
    let (mut fleet, _) = claimed.connect(&embedder).await?;
    fleet.at(revision).await?;
    let took = begun.elapsed().as_secs_f64();
    drop(fleet);
    let templates = (SUBJECTS * OF_EACH) as f64;
    let bulk = bulk_insert(&site.dir.join("bulk.db"))?;
    let peer = "SQLite, all rows in one transaction";
    summary.beside("first sync, 10,000 templates: start to disk", templates / took, "/s", peer, templates / bulk);
    site.stop().await
}

/// What thousands of photographs would leave in the cloud.
async fn enrol(site: &Site, embedder: &str) -> anyhow::Result<()> {
    let [data, _] = site.memories();
    let vault = Arc::new(Vault::open_or_create(&data.join("keys/vault.key"))?);
    let at = SystemClock.now();
    let keys = KeyStoreSettings { file: Some(data.join("subject-keys.db")), vault: vault.clone(), at };
    let storage = Storage::open(&data.join("cloud.db"), keys)?;
    let mut rng = StdRng::seed_from_u64(1);
    let mut enrolling: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for number in 0..SUBJECTS {
        if enrolling.len() >= AT_ONCE
            && let Some(enrolled) = enrolling.join_next().await
        {
            enrolled??;
        }
        let mut plaintexts = vec![[0_u8; TEMPLATE]; OF_EACH];
        for plaintext in &mut plaintexts {
            rng.fill(plaintext.as_mut_slice());
        }
        let (storage, vault, embedder) = (storage.clone(), vault.clone(), embedder.to_owned());
        enrolling.spawn(async move {
            let (site, subject) =
                (SiteId::new(SITE)?, SubjectToken::new(&format!("5f0c2f0e-8a1b-4c5e-9d1e-{number:012x}"))?);
            let new = NewConsent {
                consent_id: ConsentId::random(),
                site: site.clone(),
                subject: subject.clone(),
                document_version: "2026-03".to_owned(),
                given_at: at,
                evidence_sha256: "ab".repeat(32),
                fingerprint: fingerprint::subject(&vault, &subject),
                lifts_sale: None,
            };
            let consent = new.consent_id.clone();
            storage.record_consent(&Scope::Operator, new, at).await?;
            for plaintext in plaintexts {
                let template_id = TemplateId::random();
                let (vault, site_of, subject_of, id) =
                    (vault.clone(), site.clone(), subject.clone(), template_id.clone());
                let new = NewTemplate {
                    template_id,
                    site: site.clone(),
                    subject: subject.clone(),
                    consent: consent.clone(),
                    model: embedder.clone(),
                    content_hash: template_hash(&plaintext),
                    encrypt: move |wrapped: Option<Vec<u8>>| {
                        let key = match &wrapped {
                            Some(wrapped) => vault.unwrap(&site_of, &subject_of, wrapped)?,
                            None => SubjectKey::generate()?,
                        };
                        let wrapped = wrapped.map_or_else(|| vault.wrap(&site_of, &subject_of, &key), Ok)?;
                        Ok((wrapped, key.encrypt(&id, &plaintext)?))
                    },
                };
                storage.add_template(&Scope::Operator, new, at).await?;
            }
            Ok(())
        });
    }
    while let Some(enrolled) = enrolling.join_next().await {
        enrolled??;
    }
    Ok(())
}

/// Seconds for as many rows of that length, with the settings of the controller's database.
fn bulk_insert(file: &Path) -> anyhow::Result<f64> {
    let mut database = Connection::open(file)?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
         CREATE TABLE templates (template_id TEXT PRIMARY KEY, subject TEXT NOT NULL, ciphertext BLOB NOT NULL) STRICT, WITHOUT ROWID;
         CREATE INDEX templates_subject ON templates (subject);",
    )?;
    let mut rng = StdRng::seed_from_u64(2);
    let mut row = [0_u8; TEMPLATE + 28];
    let begun = Instant::now();
    let insert = database.transaction()?;
    for number in 0..SUBJECTS * OF_EACH {
        rng.fill(row.as_mut_slice());
        let (id, subject) =
            (TemplateId::random().to_string(), format!("5f0c2f0e-8a1b-4c5e-9d1e-{:012x}", number / OF_EACH));
        insert.prepare_cached("INSERT INTO templates VALUES (?1, ?2, ?3)")?.execute(params![
            id,
            subject,
            row.as_slice(),
            &row[..32]
        ])?;
    }
    insert.commit()?;
    Ok(begun.elapsed().as_secs_f64())
}
