//! What must hold after every step.

use anyhow::Result;

use super::controller::Machine;
use super::coverage::Fault;
use super::house::STALE_S;
use super::people::What;
use super::world::World;

/// Evidence may be a little old, and a statement is signed a little before it counts.
const SLACK_MS: u64 = 4_000;

/// What a gate made of a credential.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) granted: bool,
    /// Refused for want of a word of the cloud.
    pub(super) stale: bool,
}

impl World<'_> {
    /// Shows a credential at a gate, and judges what the gate makes of it.
    pub(super) async fn present(&mut self, number: usize, what: What) -> Result<Verdict> {
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
        let stale = !granted && reasons.iter().any(|reason| reason.ends_with("-stale"));
        let now = self.time.ms();
        if granted {
            self.coverage.hit(Fault::Admitted);
            if self.has_ended(number) {
                self.coverage.hit(Fault::AdmittedExpired);
            }
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
            if stale {
                self.coverage.hit(Fault::RefusedStale);
            }
        }
        Ok(Verdict { granted, stale })
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
}

pub(super) fn cursor(gate: &Machine) -> Result<i64> {
    gate.disk.read(|connection| {
        let there = connection.prepare_cached("SELECT 1 FROM sqlite_master WHERE name = 'standing'")?.exists([])?;
        if !there {
            return Ok(0);
        }
        Ok(connection.prepare_cached("SELECT cursor FROM standing")?.query_row([], |row| row.get(0))?)
    })
}
