//! The books: what was said to be done, and what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{bail, ensure};
use cardea_protocol::event::EventKind;
use rusqlite::Connection;

use super::changes::Changes;
use super::controller;
use crate::forensics::examiner::Secrets;

pub use crate::forensics::examiner::{of_cloud, of_controller};

/// The last event of each run that was reported as committed: they are numbered from 1.
#[derive(Default)]
pub struct Ledger(Vec<u64>);

impl Ledger {
    /// A run has ended, and had reported this event last.
    pub fn run(&mut self, last: u64) {
        self.0.push(last);
    }

    /// How many runs have ended.
    pub fn runs(&self) -> usize {
        self.0.len()
    }

    /// How many events were reported as committed.
    pub fn committed(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Holds the cloud's database against it: how many that were reported are there, each once, and how many that were not.
    pub fn arrived(&self, database: &Path) -> anyhow::Result<(u64, u64)> {
        let connection = Connection::open(database)?;
        let mut query = connection.prepare("SELECT kind FROM events")?;
        let mut rows = query.query([])?;
        let mut there: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); self.0.len()];
        while let Some(row) = rows.next()? {
            match serde_json::from_str(&row.get::<_, String>(0)?)? {
                EventKind::Dropped { count } => bail!("{count} events were dropped"),
                EventKind::Alarm { alarm } => {
                    let Some((run, event)) = controller::named(&alarm) else { continue };
                    let first = there.get_mut(run).is_some_and(|run| run.insert(event as u64));
                    ensure!(first, "{alarm} is there twice, or was never pushed");
                }
                _ => {}
            }
        }
        let (mut reported, mut unreported) = (0, 0);
        for (run, (last, there)) in self.0.iter().zip(&there).enumerate() {
            let missing: Vec<u64> = (1..=*last).filter(|event| !there.contains(event)).take(5).collect();
            ensure!(missing.is_empty(), "of run {run}, whose first {last} events were committed, {missing:?} are lost");
            reported += last;
            unreported += there.len() as u64 - last;
        }
        Ok((reported, unreported))
    }
}

/// The controller holds the plates that were admitted, and none that was removed.
pub fn plates(database: &Path, changes: &Changes) -> anyhow::Result<()> {
    let connection = Connection::open(database)?;
    let mut query = connection.prepare("SELECT plate_id FROM plates")?;
    let held: BTreeSet<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    ensure!(changes.plates.is_subset(&held), "of the plates {:?} some are lost: {held:?}", changes.plates);
    ensure!(changes.removed.is_disjoint(&held), "of the plates {:?} some are back: {held:?}", changes.removed);
    Ok(())
}

/// Both sides hold a template of everybody who is enrolled, and of nobody else.
pub fn templates(sides: [(&str, BTreeMap<String, Secrets>); 2], changes: &Changes) -> anyhow::Result<()> {
    for (side, held) in sides {
        let with_template =
            held.iter().filter(|(_, secrets)| !secrets.templates.is_empty()).map(|(subject, _)| subject);
        ensure!(
            with_template.eq(changes.enrolled.keys()),
            "{:?} are enrolled, and the {side} holds {:?}",
            changes.enrolled.keys(),
            held.keys()
        );
        let erased = changes.erasures.keys().find(|subject| held.contains_key(*subject));
        ensure!(erased.is_none(), "the {side} has a key of somebody who was erased: {erased:?}");
    }
    Ok(())
}
