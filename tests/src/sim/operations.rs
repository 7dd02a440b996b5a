//! What people do: the customer registers, takes back and sells, the operator opens and revokes, residents stand at the gates.

use anyhow::Result;
use cardea_cloud::storage::plates::PlateStoreError;
use cardea_protocol::id::{AccessPointId, CardId, CommandId, ConsentId, PlateId, SaleId, TemplateId};
use rand::Rng as _;

use super::cloud::Registration;
use super::coverage::Fault;
use super::people::{self, ABROAD, ALL, NEVER, OF_EACH, What};
use super::world::World;

impl World<'_> {
    /// Somebody does something.
    pub(super) async fn operate(&mut self) -> Result<()> {
        let i = self.rng.random_range(0..OF_EACH);
        let number = self.rng.random_range(0..self.gates.len());
        let done = match self.rng.random_range(0..28) {
            0 | 1 => self.enrol(i).await,
            2 => self.withdraw(i).await,
            3 | 4 => self.toggle_plate(i).await,
            5 | 6 => self.toggle_card(i).await,
            7..=9 => self.open(number),
            10 => self.sell(i).await,
            11 => self.register_abroad().await,
            12 => self.revoke(number).await,
            14..=17 => self.host(number).await,
            13 => {
                let never = NEVER[self.rng.random_range(0..NEVER.len())];
                if !self.present(number, never).await?.granted {
                    self.coverage.hit(Fault::RefusedAbroad);
                }
                Ok(())
            }
            _ => {
                let what: What = ALL[self.rng.random_range(0..ALL.len())];
                self.present(number, what).await?;
                Ok(())
            }
        };
        if let Err(error) = done {
            self.coverage.hit(Fault::OperationFailed);
            self.trace.note(format_args!("not done: {error}"));
        }
        // What has been erased since is known as such from here on, and who was revoked.
        for what in ALL {
            self.people.removed_at(&self.cloud, &self.witness, what)?;
        }
        self.note_retired()
    }

    /// Who counts no more by the cloud's disk, which an old copy may have taken back.
    pub(super) fn note_retired(&mut self) -> Result<()> {
        for gate in self.ground.controllers.iter().take(self.gates.len()) {
            if self.witness.retired(&gate.id, self.cloud.is_retired(&gate.id)?) {
                self.coverage.hit(Fault::Revoked);
            }
        }
        Ok(())
    }

    /// A registration at the gates' site. Where a sale blocks it, somebody may name the sale, or not know of it.
    fn registration(&mut self, what: What) -> Registration {
        let lifts = self.people.blocked.get(&what).cloned().filter(|_| self.rng.random());
        Registration { site: self.ground.site.clone(), lifts }
    }

    /// Invariant 7: what a sale blocks stays out until somebody names that sale.
    fn registered(&mut self, what: What, registration: &Registration, done: &Result<()>) {
        let Some(sale) = self.people.blocked.get(&what) else { return };
        if registration.lifts.as_ref() == Some(sale) {
            if done.is_ok() {
                self.coverage.hit(Fault::Lifted);
            }
            // Where it failed, it may have been lifted all the same: a consent comes before its template.
            self.people.blocked.remove(&what);
        } else if done.is_ok() {
            self.breaks(format!("(7) {what:?} is registered though it was sold"));
        }
    }

    async fn enrol(&mut self, i: usize) -> Result<()> {
        let ids = (ConsentId::random(), TemplateId::from_random_bytes(self.rng.random()));
        self.people.templates[i].push(ids.1.clone());
        self.trace.note(format_args!("enrol {i}"));
        let registration = self.registration(What::Face(i));
        let done = self.cloud.enrol(self.ground, &registration, &self.people.subjects[i], ids).await;
        self.registered(What::Face(i), &registration, &done);
        done
    }

    async fn withdraw(&mut self, i: usize) -> Result<()> {
        self.trace.note(format_args!("withdraw {i}"));
        self.cloud.withdraw(self.ground, &self.people.subjects[i].token).await?;
        self.coverage.hit(Fault::Erased);
        Ok(())
    }

    async fn toggle_plate(&mut self, i: usize) -> Result<()> {
        if let Some(id) = self.people.plate(&self.cloud, i)? {
            self.trace.note(format_args!("remove plate {i}"));
            return self.cloud.remove_plate(self.ground, &id).await;
        }
        let id = PlateId::from_random_bytes(self.rng.random());
        self.people.plates[i].push(id.clone());
        self.trace.note(format_args!("admit plate {i}"));
        let registration = self.registration(What::Plate(i));
        let done = self.cloud.admit_plate(self.ground, &registration, id, people::plate(i)).await;
        self.registered(What::Plate(i), &registration, &done);
        done
    }

    async fn toggle_card(&mut self, i: usize) -> Result<()> {
        if let Some(id) = self.people.card(&self.cloud, i)? {
            self.trace.note(format_args!("remove card {i}"));
            return self.cloud.remove_card(self.ground, &id).await;
        }
        let id = CardId::from_random_bytes(self.rng.random());
        self.people.cards[i].push(id.clone());
        self.trace.note(format_args!("admit card {i}"));
        let registration = self.registration(What::Card(i));
        let done = self.cloud.admit_card(self.ground, &registration, id, people::uid(i)).await;
        self.registered(What::Card(i), &registration, &done);
        done
    }

    /// The flat is sold: its face, plate and card go as one.
    async fn sell(&mut self, i: usize) -> Result<()> {
        let sale = SaleId::from_random_bytes(self.rng.random());
        self.people.sales[i].push(sale.clone());
        self.trace.note(format_args!("sell {i}"));
        let sold = self.cloud.sell(self.ground, sale.clone(), i, &self.people.subjects[i].token.clone()).await;
        for what in [What::Face(i), What::Plate(i), What::Card(i)] {
            match &sold {
                Ok(()) => self.people.blocked.insert(what, sale.clone()),
                // Whether it was done nobody knows, and so not which sale blocks.
                Err(_) => self.people.blocked.remove(&what),
            };
        }
        sold?;
        self.coverage.hit(Fault::Sold);
        Ok(())
    }

    /// Somebody is registered at the other site.
    async fn register_abroad(&mut self) -> Result<()> {
        self.trace.note(format_args!("register at the other site"));
        let there = Registration { site: self.ground.abroad.clone(), lifts: None };
        match self.rng.random_range(0..3) {
            0 => {
                let ids = (ConsentId::random(), TemplateId::from_random_bytes(self.rng.random()));
                self.cloud.enrol(self.ground, &there, &self.people.subjects[ABROAD], ids).await
            }
            1 => {
                let id = PlateId::from_random_bytes(self.rng.random());
                let done = self.cloud.admit_plate(self.ground, &there, id, people::plate(ABROAD)).await;
                // It is there already.
                done.or_else(|error| if error.is::<PlateStoreError>() { Ok(()) } else { Err(error) })
            }
            _ => {
                let id = CardId::from_random_bytes(self.rng.random());
                self.cloud.admit_card(self.ground, &there, id, people::uid(ABROAD)).await
            }
        }
    }

    fn open(&mut self, number: usize) -> Result<()> {
        let point = AccessPointId::new(format!("gate-{number}-door"))?;
        self.trace.note(format_args!("open gate-{number}"));
        let order = (CommandId::from_random_bytes(self.rng.random()), point);
        self.cloud.open(self.ground, order, self.trace.clone(), self.coverage.clone());
        Ok(())
    }

    /// A controller is stolen. Seldom, and never the last: a world without gates has nothing to show.
    async fn revoke(&mut self, number: usize) -> Result<()> {
        let mut left = 0;
        for gate in self.ground.controllers.iter().take(self.gates.len()) {
            left += usize::from(!self.cloud.is_retired(&gate.id)?);
        }
        if left < 2 || self.rng.random_range(0..3) > 0 {
            return Ok(());
        }
        self.trace.note(format_args!("revoke gate-{number}"));
        self.cloud.revoke(&self.ground.controllers[number].id).await
    }

    /// Whoever was revoked is declared destroyed, and whoever is locked out is to be claimed anew, under another id: erasures wait
    /// for them no longer.
    pub(super) async fn decommission_revoked(&mut self) -> Result<()> {
        for (number, gate) in self.ground.controllers.iter().take(self.gates.len()).enumerate() {
            let locked_out = self.is_locked_out(number)?;
            if locked_out {
                self.coverage.hit(Fault::RenewalLostInRestore);
            }
            if locked_out || self.cloud.is_retired(&gate.id)? {
                self.trace.note(format_args!("decommission {}", gate.id));
                self.cloud.decommission(&gate.id).await?;
            }
        }
        self.note_retired()
    }
}
