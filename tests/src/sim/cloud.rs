//! The cloud: the real storage and sync, and what its API does with them, on disks and a clock of the simulation.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cardea_access::card::CardNumber;
use cardea_access::grammar::{Grammar, Grammars};
use cardea_access::plate::Plate;
use cardea_cloud::fingerprint;
use cardea_cloud::keys::SubjectKey;
use cardea_cloud::storage::cards::NewCard;
use cardea_cloud::storage::commands::NewCommand;
use cardea_cloud::storage::consent_texts::ConsentText;
use cardea_cloud::storage::consents::NewConsent;
use cardea_cloud::storage::plates::NewPlate;
use cardea_cloud::storage::sales::NewSale;
use cardea_cloud::storage::sites::Scope;
use cardea_cloud::storage::templates::NewTemplate;
use cardea_cloud::storage::{Disks, KeyStoreSettings, Storage};
use cardea_cloud::sync::{BrokerChoice, OpenError, Parts, Sync, SyncSettings};
use cardea_models::Template;
use cardea_protocol::card::CardHash;
use cardea_protocol::clock::{Clock as _, SharedClock};
use cardea_protocol::digest::template_hash;
use cardea_protocol::id::{
    AccessPointId, CardId, CommandId, ConsentId, ConsentTextId, ControllerId, CustomerId, PlateId, SaleId, SiteId,
    SubjectToken, TemplateId,
};
use cardea_protocol::message::{CommandOutcome, Validity};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::clock::SimClock;
use super::coverage::{Coverage, Fault};
use super::desk::Desk;
use super::disk::{Disk, Power};
use super::ground::{Claimed, FRESHNESS_MS, Ground};
use super::network::Net;
use super::people;
use super::trace::Trace;
use super::witness::COMMAND_MS;

/// The longest that the disk takes.
const DISK_MS: u64 = 12;
/// Nothing that is asked of the cloud takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const TEXT: &str = "2026-03";
const CUSTOMER: &str = "customer-1";

/// The cloud's machine: what outlives its program.
pub(super) struct Machine {
    pub(super) data: Arc<Disk>,
    pub(super) keys: Arc<Disk>,
    pub(super) clock: Arc<SimClock>,
    pub(super) failed: Arc<Notify>,
    pub(super) life: Option<Life>,
    /// Its clock was behind, and what it signed proves less than it should.
    pub(super) was_behind: bool,
    /// The last revision that was seen on the disk.
    pub(super) revision: i64,
}

/// One run of the program.
pub(super) struct Life {
    pub(super) power: Power,
    pub(super) storage: Storage,
    pub(super) sync: Sync,
    /// Calls that wait for an outcome.
    calls: JoinSet<()>,
}

/// Where something is registered, and in spite of which sale.
pub(super) struct Registration {
    pub(super) site: SiteId,
    pub(super) lifts: Option<SaleId>,
}

fn card_hash([a, b, c, d]: [u8; 4]) -> Result<CardHash> {
    Ok(CardHash::of(&CardNumber::parse(&format!("uid:{a:02X}{b:02X}{c:02X}{d:02X}"))?))
}

/// A resident.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) token: SubjectToken,
    pub(super) face: Template,
}

impl Machine {
    pub(super) fn new(clock: Arc<SimClock>) -> Result<Self> {
        Ok(Self {
            data: Arc::new(Disk::new("cloud")?),
            keys: Arc::new(Disk::new("keys")?),
            clock,
            failed: Arc::default(),
            life: None,
            was_behind: false,
            revision: 0,
        })
    }

    /// Starts the program.
    pub(super) async fn start(&mut self, ground: &Ground, net: &Net, rng: &mut StdRng) -> Result<()> {
        let power = Power::on(self.failed.clone());
        let started = self.start_on(&power, ground, net, rng).await;
        if started.is_err() {
            power.cut();
        }
        started
    }

