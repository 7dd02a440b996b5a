//! What must hold after every step, and once all is quiet.

use std::time::Duration;

use anyhow::Result;

use super::controller::Machine;
use super::coverage::Fault;
use super::house::STALE_S;
use super::people::{ALL, What};
use super::world::World;

/// Evidence may be a little old, and a statement is signed a little before it counts.
const SLACK_MS: u64 = 4_000;
/// Everything has come to rest within this, once nothing goes wrong any more.
const QUIET_MS: u64 = 1_800_000;

impl World<'_> {
    /// Shows a credential at a gate, and judges what the gate makes of it.
    pub(super) async fn present(&mut self, number: usize, what: What) -> Result<bool> {
        let removed = self.people.removed_at(&self.cloud, &self.witness, what)?;
        let id = self.ground.controllers[number].id.clone();
        let in_force = removed.is_some_and(|revision| self.witness.applied(&id) >= revision);
        let stated = self.witness.stated_ms(&id);
        let stranger = self.people.is_stranger(what);
        let shown = self.people.shown(what);
        let decisions = self.gates[number].present(&shown).await;
        let mine = || decisions.iter().filter(|decision| decision.credential == shown.credential());
        let granted = mine().any(|decision| decision.granted);
        let reasons: Vec<&str> = mine().map(|decision| decision.reason.as_str()).collect();
        self.trace.note(format_args!("{id} is shown {what:?}: {reasons:?}"));
        self.gates[number].granted += mine().filter(|decision| decision.granted).count() as u64;
        let now = self.time.ms();
        if granted {
            self.coverage.hit(Fault::Admitted);
            let stale_ms = stated.map(|at| now - at);
            if stale_ms.is_some_and(|ms| ms > 60_000) {
                self.coverage.hit(Fault::AdmittedOffline);
            }
            if in_force {
                self.breaks(format!("(1) {id} admits {what:?}, which it has told to have removed"));
            }
            if stranger {
                self.breaks(format!("(1) {id} admits {what:?}, which nobody ever registered"));
            }
            if stale_ms.is_none_or(|ms| ms > STALE_S * 1_000 + SLACK_MS) {
                self.breaks(format!("(5) {id} admits {what:?} {stale_ms:?} ms after the last statement"));
            }
        } else {
            self.coverage.hit(Fault::Refused);
            if in_force {
                self.coverage.hit(Fault::RefusedAfterRemoval);
            }
            if reasons.iter().any(|reason| reason.contains("stale")) {
                self.coverage.hit(Fault::RefusedStale);
            }
        }
        Ok(granted)
    }

    /// Invariants 2 and 6 that can be looked for at any time.
    pub(super) fn look(&mut self) -> Result<()> {
        let revision = self.cloud.number("SELECT revision FROM sites WHERE site_id = ?1", self.ground.site.as_str())?;
        let revision = revision.unwrap_or(0);
        if revision < self.cloud.revision {
            self.breaks(format!("(6) the cloud's revision goes back from {} to {revision}", self.cloud.revision));
        }
        self.cloud.revision = revision;
        let mut opened = 0;
        let mut granted = 0;
        for number in 0..self.gates.len() {
            let cursor = cursor(&self.gates[number])?;
            if cursor < self.gates[number].cursor {
                self.breaks(format!("(6) gate-{number}'s cursor goes back to {cursor}"));
            }
            self.gates[number].cursor = cursor;
            opened += self.gates[number].opened();
            granted += self.gates[number].granted;
        }
        let ordered = self.witness.commands() as u64;
        if opened > granted + ordered {
            self.breaks(format!("(2) {opened} openings for {granted} admissions and {ordered} orders"));
        }
        Ok(())
    }

    /// Waits until all is quiet, and then looks at everything.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.decommission_revoked().await?;
        let end = self.time.ms() + QUIET_MS;
        loop {
            let wanting = self.wanting()?;
            let Some(wanting) = wanting else { break };
            if self.time.ms() > end {
                self.breaks(format!("(4) not at rest: {wanting}"));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.look()?;
        }
        self.trace.note(format_args!("at rest"));
        // A statement comes to everybody.
        tokio::time::sleep(Duration::from_secs(45)).await;
        for what in ALL {
            let admitted = self.people.is_admitted(&self.cloud, what)?;
            // The same card again, and a boom that is on its way, are not judged anew.
            tokio::time::sleep(Duration::from_secs(35)).await;
            for number in self.active()? {
                let granted = self.present(number, what).await?;
                // A floor under the clock that was raised by a cloud that was ahead stays ahead: too little is admitted.
                let stale = self.cloud.was_ahead && !granted;
                if granted != admitted && !stale {
                    self.breaks(format!("(4) at rest gate-{number} admits {what:?}: {granted}, the cloud: {admitted}"));
                }
            }
        }
        self.look()?;
        self.leftovers()
    }

    /// The gates that still count.
    fn active(&self) -> Result<Vec<usize>> {
        let mut active = Vec::new();
        for number in 0..self.gates.len() {
            if !self.cloud.is_retired(&self.ground.controllers[number].id)? {
                active.push(number);
            }
        }
        Ok(active)
    }

    /// What keeps the world from being at rest.
    fn wanting(&self) -> Result<Option<String>> {
        let revision = self.cloud.number("SELECT revision FROM sites WHERE site_id = ?1", self.ground.site.as_str())?;
        let revision = revision.unwrap_or(0);
        for number in self.active()? {
            let gate = &self.gates[number];
            let (told, in_sync) = self.cloud.standing(&self.ground.controllers[number].id)?;
            if told != revision || !in_sync || cursor(gate)? != revision {
                return Ok(Some(format!("gate-{number} is at {told}, in sync: {in_sync}; the cloud is at {revision}")));
            }
            let waiting: i64 = gate
                .disk
                .read(|connection| Ok(connection.query_row("SELECT count(*) FROM erasures", [], |row| row.get(0))?))?;
            if waiting > 0 {
                return Ok(Some(format!("gate-{number} has {waiting} erasures without a stored receipt")));
            }
        }
        let open = self.cloud.number(
            "SELECT count(*) FROM erasures WHERE completed_at IS NULL AND site_id = ?1",
            self.ground.site.as_str(),
        )?;
        Ok(open.filter(|open| *open > 0).map(|open| format!("{open} erasures are not complete")))
    }

    /// Invariants 4 and 6: what is on the disks in the end.
    fn leftovers(&self) -> Result<()> {
        for number in self.active()? {
            let held: Vec<String> = self.gates[number].disk.read(|connection| {
                let mut rows = connection.prepare("SELECT template_id FROM templates")?;
                let ids = rows.query_map([], |row| row.get(0))?;
                Ok(ids.collect::<Result<_, _>>()?)
            })?;
            if held.iter().any(|template| self.witness.is_erased(template)) {
                self.breaks(format!("(6) gate-{number} holds a template that was erased"));
            }
        }
        Ok(())
    }
}

fn cursor(gate: &Machine) -> Result<i64> {
    gate.disk.read(|connection| {
        let there = connection.prepare_cached("SELECT 1 FROM sqlite_master WHERE name = 'standing'")?.exists([])?;
        if !there {
            return Ok(0);
        }
        Ok(connection.prepare_cached("SELECT cursor FROM standing")?.query_row([], |row| row.get(0))?)
    })
}
