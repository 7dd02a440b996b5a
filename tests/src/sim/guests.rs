//! Guests: passes with a plate, which begin, end, and may be good for one entry. No clock is believed here but the true one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use cardea_access::grammar::{Grammar, Grammars};
use cardea_access::plate::Plate;
use cardea_access::time::Timestamp;
use cardea_cloud::fingerprint;
use cardea_cloud::storage::guest_passes::NewGuestPass;
use cardea_cloud::storage::plates::NewPlate;
use cardea_cloud::storage::sites::Scope;
use cardea_protocol::clock::Clock as _;
use cardea_protocol::id::{GuestPassId, PlateId, Revision, SubjectToken};
use cardea_protocol::message::Validity;
use rand::Rng as _;

use super::cloud::Machine;
use super::controller::Shown;
use super::coverage::Fault;
use super::ground::Ground;
use super::people::OF_EACH;
use super::world::World;

/// Cars that never belong to a resident.
const CARS: [&str; 2] = ["H321TT77", "O654EP99"];
/// A single entry is good for so long, for a boom that came down too soon.
const ENTRY_MS: i64 = 300_000;
/// A decision takes a moment, and so does what it is judged by.
const SLACK_MS: i64 = 3_000;
/// What proves the time was signed a little before it came.
const UNDER_WAY_MS: i64 = 16_000;
/// After a power cut a date counts that is no older than the limit of staleness.
const AFTER_POWER_LOSS_MS: i64 = 124_000;
/// An entry is written down within this.
const WRITTEN_MS: u64 = 2_000;

/// A pass as it was given.
#[derive(Clone, Debug)]
struct Pass {
    pass_id: GuestPassId,
    plate_id: PlateId,
    car: usize,
    from: Timestamp,
    until: Timestamp,
    single: bool,
    /// By gate: when it first let the car in, and how far its clock was ahead.
    entered: BTreeMap<usize, (Timestamp, i64)>,
    /// The revision by which it was taken back.
    removed: Option<Revision>,
}

/// The passes of a world, newest last.
#[derive(Debug, Default)]
pub(super) struct Guests {
    passes: Vec<Pass>,
    /// Which gates have let which cars in.
    let_in: BTreeSet<(usize, usize)>,
}

impl Machine {
    /// Gives a pass for a car, as the API does; `host` answers for it.
    async fn give_pass(&self, ground: &Ground, pass: &Pass, host: Option<&SubjectToken>) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let at = self.clock.now();
        ensure!(pass.until > at, "valid_until must be in the future");
        let plate = Plate::parse(CARS[pass.car], &Grammars::new(Grammar::ALL))?;
        let (from, until) = (pass.from, pass.until);
        let new = NewGuestPass {
            pass_id: pass.pass_id.clone(),
            site: ground.site.clone(),
            subject: host.map(|host| (host.clone(), fingerprint::subject(&ground.vault, host))),
            plate: Some(NewPlate {
                plate_id: pass.plate_id.clone(),
                site: ground.site.clone(),
                fingerprint: fingerprint::plate(&ground.vault, &plate),
                plate,
                subject: None,
                schedule: None,
                single_entry: pass.single,
                validity: Validity { from: Some(from), until: Some(until) },
                subject_fingerprint: None,
                lifts_sale: None,
            }),
            single_entry: pass.single,
            from,
            until,
        };
        Self::within(async { Ok(life.storage.give_pass(&Scope::Operator, new, at).await?) }).await?;
        life.sync.changed(&ground.site);
        Ok(())
    }

    async fn end_pass(&self, ground: &Ground, pass: &GuestPassId) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let at = self.clock.now();
        let ended = async { Ok(life.storage.end_pass(&Scope::Operator, &ground.site, pass, at).await?) };
        Self::within(ended).await?.context("there is no such pass")?;
        life.sync.changed(&ground.site);
        Ok(())
    }
}

