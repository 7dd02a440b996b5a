//! What must hold once nothing goes wrong any more and all is quiet.

use std::time::Duration;

use anyhow::Result;

use super::coverage::Fault;
use super::house::STALE_S;
use super::invariants::cursor;
use super::people::{OF_EACH, What};
use super::world::World;

/// Everything has come to rest within this, once nothing goes wrong any more.
/// Of renewals that were tried in vain the next comes after an hour.
const QUIET_MS: u64 = 4_500_000;
/// The same card again, and a boom that is on its way, are not judged anew within this.
const AGAIN_MS: u64 = 35_000;
/// A door that a face has opened is shut again within this.
const SHUT_MS: u64 = 5_000;
/// A statement comes to everybody within this.
const STATED_MS: u64 = 45_000;
/// The longest that is waited for a date to pass that a cloud whose clock was ahead has stated.
const LEAD_MS: i64 = 310_000;

impl World<'_> {
    /// Waits until all is quiet, and then looks at everything.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.decommission_revoked().await?;
        let end = self.time.ms() + QUIET_MS;
        while let Some(wanting) = self.wanting()? {
            if self.time.ms() > end {
                self.breaks(format!("(4) not at rest: {wanting}"));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.look()?;
        }
        self.trace.note(format_args!("at rest"));
        self.let_leads_pass().await?;
        tokio::time::sleep(Duration::from_millis(STATED_MS)).await;
        for i in 0..OF_EACH {
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            self.agree(What::Face(i)).await?;
            self.agree(What::Plate(i)).await?;
            tokio::time::sleep(Duration::from_millis(SHUT_MS)).await;
            self.agree(What::Card(i)).await?;
        }
        self.guests_agree().await?;
        self.come_back().await?;
        self.look()?;
        self.leftovers()
    }

    /// Until the cloud's time has passed what a controller was told of it, it takes no statement for a newer one.
    async fn let_leads_pass(&self) -> Result<()> {
        let leads = self.active()?.into_iter().map(|number| self.lead_ms(number));
        if let Some(lead) = leads.max().filter(|lead| (1..=LEAD_MS).contains(lead)) {
            tokio::time::sleep(Duration::from_millis(lead.unsigned_abs())).await;
        }
        Ok(())
    }

    /// How far a gate may hold time to have passed that has not, since the cloud's clock was ahead.
    pub(super) fn lead_ms(&self, number: usize) -> i64 {
        self.witness.lead_ms(&self.ground.controllers[number].id)
    }

    /// Invariant 4: every gate admits what the cloud does, and nothing else.
    async fn agree(&mut self, what: What) -> Result<()> {
        let admitted = self.people.is_admitted(&self.cloud, what)?;
        for number in self.active()? {
            let verdict = self.present(number, what).await?;
            if verdict.granted == admitted {
                continue;
            }
            // With a floor under its clock that leads by more than the limit allows, its word from the cloud is old when it comes.
            let too_far = self.lead_ms(number) + STATED_MS as i64 > STALE_S as i64 * 1_000;
            if admitted && verdict.stale && too_far {
                self.coverage.hit(Fault::FloorTooFarAhead);
                continue;
            }
            // It ended in the meantime, and the next try to renew it is up to an hour away.
            if admitted && verdict.stale && self.has_ended(number) {
                self.coverage.hit(Fault::AwayExpired);
                self.away.insert(number);
                continue;
            }
            let granted = verdict.granted;
            self.breaks(format!("(4) at rest gate-{number} admits {what:?}: {granted}, the cloud: {admitted}"));
        }
        Ok(())
    }

    /// The gates that still count.
    pub(super) fn active(&self) -> Result<Vec<usize>> {
        let mut active = Vec::new();
        for number in 0..self.gates.len() {
            if !self.cloud.is_retired(&self.ground.controllers[number].id)? {
                active.push(number);
            }
        }
        Ok(active)
    }

    /// Whether none of a gate's certificates ends after now.
    pub(super) fn has_ended(&self, number: usize) -> bool {
        let now = self.time.date();
        self.lets_certificates_end() && self.gates[number].certificates().iter().all(|(_, end)| *end <= now)
    }

    /// Who was found to be away with a certificate that has ended comes back by itself.
    async fn come_back(&self) -> Result<()> {
        let end = self.time.ms() + QUIET_MS;
        for number in self.away.clone() {
            while self.has_ended(number) {
                if self.time.ms() > end {
                    self.breaks(format!("(10) gate-{number} does not renew the certificate that has ended"));
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
        Ok(())
    }

    /// Whether a controller has renewed its certificate since the copy that the cloud's data were restored from was made: the
    /// cloud does not know the new one, and the old one is gone.
    pub(super) fn is_locked_out(&self, number: usize) -> Result<bool> {
        if !self.lets_certificates_end() || !self.was_restored {
            return Ok(false);
        }
        let sql = "SELECT 1 FROM controller_certificates WHERE serial = ?1 AND status = 'active'";
        for (serial, _) in self.gates[number].certificates() {
            if self.cloud.has(sql, &serial)? {
                return Ok(false);
            }
        }
        Ok(true)
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
