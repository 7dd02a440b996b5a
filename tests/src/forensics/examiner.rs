//! What an examiner with all the keys reads from the stores of cloud and controller: every template as it rests, the keys it
//! rests under, and what it says in clear.
//!
//! The formats are written here once more, from `docs/design/0021-keys-and-backups.md` and the schemas, and not taken from the
//! programs: a program that hides something from itself hides it from nobody here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use aws_lc_rs::hmac;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use rusqlite::Connection;

const NONCE: usize = 12;

/// One subject's secrets at one side.
#[derive(Default)]
pub struct Secrets {
    /// The key as it rests: nonce and ciphertext.
    pub wrapped_key: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
    /// Each template by its id, as it rests and in clear.
    pub templates: BTreeMap<String, (Vec<u8>, Vec<u8>)>,
}

impl Secrets {
    /// Each of them with a name: what it is, and whose.
    pub fn named(&self, side: &str, subject: &str) -> Vec<(String, &[u8])> {
        let mut all = vec![
            (format!("wrapped key ({side}) of {subject}"), self.wrapped_key.as_slice()),
            (format!("key ({side}) of {subject}"), self.key.as_slice()),
        ];
        for (sealed, clear) in self.templates.values() {
            all.push((format!("ciphertext ({side}) of {subject}"), sealed.as_slice()));
            all.push((format!("template of {subject}"), values(clear)));
        }
        all
    }
}

/// A template without its head, which names the model and is no secret (`cardea_models::Template::to_bytes`).
fn values(template: &[u8]) -> &[u8] {
    let head = template.get(4).map_or(0, |model| 7 + usize::from(*model));
    template.get(head..).unwrap_or_default()
}

/// The secrets of everybody the cloud holds a template of, from the folder of its data.
pub fn of_cloud(data: &Path, site: &str) -> anyhow::Result<BTreeMap<String, Secrets>> {
    let wrapping = cloud_key(data)?;
    let keys = Copy::of(&data.join("subject-keys.db"))?;
    let mut all = BTreeMap::new();
    for (subject, wrapped_key) in keys.rows("SELECT subject, wrapped_key FROM subject_keys")? {
        let key = open(&wrapping, format!("{site}/{subject}").as_bytes(), &wrapped_key).context("a subject's key")?;
        all.insert(subject, Secrets { wrapped_key, key, ..Secrets::default() });
    }
    templates(&Copy::of(&data.join("cloud.db"))?, &mut all)?;
    Ok(all)
}

/// The secrets of everybody the controller holds a template of, from its state folder.
pub fn of_controller(state: &Path) -> anyhow::Result<BTreeMap<String, Secrets>> {
    let device = std::fs::read(state.join("device.key"))?;
    let store = Copy::of(&state.join("cardea.db"))?;
    let mut all = BTreeMap::new();
    for (subject, wrapped_key) in store.rows("SELECT subject, wrapped_key FROM subject_keys")? {
        let key = open(&device, subject.as_bytes(), &wrapped_key).context("a subject's key")?;
        all.insert(subject, Secrets { wrapped_key, key, ..Secrets::default() });
    }
    templates(&store, &mut all)?;
    Ok(all)
}

/// How many of the templates in a backup open with any key that the key store of `data` holds, and how many there are.
pub fn opened_by(data: &Path, backup: &Path, site: &str) -> anyhow::Result<(usize, usize)> {
    let wrapping = cloud_key(data)?;
    let keys = Copy::of(&data.join("subject-keys.db"))?.rows("SELECT subject, wrapped_key FROM subject_keys")?;
    let keys = keys
        .iter()
        .map(|(subject, wrapped)| open(&wrapping, format!("{site}/{subject}").as_bytes(), wrapped))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let templates = Copy::of(backup)?.rows("SELECT template_id, ciphertext FROM templates")?;
    let opens = |(id, sealed): &&(String, Vec<u8>)| keys.iter().any(|key| open(key, id.as_bytes(), sealed).is_ok());
    Ok((templates.iter().filter(opens).count(), templates.len()))
}

/// The key that wraps subjects' keys: one block of HKDF-Expand of the key file, under a label (`cardea_cloud::keys`).
fn cloud_key(data: &Path) -> anyhow::Result<Vec<u8>> {
    const PURPOSE: &[u8] = b"subject-key wrap";
    let master = std::fs::read(data.join("keys/vault.key"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &master);
    let label = [(PURPOSE.len() as u64).to_be_bytes().as_slice(), PURPOSE].concat();
    Ok(hmac::sign(&key, &label).as_ref().to_vec())
}

fn templates(store: &Copy, all: &mut BTreeMap<String, Secrets>) -> anyhow::Result<()> {
    let whose: BTreeMap<String, String> = store
        .rows("SELECT template_id, CAST(subject AS BLOB) FROM templates")?
        .into_iter()
        .map(|(id, subject)| Ok((id, String::from_utf8(subject)?)))
        .collect::<anyhow::Result<_>>()?;
    for (id, sealed) in store.rows("SELECT template_id, ciphertext FROM templates")? {
        let secrets = whose.get(&id).and_then(|subject| all.get_mut(subject)).context("a template without its key")?;
        let clear = open(&secrets.key, id.as_bytes(), &sealed)?;
        ensure!(clear.starts_with(b"CFT1"), "what opens is no template");
        secrets.templates.insert(id, (sealed, clear));
    }
    Ok(())
}

fn open(key: &[u8], associated: &[u8], sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let cipher = ChaCha20Poly1305::new_from_slice(key).map_err(|_| anyhow!("the key is not 32 bytes"))?;
    let (nonce, msg) = sealed.split_at_checked(NONCE).context("too short for a ciphertext")?;
    let payload = Payload { msg, aad: associated };
    cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| anyhow!("a ciphertext does not open"))
}

/// A copy of a database with its log: the programs keep theirs to themselves.
struct Copy {
    connection: Connection,
    _folder: tempfile::TempDir,
}

impl Copy {
    fn of(file: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let copy = folder.path().join("copy.db");
        let log = |path: &Path| std::path::PathBuf::from(format!("{}-wal", path.display()));
        std::fs::copy(file, &copy).with_context(|| format!("copying {}", file.display()))?;
        if log(file).exists() {
            std::fs::copy(log(file), log(&copy))?;
        }
        Ok(Self { connection: Connection::open(&copy)?, _folder: folder })
    }

    fn rows(&self, sql: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut query = self.connection.prepare(sql)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