impl World<'_> {
    /// A resident gives a pass or takes it back, or a guest comes.
    pub(super) async fn host(&mut self, number: usize) -> Result<()> {
        let car = self.rng.random_range(0..CARS.len());
        match self.rng.random_range(0..6) {
            0 | 1 => self.give(car).await,
            2 => self.take_back(car).await,
            _ => self.arrive(number, car).await.map(drop),
        }
    }

    async fn give(&mut self, car: usize) -> Result<()> {
        let from = self.time.date().plus_ms(self.rng.random_range(-60_000..60_000));
        let single = self.rng.random();
        let lasts_ms = self.rng.random_range(if single { 300_000..1_200_000 } else { 20_000..300_000 });
        let pass = Pass {
            pass_id: GuestPassId::from_random_bytes(self.rng.random()),
            plate_id: PlateId::from_random_bytes(self.rng.random()),
            car,
            from,
            until: from.plus_ms(lasts_ms),
            single,
            entered: BTreeMap::new(),
            removed: None,
        };
        let host = self.rng.random_range(0..2 * OF_EACH);
        let host = self.people.subjects.get(host).filter(|_| host < OF_EACH).map(|host| host.token.clone());
        self.trace.note(format_args!("a pass for car {car}, one entry: {}", pass.single));
        // Where it fails it may have been given all the same.
        self.guests.passes.push(pass.clone());
        self.cloud.give_pass(self.ground, &pass, host.as_ref()).await?;
        self.coverage.hit(Fault::PassGiven);
        Ok(())
    }

    async fn take_back(&mut self, car: usize) -> Result<()> {
        let Some(pass) = self.guests.passes.iter().rev().find(|pass| pass.car == car) else { return Ok(()) };
        let pass = pass.pass_id.clone();
        self.trace.note(format_args!("the pass for car {car} is taken back"));
        self.cloud.end_pass(self.ground, &pass).await?;
        self.coverage.hit(Fault::PassTakenBack);
        Ok(())
    }

    /// Looks at the cloud's disk for passes that were taken back, alone or with a flat.
    fn note_taken_back(&mut self) -> Result<()> {
        for pass in &mut self.guests.passes {
            let plate = pass.plate_id.as_str();
            if self.cloud.has("SELECT 1 FROM plates WHERE plate_id = ?1", plate)? {
                pass.removed = None;
                continue;
            }
            let by_itself = "SELECT max(revision) FROM changes WHERE ref_id = ?1 AND kind = 'plate-removed'";
            let by_sale =
                "SELECT max(s.revision) FROM sales s JOIN sale_plates p USING (sale_id) WHERE p.plate_id = ?1";
            let newest = self.cloud.number(by_itself, plate)?.max(self.cloud.number(by_sale, plate)?);
            pass.removed = newest.map(|revision| Revision(revision.unsigned_abs()));
        }
        Ok(())
    }

    /// A guest's car comes to a gate.
    async fn arrive(&mut self, number: usize, car: usize) -> Result<bool> {
        self.note_taken_back()?;
        let id = self.ground.controllers[number].id.clone();
        let applied = self.witness.applied(&id);
        let running = self.gates[number].lives;
        let decisions = self.gates[number].present(&Shown::Plate(CARS[car].to_owned())).await;
        let granted = decisions.iter().filter(|decision| decision.credential == "plate" && decision.granted).count();
        let reasons: Vec<&str> = decisions.iter().map(|decision| decision.reason.as_str()).collect();
        self.trace.note(format_args!("{id} is shown car {car}: {reasons:?}"));
        self.gates[number].granted += granted as u64;
        for (reason, fault) in [("expired", Fault::PassExpired), ("not-yet-valid", Fault::PassNotYetValid)] {
            if reasons.iter().any(|said| said.contains(reason)) {
                self.coverage.hit(fault);
            }
        }
        if granted == 0 {
            return Ok(false);
        }
        self.coverage.hit(Fault::PassAdmitted);
        self.guests.let_in.insert((number, car));
        let date = self.time.date();
        let objections: Vec<String> = self
            .guests
            .passes
            .iter()
            .filter(|pass| pass.car == car)
            .map(|pass| self.objection(pass, number, date, applied))
            .collect::<Option<_>>()
            .unwrap_or_default();
        if !objections.is_empty() || !self.guests.passes.iter().any(|pass| pass.car == car) {
            self.breaks(format!("(9) {id} admits car {car}, though {objections:?}"));
        }
        let ahead_ms = self.early_ms(number);
        // What was not written down by the time of a crash, or on a full disk, is not known afterwards.
        tokio::time::sleep(std::time::Duration::from_millis(WRITTEN_MS)).await;
        let gate = &self.gates[number];
        if gate.lives == running && gate.life.as_ref().is_some_and(|life| !life.power.is_off()) && !gate.disk.is_full()
        {
            // Of two that may have let it in nobody knows which did.
            let good = |pass: &Pass| pass.car == car && self.objection(pass, number, date, applied).is_none();
            let mut good = (0..self.guests.passes.len()).filter(|n| good(&self.guests.passes[*n]));
            let which = good.next().filter(|_| good.next().is_none());
            if let Some(pass) = which.and_then(|n| self.guests.passes.get_mut(n)).filter(|pass| pass.single) {
                pass.entered.entry(number).or_insert((date, ahead_ms));
            }
        }
        Ok(true)
    }

    /// By how much a gate may take it to be later than it is.
    fn early_ms(&self, number: usize) -> i64 {
        self.gates[number].clock.skewed_by().max(self.lead_ms(number)).max(0)
    }

    /// By how much a gate may take it to be earlier than it is: what the cloud has told it, no clock that is set back undoes.
    fn late_ms(&self, number: usize) -> i64 {
        let behind_ms = (-self.gates[number].clock.skewed_by()).max(0);
        let proven_ms = match (self.cloud.was_behind, self.gates[number].boot) {
            (true, _) => i64::MAX,
            (false, 0) => UNDER_WAY_MS,
            (false, _) => AFTER_POWER_LOSS_MS,
        };
        behind_ms.min(proven_ms)
    }

    /// Why a pass does not let a car in at a gate, if it does not.
    fn objection(&self, pass: &Pass, number: usize, date: Timestamp, applied: Revision) -> Option<String> {
        let told = |what: &str| Some(format!("{what} ({pass:?}, {date:?})"));
        if pass.removed.is_some_and(|revision| applied >= revision) {
            return told("it was taken back, and the gate has said so");
        }
        if date.plus_ms(self.early_ms(number) + SLACK_MS) < pass.from {
            return told("it has not begun");
        }
        let late_ms = self.late_ms(number).saturating_add(SLACK_MS);
        if date.since_ms(pass.until) > late_ms {
            return told("it is over");
        }
        let (entered, ahead_ms) = *pass.entered.get(&number)?;
        if date.since_ms(entered) > ENTRY_MS.saturating_add(ahead_ms).saturating_add(late_ms) {
            return told("its one entry was had");
        }
        None
    }

    /// Invariant 4 for guests, once all is quiet.
    pub(super) async fn guests_agree(&mut self) -> Result<()> {
        // A single entry is over at the gate that gave it.
        let last = self.guests.passes.iter().flat_map(|pass| pass.entered.values().map(|(at, _)| *at)).max();
        if let Some(left) =
            last.map(|at| ENTRY_MS + UNDER_WAY_MS - self.time.date().since_ms(at)).filter(|left| *left > 0)
        {
            tokio::time::sleep(std::time::Duration::from_millis(left.unsigned_abs())).await;
        }
        for number in self.active()? {
            for car in 0..CARS.len() {
                if self.lead_ms(number) > 0 || self.has_ended(number) {
                    continue;
                }
                tokio::time::sleep(std::time::Duration::from_millis(AGAIN_MS)).await;
                let Some(expected) = self.is_expected(car)? else { continue };
                let admitted = self.arrive(number, car).await?;
                // A restored cloud does not know of an entry that the gate remembers.
                let spent = self.was_restored && self.guests.let_in.contains(&(number, car));
                if admitted != expected && !(expected && spent) {
                    self.breaks(format!(
                        "(9) at rest gate-{number} admits car {car}: {admitted}, the cloud: {expected}"
                    ));
                }
                self.coverage.hit(Fault::PassAgreed);
            }
        }
        Ok(())
    }

    /// Whether the cloud admits a car now; `None` where that ends or begins about now.
    fn is_expected(&self, car: usize) -> Result<Option<bool>> {
        let now = self.time.date();
        let mut expected = false;
        for pass in self.guests.passes.iter().filter(|pass| pass.car == car) {
            let edge = |column: &str| {
                let sql = format!("SELECT {column} FROM plates WHERE plate_id = ?1");
                let there = self.cloud.has("SELECT 1 FROM plates WHERE plate_id = ?1", pass.plate_id.as_str())?;
                if there { self.cloud.number(&sql, pass.plate_id.as_str()) } else { Ok(None) }
            };
            let (Some(from), Some(until)) = (edge("valid_from")?, edge("valid_until")?) else { continue };
            if (now.0 - from).abs() < UNDER_WAY_MS || (now.0 - until).abs() < UNDER_WAY_MS {
                return Ok(None);
            }
            expected |= (from..until).contains(&now.0);
        }
        Ok(Some(expected))
    }
}

/// A boom that is on its way is not judged anew within this.
const AGAIN_MS: u64 = 35_000;
