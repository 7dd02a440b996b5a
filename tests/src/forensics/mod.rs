//! Erasure, examined: the real programs enrol and erase many residents, are killed with `kill -9` in between, and then every
//! file of both sides and the memory of both programs is searched for what must be gone.
//!
//! | module | what it does |
//! |---|---|
//! | [`residents`] | enrols and erases through the API, and kills either side amid that |
//! | [`examiner`] | reads what cloud and controller hold of everybody, with all the keys, before it is erased |
//! | [`search`] | looks for pieces of that in files and in memory |
//!
//! **What is looked for.** Of each erased resident: each template in clear, its ciphertext at the cloud and at the controller,
//! the key of either side in clear and wrapped. And the password and every token that was used.
//!
//! **Where.** In every file that the programs have written: databases with their logs and indices, the key store with its
//! journal, keys, the programs' own logs, temporary files, an incident export. A backup from before an erasure holds
//! ciphertexts by nature: of it is asked that it holds no key, that no key which is left opens it, and that it can be restored
//! without bringing anybody back.
//!
//! **A search that finds nothing proves nothing,** so each is first shown what is still there, and at the end something planted.
//!
//! In memory, what is in clear must be gone. Of what is encrypted, pieces stay, perhaps in buffers that
//! SQLite has given up; they are counted. Which buffers those are was not examined.
//! Out of reach are blocks that the file system has given up, and swap.

pub mod examiner;
pub mod residents;
pub mod search;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::rfc3339;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::process::Command;

use crate::site::process::programs;
use crate::site::{self, SITE, Site, Tempo};
use crate::story::telling::line;
use crate::story::{PASSWORD, consent_text};
use examiner::Secrets;
use residents::{Resident, Residents};
use search::Needles;

/// Residents who are enrolled and erased together.
const ROUND: usize = 25;
/// Enrolments for each that a program is killed in, on average.
const ENROLMENTS_PER_KILL: u32 = 10;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// What was done.
#[derive(Debug, Default)]
pub struct Findings {
    /// Residents enrolled and erased.
    pub erased: usize,
    /// Times a program was killed.
    pub kills: usize,
    /// Pieces that were looked for in files.
    pub pieces: usize,
    /// Bytes of files that they were looked for in at the end.
    pub file_bytes: u64,
    /// Bytes of memory looked through, of cloud and controller together; none where the system does not let it be read.
    pub memory_bytes: u64,
    /// Pieces of ciphertexts and of wrapped keys that were left in the memory of each program.
    pub noise: Vec<(&'static str, BTreeMap<String, usize>)>,
    /// Templates in the backup from before the erasures that no key opens any more.
    pub locked: usize,
}

/// Enrols and erases `count` residents in `dir`, which must not exist. An error says what was found that must be gone.
pub async fn examine(dir: &Path, count: usize, seed: u64) -> anyhow::Result<Findings> {
    let (site, customer, operator) = Site::start_claimed(&dir.join("site"), Tempo::DEMO, site::now(), PASSWORD).await?;
    customer.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
    let residents = Residents::new(site, customer, operator, StdRng::seed_from_u64(seed))?;
    let backups = dir.join("backups");
    std::fs::create_dir(&backups)?;
    let mut examination = Examination {
        residents,
        backups,
        gone: Needles::default(),
        keys: Needles::default(),
        findings: Findings::default(),
    };
    if let Err(error) = examination.all(count).await {
        return Err(error.context(examination.residents.tails()));
    }
    let Examination { residents, mut findings, .. } = examination;
    findings.kills = residents.kills;
    residents.site.stop().await?;
    Ok(findings)
}

struct Examination {
    residents: Residents,
    /// Where backups are put: apart, since they hold ciphertexts.
    backups: PathBuf,
    /// Everything that must be in no file.
    gone: Needles,
    /// Of that, what may not be in a backup either.
    keys: Needles,
    findings: Findings,
}

impl Examination {
    async fn all(&mut self, count: usize) -> anyhow::Result<()> {
        // Who stays: what does not go must be found to the end.
        let staying = self.residents.enrol(None).await?;
        // Two rounds at least: of the last, the backup from before knows nothing.
        let size = count.div_ceil(2).min(ROUND);
        let mut left = count;
        while left > 0 {
            let round = left.min(size);
            left -= round;
            // In the last round nobody is killed, so that the memory that is examined has held the templates.
            self.round(round, left > 0, &staying).await?;
            line(format_args!("   {} erased, {} kills", self.findings.erased, self.residents.kills));
        }
        for (name, secret) in self.residents.logins().await? {
            self.gone.add(name, secret.as_bytes());
        }
        self.export().await?;
        self.back_up("after.db").await?;
        self.files()?;
        self.planted()?;
        self.locked()?;
        self.restored(&staying).await
    }

