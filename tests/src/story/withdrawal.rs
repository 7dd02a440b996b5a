//! Chapter 7: consent is withdrawn.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::time::Instant;

use super::{RESIDENT_PHOTO, Tale};
use crate::site::SITE;

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    let traces = Traces::of(tale)?;
    ensure!(traces.ciphertexts.len() >= 2, "the template is not stored encrypted at cloud and controller");
    for ciphertext in &traces.ciphertexts {
        let pieces = pieces(ciphertext);
        let (seen, all) = (remaining(tale, &pieces)?, pieces.len());
        // A database page may end within a piece, but not within most of them.
        ensure!(seen * 2 > all, "the search finds {seen} of {all} pieces of what is still there: it proves nothing");
    }
    let count = traces.ciphertexts.len();
    tale.telling.step(
        "before: the stored template is searched for in the raw files",
        format!("found, encrypted, {count} times"),
    );

    let start = Instant::now();
    let path = format!("/v1/sites/{SITE}/consents/{}/withdrawal", tale.consent);
    let ordered = tale.customer.post(&path, &json!({})).await?.expect(202)?;
    tale.telling.timed(
        "the customer withdraws the consent",
        "erased in the cloud, ordered everywhere else",
        ordered.took,
    );
    let view = tale.erased(&ordered.text("/erasure_id")?).await?;
    let took = start.elapsed();
    let receipts = view["receipts"].as_array().map_or(0, Vec::len);
    ensure!(receipts == 1, "{receipts} receipts for one controller");
    tale.telling.timed("the controller's signed receipt arrives", "erasure complete", took);
    tale.telling.latency("withdrawal: API call to the controller's receipt in the cloud", took.as_secs_f64() * 1e3);

    let gone: Vec<&[u8]> = traces.all().flat_map(|trace| pieces(trace)).collect();
    let left = remaining(tale, &gone)?;
    ensure!(left == 0, "{left} pieces of the template or its ciphertext are still in a file of cloud or controller");
    tale.telling
        .step("after: every file of cloud and controller is searched", "neither template nor its ciphertext is found");
    tale.resident = None;
    tale.stranger(RESIDENT_PHOTO, "the former resident walks up").await?;
    Ok(())
}

/// Byte sequences that must be gone.
struct Traces {
    /// What cloud and controller store, read from their databases.
    ciphertexts: Vec<Vec<u8>>,
    /// The template itself.
    plain: Vec<u8>,
}

impl Traces {
    fn of(tale: &Tale) -> anyhow::Result<Self> {
        let plain = tale.resident.as_ref().context("no resident was enrolled")?.to_bytes().to_vec();
        let mut ciphertexts = Vec::new();
        for memory in tale.site.memories() {
            for file in files(&memory)? {
                // The keys have a database of their own, without a template in it.
                let of_keys = file.file_name().is_some_and(|name| name == "subject-keys.db");
                if file.extension().is_some_and(|e| e == "db") && !of_keys {
                    ciphertexts.extend(stored_templates(&file)?);
                }
            }
        }
        Ok(Self { ciphertexts, plain })
    }

    fn all(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.ciphertexts.iter().chain(std::iter::once(&self.plain))
    }
}

/// Bytes of a [`pieces`] part.
const PIECE: usize = 24;

/// Parts of a trace, each long enough to be no accident, apart enough that the ends of database pages spare most. The
/// first bytes of a template name its model, which is no secret, so they are left out.
fn pieces(trace: &[u8]) -> Vec<&[u8]> {
    trace[trace.len().min(64)..].chunks_exact(PIECE).collect()
}

/// The encrypted templates in a database, as they lie there. A copy is read: the controller keeps its own to itself.
fn stored_templates(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let scratch = tempfile::tempdir()?;
    let copy = scratch.path().join("copy.db");
    std::fs::copy(file, &copy)?;
    let log = |path: &Path| std::path::PathBuf::from(format!("{}-wal", path.display()));
    if log(file).exists() {
        std::fs::copy(log(file), log(&copy))?;
    }
    let connection = rusqlite::Connection::open(&copy)?;
    let mut query = connection.prepare("SELECT ciphertext FROM templates")?;
    let rows = query.query_map([], |row| row.get(0))?;
    rows.collect::<Result<_, _>>().with_context(|| format!("reading {}", file.display()))
}

/// How many of the pieces stand in some file of cloud or controller: database, log, key or otherwise.
fn remaining(tale: &Tale, pieces: &[&[u8]]) -> anyhow::Result<usize> {
    let wanted: HashSet<&[u8]> = pieces.iter().copied().collect();
    let mut seen: HashSet<&[u8]> = HashSet::new();
    for memory in tale.site.memories() {
        for file in files(&memory)? {
            // A file may go while it is looked at, such as a journal.
            let Ok(bytes) = std::fs::read(&file) else { continue };
            seen.extend(bytes.windows(PIECE).filter_map(|window| wanted.get(window).copied()));
        }
    }
    Ok(seen.len())
}

fn files(dir: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}