    async fn start_on(&mut self, power: &Power, ground: &Ground, net: &Net, rng: &mut StdRng) -> Result<()> {
        let mut disk_rng = StdRng::seed_from_u64(rng.random());
        let pace = Box::new(move || Duration::from_millis(disk_rng.random_range(0..=DISK_MS)));
        let disks = Disks { data: self.data.open(power)?, keys: self.keys.open(power)? };
        let clock: SharedClock = self.clock.clone();
        let keys = KeyStoreSettings { file: None, vault: ground.vault.clone(), at: clock.now() };
        let storage = Storage::on_runtime(disks, keys, pace)?;
        let parts = Parts {
            storage: storage.clone(),
            vault: ground.vault.clone(),
            authority: ground.authority.clone(),
            signer: ground.signing.signer()?,
            clock,
            settings: SyncSettings { freshness_interval_ms: FRESHNESS_MS, command_wait_ms: COMMAND_MS },
            broker: BrokerChoice::Carried(Arc::new(net.clone())),
        };
        let started = tokio::time::timeout(PATIENCE, Sync::start(parts)).await;
        let sync = started.context("the cloud did not come up")??;
        let power = power.clone();
        net.cloud_is(Desk { storage: storage.clone(), authority: ground.authority.clone(), clock: self.clock.clone() });
        self.life = Some(Life { power, storage, sync, calls: JoinSet::new() });
        Ok(())
    }

    /// The program ends without a word.
    pub(super) fn crash(&mut self, net: &Net) {
        let Some(life) = self.life.take() else { return };
        life.power.cut();
        net.cloud_gone();
    }

    /// Whether the disks take nothing more.
    pub(super) fn fill(&self, full: bool) {
        self.data.fill(full);
        self.keys.fill(full);
    }

    /// An old copy is in the place of the data; the key store is never restored. To be started.
    pub(super) fn restore(&mut self, copy: Disk) {
        self.data = Arc::new(copy);
        self.revision = 0;
    }

