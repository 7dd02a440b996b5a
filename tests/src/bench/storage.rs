//! The cloud's storage: writers who come together, beside rows that are each made to last alone.
//!
//! An operation is an entry in the audit, the smallest there is: what it takes is the wait for the disk. So it is said which
//! file system that is, and how long it takes to write a page there and have it last.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardea_cloud::keys::Vault;
use cardea_cloud::storage::audit::NewAction;
use cardea_cloud::storage::{KeyStoreSettings, PostgresSettings, Storage, StorageError};
use cardea_protocol::Timestamp;
use tokio::time::Instant;

use super::{Summary, median, percentile};

/// Writers at once, each waiting for its answer before it asks again.
const WRITERS: usize = 128;
/// Pages written one after the other.
const PAGES: usize = 300;
/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(4);

/// Measures on a fresh file in `scratch`, and on a PostgreSQL database where one is given.
pub async fn run(scratch: &Path, postgresql: Option<&str>, summary: &mut Summary) -> anyhow::Result<()> {
    std::fs::create_dir_all(scratch)?;
    let folder = tempfile::tempdir_in(scratch)?;
    let vault = Arc::new(Vault::open_or_create(&folder.path().join("vault.key"))?);
    let page = format!("storage: a page of 4 KiB written and synchronised, on {}", file_system(folder.path())?);
    summary.alone(&page, median(pages(folder.path())?), "ms");
    let keys = KeyStoreSettings { file: None, vault, at: Timestamp(0) };
    measure("SQLite", &Storage::open(&folder.path().join("cloud.db"), keys.clone())?, summary).await?;
    if let Some(url) = postgresql {
        measure("PostgreSQL", &Storage::connect(PostgresSettings::new(url, None, &[])?, keys)?, summary).await?;
    }
    Ok(())
}

/// The file system of a folder, as `/proc/self/mountinfo` names it (proc(5)).
fn file_system(folder: &Path) -> anyhow::Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        Some((Path::new(place.split(' ').nth(4)?).to_owned(), kind.split(' ').next()?.to_owned()))
    };
    let around = mounts.lines().filter_map(mount).filter(|(place, _)| folder.starts_with(place));
    let nearest = around.max_by_key(|(place, _)| place.components().count());
    nearest.map(|(_, kind)| kind).context("the folder is on no file system")
}

/// How long each page took, in milliseconds.
fn pages(folder: &Path) -> anyhow::Result<Vec<f64>> {
    let mut file = std::fs::File::create(folder.join("pages"))?;
    let mut times = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

async fn measure(name: &str, storage: &Storage, summary: &mut Summary) -> anyhow::Result<()> {
    let mut alone = write(storage, 1).await?;
    let mut together = write(storage, WRITERS).await?;
    let rate = |waits: &[f64]| waits.len() as f64 / TIME.as_secs_f64();
    let (peer, ours) = (rate(&alone), rate(&together));
    summary.beside(&format!("storage, {name}: {WRITERS} writers at once"), ours, "/s", "one row a transaction", peer);
    let (peer, ours) = (percentile(&mut alone, 0.99), percentile(&mut together, 0.99));
    summary.beside(&format!("storage, {name}: wait of 99 in 100 of them"), ours, "ms", "one row a transaction", peer);
    Ok(())
}

/// How long each write had to wait, in milliseconds.
async fn write(storage: &Storage, writers: usize) -> anyhow::Result<Vec<f64>> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while begun.elapsed() < TIME {
                    let asked = Instant::now();
                    let action =
                        NewAction { customer: None, site: None, principal_id: None, action: "bench", target: None };
                    storage.audit_begin(action, Timestamp(0)).await?;
                    waits.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<_, StorageError>(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    Ok(waits)
}