    /// Enrols some, reads what is held of them, erases them, and looks for it.
    async fn round(&mut self, count: usize, kills: bool, staying: &Resident) -> anyhow::Result<()> {
        let mut enrolled = Vec::with_capacity(count);
        for _ in 0..count {
            let kill = if kills { self.residents.whim(ENROLMENTS_PER_KILL) } else { None };
            enrolled.push(self.residents.enrol(kill).await?);
        }
        self.residents.in_sync().await?;
        if self.findings.erased == 0 {
            self.back_up("before.db").await?;
        }
        let round = self.secrets_of(&enrolled)?;
        let found = round.in_files(self.site())?;
        for what in ["ciphertext (cloud)", "ciphertext (controller)", "wrapped key (cloud)", "wrapped key (controller)"]
        {
            let seen = found.of(what);
            ensure!(seen >= count, "of {count} residents the search finds {seen} pieces of {what}: it proves nothing");
        }
        for what in ["key", "template"] {
            ensure!(found.of(&format!("{what} ")) == 0, "a {what} lies in a file in clear");
        }
        if !kills {
            self.memory(&round, true)?;
        }
        self.residents.erase(&enrolled, kills).await?;
        self.findings.erased += enrolled.len();
        round.in_files(self.site())?.nothing()?;
        if !kills {
            self.memory(&round, false)?;
        }
        self.holds(staying)
    }

    /// What both sides hold of these, which each of them must.
    fn secrets_of(&mut self, enrolled: &[Resident]) -> anyhow::Result<Needles> {
        let mut round = Needles::default();
        for (side, all) in self.stores()? {
            for Resident { subject, .. } in enrolled {
                let secrets = all.get(subject).filter(|secrets| !secrets.templates.is_empty());
                let secrets = secrets.with_context(|| format!("the {side} holds no template of {subject}"))?;
                for (name, bytes) in secrets.named(side, subject) {
                    round.add(&name, bytes);
                    self.gone.add(&name, bytes);
                    if !name.starts_with("ciphertext") {
                        self.keys.add(&name, bytes);
                    }
                }
            }
        }
        Ok(round)
    }

