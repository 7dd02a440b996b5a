//! How soon a revocation holds: a plate that is taken back at ten controllers, and a consent that is withdrawn at a thousand.
//!
//! A denial cannot come sooner than two commits one after the other, the cloud's and the controller's: that is what it is held
//! against. Receipts are held against Mosquitto, which pushes a message of the same size to a thousand subscribers over mutual
//! TLS and does nothing else: no signature, no commit, no answer. All of it shares this machine's cores and its disk.

use std::path::Path;

use cardea_cloud::keys::SigningKey;
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::envelope::Sender;
use cardea_protocol::id::{ControllerId, ErasureId, Revision, SessionId, SubjectToken};
use cardea_protocol::jws::Use;
use cardea_protocol::message::{Change, Down};
use rusqlite::Connection;
use tokio::time::Instant;

use super::{Summary, median, mosquitto, percentile};
use crate::fleet::trial::{self, Extent};
use crate::story::telling::line;

/// Commits that a denial is held against.
const COMMITS: usize = 400;
const FEW: u16 = 10;
const MANY: u16 = 1_000;

/// Measures in `dir`, which must not exist.
pub async fn run(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    few(dir, summary).await?;
    many(dir, summary).await
}

async fn few(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let mut commits = two_commits(&dir.join("commits-before.db"))?;
    let extent = Extent { controllers: FEW, plates: 300, withdrawals: 0, state: None };
    let report = trial::run(&dir.join("ten"), &extent).await?;
    commits.extend(two_commits(&dir.join("commits-after.db"))?);
    let peer = "two commits, one after the other";
    let p99 = percentile(&mut commits, 0.99);
    let p50 = median(commits);
    let name = format!("denial, {FEW} controllers: API call to disk");
    summary.beside(&name, report.denial.p50, "ms", peer, p50);
    summary.beside(&format!("{name}, 99 in 100"), report.denial.p99, "ms", peer, p99);
    summary.beside(&format!("{name} of the last, 99 in 100"), report.last_denial.p99, "ms", peer, p99);
    Ok(())
}

async fn many(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let pushes = mosquitto::push(&dir.join("mosquitto"), usize::from(MANY), order_bytes()?, 20).await?;
    line(format_args!("   Mosquitto has pushed"));
    let extent = Extent { controllers: MANY, plates: 10, withdrawals: 5, state: None };
    let report = trial::run(&dir.join("thousand"), &extent).await?;
    let (mut each, mut last) = pushes;
    let p99 = percentile(&mut each, 0.99);
    let peer = "Mosquitto pushes, 99 in 100 subscribers";
    let name = format!("withdrawal, {MANY} controllers: API call to receipt");
    summary.beside(&format!("{name}, 99 in 100"), report.receipt.p99, "ms", peer, p99);
    let peer = "Mosquitto pushes to the last";
    summary.beside(
        &format!("{name}, the last, median"),
        report.last_receipt.p50,
        "ms",
        peer,
        percentile(&mut last, 0.5),
    );
    summary.alone(&format!("denial, {MANY} controllers: API call to disk, 99 in 100"), report.denial.p99, "ms");
    summary.alone(&format!("connect storm, {MANY} controllers: the last in session"), report.storm.most, "ms");
    summary.alone("memory: cloud, for each controller in session", report.controller_kib, "KiB");
    Ok(())
}

/// How long the message is that has a controller erase somebody.
fn order_bytes() -> anyhow::Result<usize> {
    let erased = Change::SubjectErased {
        erasure: ErasureId::random(),
        subject: SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-000000000001")?,
    };
    let digest = Some(cardea_protocol::digest::Digest::from_bytes([7; 32]));
    let message = Down::Changes { from: Revision(1_000), to: Revision(1_001), changes: vec![erased], digest };
    let signer = SigningKey::generate()?.signer()?;
    let mut sender = Sender::new(signer, Use::Down, ControllerId::new("fleet-0001")?, SessionId::random());
    Ok(sender.seal(SystemClock.now(), message)?.len())
}

/// How long each took, milliseconds, by the settings of both programs.
fn two_commits(file: &Path) -> anyhow::Result<Vec<f64>> {
    let open = |ending: &str| -> anyhow::Result<Connection> {
        let connection = Connection::open(file.with_extension(ending))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             CREATE TABLE plates (plate_id TEXT PRIMARY KEY, plate TEXT NOT NULL) STRICT, WITHOUT ROWID;",
        )?;
        Ok(connection)
    };
    let databases = [open("cloud")?, open("controller")?];
    let mut times = Vec::with_capacity(COMMITS);
    for number in 0..COMMITS {
        let begun = Instant::now();
        for database in &databases {
            database.execute("INSERT INTO plates VALUES (?1, 'A123BC77')", [format!("plate-{number}")])?;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