    /// What is there before the first controller comes.
    pub(super) async fn furnish(&self, ground: &Ground, controllers: &[Claimed]) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let (storage, at) = (&life.storage, self.clock.now());
        let customer = CustomerId::new(CUSTOMER)?;
        let sites = vec![ground.site.clone(), ground.abroad.clone()];
        for site in &sites {
            storage.register_site(site, "Test street 1".to_owned(), at).await?;
        }
        storage.register_customer(&customer, "Test".to_owned(), sites, at).await?;
        let text = ConsentText {
            text_id: ConsentTextId::random(),
            customer,
            version: TEXT.to_owned(),
            language: "en".to_owned(),
            body: "I agree.".to_owned(),
            recorded_at: at,
        };
        storage.record_consent_text(text).await?;
        for claimed in controllers {
            let hash = "claimed".to_owned();
            let scope = Scope::Operator;
            storage
                .register_controller(&scope, &claimed.id, &ground.site, hash.clone(), at.plus_ms(60_000), at)
                .await?;
            storage.finish_claim(&claimed.id, hash, claimed.certificate.clone()).await?;
        }
        Ok(())
    }

    /// Does what the API would, within its time.
    pub(super) async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(PATIENCE, work).await.context("no answer")?
    }

    pub(super) async fn admit_plate(&self, ground: &Ground, at: &Registration, id: PlateId, plate: &str) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let plate = Plate::parse(plate, &Grammars::new(Grammar::ALL))?;
        let new = NewPlate {
            plate_id: id,
            site: at.site.clone(),
            fingerprint: fingerprint::plate(&ground.vault, &plate),
            plate,
            subject: None,
            schedule: None,
            single_entry: false,
            validity: Validity::ALWAYS,
            subject_fingerprint: None,
            lifts_sale: at.lifts.clone(),
        };
        Self::within(async { Ok(life.storage.admit_plate(&Scope::Operator, new, self.clock.now()).await?) }).await?;
        life.sync.changed(&at.site);
        Ok(())
    }

    pub(super) async fn remove_plate(&self, ground: &Ground, id: &PlateId) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let at = self.clock.now();
        Self::within(async { Ok(life.storage.remove_plate(&Scope::Operator, &ground.site, id, at).await?) }).await?;
        life.sync.changed(&ground.site);
        Ok(())
    }

    pub(super) async fn admit_card(&self, ground: &Ground, at: &Registration, id: CardId, uid: [u8; 4]) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let hash = card_hash(uid)?;
        let new = NewCard {
            card_id: id,
            site: at.site.clone(),
            fingerprint: fingerprint::card(&ground.vault, &hash),
            hash,
            subject: None,
            validity: Validity::ALWAYS,
            subject_fingerprint: None,
            lifts_sale: at.lifts.clone(),
        };
        Self::within(async { Ok(life.storage.admit_card(&Scope::Operator, new, self.clock.now()).await?) }).await?;
        life.sync.changed(&at.site);
        Ok(())
    }

    pub(super) async fn remove_card(&self, ground: &Ground, id: &CardId) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let at = self.clock.now();
        Self::within(async { Ok(life.storage.remove_card(&Scope::Operator, &ground.site, id, at).await?) }).await?;
        life.sync.changed(&ground.site);
        Ok(())
    }

    /// Records a consent, where there is none, and a template under it.
    pub(super) async fn enrol(
        &self,
        ground: &Ground,
        registration: &Registration,
        subject: &Subject,
        ids: (ConsentId, TemplateId),
    ) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let (scope, site, at) = (Scope::Operator, registration.site.clone(), self.clock.now());
        let (consent, template_id) = ids;
        let active = async { Ok(life.storage.active_consent(&scope, &site, &subject.token).await?) };
        let consent = match Self::within(active).await?.flatten() {
            Some(consent) => consent,
            None => {
                let new = NewConsent {
                    consent_id: consent.clone(),
                    site: site.clone(),
                    subject: subject.token.clone(),
                    document_version: TEXT.to_owned(),
                    given_at: at,
                    evidence_sha256: "ab".repeat(32),
                    fingerprint: fingerprint::subject(&ground.vault, &subject.token),
                    lifts_sale: registration.lifts.clone(),
                };
                Self::within(async { Ok(life.storage.record_consent(&scope, new, at).await?) }).await?;
                consent
            }
        };
        let plaintext = subject.face.to_bytes();
        let (vault, id, whose) = (ground.vault.clone(), template_id.clone(), (site.clone(), subject.token.clone()));
        let new = NewTemplate {
            template_id,
            site: site.clone(),
            subject: subject.token.clone(),
            consent,
            model: subject.face.model().to_owned(),
            content_hash: template_hash(&plaintext),
            encrypt: move |wrapped: Option<Vec<u8>>| {
                let (site, subject) = &whose;
                let (key, wrapped) = match wrapped {
                    Some(wrapped) => (vault.unwrap(site, subject, &wrapped)?, wrapped),
                    None => {
                        let key = SubjectKey::generate()?;
                        let wrapped = vault.wrap(site, subject, &key)?;
                        (key, wrapped)
                    }
                };
                Ok((wrapped, key.encrypt(&id, &plaintext)?))
            },
        };
        Self::within(async { Ok(life.storage.add_template(&scope, new, at).await?) }).await?;
        life.sync.changed(&site);
        Ok(())
    }

    /// Withdraws the consent that is active.
    pub(super) async fn withdraw(&self, ground: &Ground, subject: &SubjectToken) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let (scope, site, at) = (Scope::Operator, &ground.site, self.clock.now());
        let active = async { Ok(life.storage.active_consent(&scope, site, subject).await?) };
        let consent = Self::within(active).await?.flatten().context("nobody has consented")?;
        Self::within(async { Ok(life.storage.withdraw_consent(&scope, site, &consent, at).await?) }).await?;
        life.sync.changed(site);
        Self::within(async { Ok(life.storage.scrub().await?) }).await
    }

    /// Sells a flat: its plate, card and resident go, together.
    pub(super) async fn sell(&self, ground: &Ground, sale_id: SaleId, i: usize, subject: &SubjectToken) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let (site, at) = (&ground.site, self.clock.now());
        let plate = Plate::parse(people::plate(i), &Grammars::new(Grammar::ALL))?;
        let card = card_hash(people::uid(i))?;
        let sale = NewSale {
            sale_id,
            site: site.clone(),
            customer: CustomerId::new(CUSTOMER)?,
            plates: vec![(plate.clone(), fingerprint::plate(&ground.vault, &plate))],
            cards: vec![(card.clone(), fingerprint::card(&ground.vault, &card))],
            subjects: vec![(subject.clone(), fingerprint::subject(&ground.vault, subject))],
        };
        let of = (ground.vault.clone(), ground.vault.clone());
        let fingerprints = (
            move |plate: &Plate| fingerprint::plate(&of.0, plate),
            move |card: &CardHash| fingerprint::card(&of.1, card),
        );
        let sold = async { Ok(life.storage.sell_property(&Scope::Operator, sale, fingerprints, at).await?) };
        Self::within(sold).await?.context("the site is not there")?;
        life.sync.changed(site);
        Self::within(async { Ok(life.storage.scrub().await?) }).await
    }

    /// Revokes a controller: a thief has it.
    pub(super) async fn revoke(&self, controller: &ControllerId) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let at = self.clock.now();
        Self::within(async { Ok(life.storage.revoke_controller(&Scope::Operator, controller, at).await?) }).await?;
        let ended = async {
            life.sync.end_sessions(controller).await;
            Ok(())
        };
        Self::within(ended).await
    }

    /// It is declared destroyed.
    pub(super) async fn decommission(&self, controller: &ControllerId) -> Result<()> {
        let life = self.life.as_ref().context("the cloud is down")?;
        let at = self.clock.now();
        Self::within(async { Ok(life.storage.decommission_controller(&Scope::Operator, controller, at).await?) }).await
    }

    /// Whether a controller counts no more, by the disk.
    pub(super) fn is_retired(&self, controller: &ControllerId) -> Result<bool> {
        let sql = "SELECT 1 FROM controllers WHERE controller_id = ?1 AND status IN ('revoked', 'decommissioned')";
        self.has(sql, controller.as_str())
    }

    /// Orders an access point to open, and does not wait for what becomes of it.
    pub(super) fn open(
        &mut self,
        ground: &Ground,
        order: (CommandId, AccessPointId),
        trace: Trace,
        coverage: Coverage,
    ) {
        let Some(life) = &mut self.life else { return };
        let (storage, sync, clock, site) =
            (life.storage.clone(), life.sync.clone(), self.clock.clone(), ground.site.clone());
        let (command_id, access_point) = order;
        life.calls.spawn(async move {
            let command = NewCommand {
                command_id: command_id.clone(),
                site: site.clone(),
                access_point: access_point.clone(),
                pass: None,
                principal_id: "operator".to_owned(),
                idempotency_key: command_id.to_string(),
            };
            if storage.begin_command(command, clock.now()).await.is_err() {
                return;
            }
            let outcome = sync.open(command_id.clone(), &access_point, &site).await;
            let state = match &outcome {
                Ok(CommandOutcome::Accepted) => "accepted",
                Ok(CommandOutcome::Confirmed) => "confirmed",
                Ok(CommandOutcome::NotConfirmed) => "not-confirmed",
                Ok(CommandOutcome::Refused { .. }) => "refused",
                Err(OpenError::Unanswered) => "unanswered",
                Err(_) => "unreachable",
            };
            match &outcome {
                Ok(CommandOutcome::Refused { .. }) => coverage.hit(Fault::OpenRefused),
                Err(OpenError::Unanswered) => coverage.hit(Fault::OpenUnanswered),
                _ => {}
            }
            trace.note(format_args!("cloud order for {access_point}: {state}"));
            let _ = storage.finish_command(&command_id, state, None, clock.now()).await;
        });
    }

    /// Whether a row is there.
    pub(super) fn has(&self, sql: &str, id: &str) -> Result<bool> {
        self.data.read(|connection| Ok(connection.prepare_cached(sql)?.exists([id])?))
    }

    /// A number.
    pub(super) fn number(&self, sql: &str, id: &str) -> Result<Option<i64>> {
        self.data.read(|connection| Ok(connection.prepare_cached(sql)?.query_row([id], |row| row.get(0))?))
    }

    /// Of a controller: the revision it has told, and whether its digest was the cloud's.
    pub(super) fn standing(&self, controller: &ControllerId) -> Result<(i64, bool)> {
        let sql = "SELECT cursor, in_sync FROM controllers WHERE controller_id = ?1";
        self.data.read(|connection| {
            let mut found = connection.prepare_cached(sql)?;
            Ok(found.query_row([controller.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
    }
}