    fn stores(&self) -> anyhow::Result<[(&'static str, BTreeMap<String, Secrets>); 2]> {
        let [cloud, controller] = self.residents.site.memories();
        let controller = examiner::of_controller(&controller)?;
        Ok([("cloud", examiner::of_cloud(&cloud, SITE)?), ("controller", controller)])
    }

    fn holds(&self, resident: &Resident) -> anyhow::Result<()> {
        for (side, all) in self.stores()? {
            let held = all.get(&resident.subject).is_some_and(|secrets| !secrets.templates.is_empty());
            ensure!(held, "the {side} does not hold who was not erased");
        }
        Ok(())
    }

    /// The memory of both programs: before the erasure, the controller's must hold every template, since it compares with them.
    fn memory(&mut self, round: &Needles, before: bool) -> anyhow::Result<()> {
        for (side, pid) in self.residents.pids()? {
            let Some(found) = round.in_memory(pid)? else {
                line(format_args!("   the memory of {side} cannot be read here: it is not examined"));
                continue;
            };
            self.findings.memory_bytes += found.searched;
            if before && side == "cardead" {
                ensure!(
                    found.of("template") > 0,
                    "no template is found in the memory that holds them: it proves nothing"
                );
            }
            if !before {
                for what in ["key", "template"] {
                    ensure!(
                        found.of(&format!("{what} ")) == 0,
                        "{side} still has a {what} in memory, in clear: {:?}",
                        found.kinds()
                    );
                }
                self.findings.noise.push((side, found.kinds()));
            }
        }
        Ok(())
    }

    fn site(&self) -> &Path {
        &self.residents.site.dir
    }

    async fn export(&self) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let period =
            json!({ "from": rfc3339::format(now.plus_ms(-DAY_MS)), "to": rfc3339::format(now.plus_ms(DAY_MS)) });
        let path = format!("/v1/sites/{SITE}/incident-exports");
        let bundle = self.residents.customer.post(&path, &period).await?.expect(200)?;
        Ok(std::fs::write(self.site().join("incident.jsonl"), bundle.bytes)?)
    }

    async fn back_up(&self, name: &str) -> anyhow::Result<()> {
        self.on_data("backup", &self.backups.join(name)).await
    }

    /// Runs a command of `cardea-cloud` that takes a file.
    async fn on_data(&self, command: &str, file: &Path) -> anyhow::Result<()> {
        let mut program = Command::new(programs()?.join("cardea-cloud"));
        program.arg(command).arg("--config").arg(self.residents.site.cloud_config()).arg(file);
        let output = program.output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cardea-cloud {command} failed: {said}");
        Ok(())
    }

    /// Every file, and the backup from after the erasures.
    fn files(&mut self) -> anyhow::Result<()> {
        let found = self.gone.in_files(self.site())?;
        found.nothing()?;
        (self.findings.pieces, self.findings.file_bytes) = (self.gone.len(), found.searched);
        let backup = self.gone.in_files(&self.backups)?;
        let after = backup.places().filter(|place| place.starts_with("after")).count();
        ensure!(after == 0, "a backup from after the erasures holds what was erased");
        Ok(())
    }

    /// Two pieces of something erased, where no program would put it.
    fn planted(&self) -> anyhow::Result<()> {
        let folder = self.site().join("cloud").join("planted");
        std::fs::create_dir(&folder)?;
        let remnant = self.gone.some().context("nothing was looked for")?;
        std::fs::write(folder.join("core"), [&[7; 4_099][..], remnant, &[7; 77]].concat())?;
        let found = self.gone.in_files(self.site())?;
        std::fs::remove_dir_all(&folder)?;
        ensure!(found.places().eq(["cloud/planted/core"]), "what was planted is not found: the search proves nothing");
        Ok(())
    }

    /// The backup from before the erasures holds no key, and no key that is left opens it but of who stays.
    fn locked(&mut self) -> anyhow::Result<()> {
        self.keys.in_files(&self.backups)?.nothing()?;
        let ciphertexts = self.gone.in_files(&self.backups)?.of("ciphertext (cloud)");
        ensure!(ciphertexts > 0, "the backup from before the erasures holds nothing: it proves nothing");
        let [cloud, _] = self.residents.site.memories();
        let (opened, all) = examiner::opened_by(&cloud, &self.backups.join("before.db"), SITE)?;
        ensure!(opened == 1, "{opened} templates of the backup open with keys that are left, and one resident is");
        self.findings.locked = all - opened;
        Ok(())
    }

    /// That backup in the place of the data: nobody is back.
    async fn restored(&mut self, staying: &Resident) -> anyhow::Result<()> {
        self.residents.site.cloud().stop().await?;
        self.on_data("restore", &self.backups.join("before.db")).await?;
        self.gone.in_files(self.site())?.nothing()?;
        self.residents.restart_cloud().await?;
        self.holds(staying)?;
        self.gone.in_files(self.site())?.nothing()
    }
}
