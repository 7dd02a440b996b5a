//! Bringing a controller to where its site is, and proving that it is there.

use std::time::Duration;

use cardea_protocol::Timestamp;
use cardea_protocol::cose::CoseError;
use cardea_protocol::digest::Digest;
use cardea_protocol::id::Revision;
use cardea_protocol::limit::{CHANGES, PAGE, fitting};
use cardea_protocol::message::{Change, Down, TemplateEntry};
use cardea_protocol::seal::{SealError, seal};
use tokio::time::Instant;

use super::hub::Input;
use super::session::{Session, SessionError};
use crate::storage::changes::{StoredChange, StoredTemplate};

/// Messages of changes on their way at once.
const WINDOW: usize = 8;
/// Snapshots in a row that may fail to repair a digest before the cloud stops trying until the next change.
const MAX_REPAIRS: u32 = 3;
/// A receipt that is owed for longer than this when a session begins is not on its way, milliseconds.
const RECEIPT_LATE_MS: i64 = 60_000;
/// So long after the beginning of a session every order from before it is late.
pub(super) const ORDERS_LATE: Duration = Duration::from_secs(90);
/// Something sent and not applied for this long is sent again.
const RESEND: Duration = Duration::from_secs(15);

impl Session {
    /// The controller stands at `revision` and holds what `digest` says: is that right, and what does it lack?
    pub(super) async fn compare(&mut self, revision: Revision, digest: Digest) -> Result<(), SessionError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        live.applied = revision;
        live.progress_at = Instant::now();
        live.unapplied.retain(|to| *to > revision);
        let (repaired, begins) = (live.repairs > 0, live.begins());
        let without_orders = live.without_orders;
        let embedder = live.hello.embedder.clone();
        // Read before the revision: a change that is committed in between must not be declared current unseen.
        let at = self.now();
        let standing = self.context.storage.standing(&self.site, embedder.as_deref()).await?;
        let in_sync = revision == standing.revision && digest == standing.digest;
        self.context.storage.record_applied(&self.controller, revision, &digest, in_sync, self.now()).await?;
        if in_sync {
            if let Some(live) = &mut self.live {
                (live.repairs, live.without_orders) = (0, false);
            }
            if repaired {
                self.context.storage.raise_alarm(&self.site, &self.controller, "digest-repaired", self.now()).await?;
            }
            if without_orders {
                self.order_again(Timestamp(i64::MAX)).await?;
            } else if begins {
                // The session that gave it a snapshot may have broken off before it said that it has it.
                self.order_again(at.plus_ms(-RECEIPT_LATE_MS)).await?;
            }
            return self.send(Down::Freshness { revision: standing.revision, digest: standing.digest, at }).await;
        }
        if revision > standing.revision {
            return self.follow_upwards(revision).await;
        }
        if revision == standing.revision {
            return self.repair("digest-mismatch").await;
        }
        self.send(Down::Freshness { revision: standing.revision, digest: standing.digest, at }).await?;
        self.catch_up().await
    }

    /// It has followed further than the site has come: the database was restored from a backup, and changes that were sent
    /// are gone. A revision never goes back, so the site's goes up, and whoever was there gets a snapshot.
    async fn follow_upwards(&mut self, revision: Revision) -> Result<(), SessionError> {
        if self.context.storage.raise_revision(&self.site, revision).await? {
            // The hub is there as long as its sessions are.
            let _ = self.context.hub.send(Input::Changed(self.site.clone()));
            return self.repair("controller-ahead").await;
        }
        if let Some(live) = &mut self.live {
            live.repairs = MAX_REPAIRS;
        }
        self.repair("controller-ahead").await
    }

    /// Orders again every erasure from before `since` that it owes an answer to, which a snapshot does not carry.
    async fn order_again(&mut self, since: Timestamp) -> Result<(), SessionError> {
        if self.context.storage.reissue_erasures(&self.controller, since, self.now()).await? {
            // The hub is there as long as its sessions are.
            let _ = self.context.hub.send(Input::Changed(self.site.clone()));
        }
        Ok(())
    }

    async fn repair(&mut self, alarm: &str) -> Result<(), SessionError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        if live.repairs > MAX_REPAIRS {
            // Said already; it is not fresh, and its faces stop opening.
            return Ok(());
        }
        live.repairs += 1;
        let gives_up = live.repairs > MAX_REPAIRS;
        let alarm = if gives_up { "digest-mismatch-persists" } else { alarm };
        tracing::warn!(controller = %self.controller, alarm, "it holds something else than it should");
        self.context.storage.raise_alarm(&self.site, &self.controller, alarm, self.now()).await?;
        if gives_up { Ok(()) } else { self.send_snapshot().await }
    }

    /// Sends the changes that were not sent yet, as far as the window allows.
    pub(super) async fn catch_up(&mut self) -> Result<(), SessionError> {
        while let Some(live) = &self.live {
            if live.unapplied.len() >= WINDOW {
                break;
            }
            let (from, embedder) = (live.sent, live.hello.embedder.clone());
            let storage = &self.context.storage;
            let batch = storage.changes_for(&self.controller, &self.site, embedder.as_deref(), from, CHANGES).await?;
            if batch.changes.is_empty() {
                if batch.has_gap && live.unapplied.is_empty() {
                    tracing::info!(controller = %self.controller, cursor = %from, "the log does not reach back so far: a snapshot");
                    self.send_snapshot().await?;
                }
                break;
            }
            let mut changes =
                batch.changes.into_iter().map(|change| self.to_send(change)).collect::<Result<Vec<_>, _>>()?;
            let fitting = fitting(&changes).map_err(|_| CoseError::Sign)?;
            if fitting == 0 {
                if live.unapplied.is_empty() {
                    tracing::warn!(controller = %self.controller, cursor = %from, "a change is too long for a message: a snapshot");
                    self.send_snapshot().await?;
                }
                break;
            }
            let (to, digest) = if fitting == changes.len() {
                (batch.to, batch.digest)
            } else {
                (Revision(from.0 + fitting as u64), None)
            };
            changes.truncate(fitting);
            self.send(Down::Changes { from, to, changes, digest }).await?;
            self.sent_up_to(to);
        }
        Ok(())
    }

    async fn send_snapshot(&mut self) -> Result<(), SessionError> {
        let Some(live) = &self.live else { return Ok(()) };
        let embedder = live.hello.embedder.clone();
        let storage = &self.context.storage;
        let snapshot = storage.snapshot_for(&self.controller, &self.site, embedder.as_deref()).await?;
        let Some(snapshot) = snapshot else { return Ok(()) }; // it was revoked meanwhile
        let longest = snapshot.plates.len().max(snapshot.cards.len()).max(snapshot.templates.len());
        let pages = longest.div_ceil(PAGE).max(1);
        for page in 0..pages {
            let plates = snapshot.plates.iter().skip(page * PAGE).take(PAGE).cloned().collect();
            let cards = snapshot.cards.iter().skip(page * PAGE).take(PAGE).cloned().collect();
            let templates = snapshot
                .templates
                .iter()
                .skip(page * PAGE)
                .take(PAGE)
                .map(|template| self.seal(template))
                .collect::<Result<_, _>>()?;
            self.send(Down::Snapshot {
                revision: snapshot.revision,
                page: page as u32,
                pages: pages as u32,
                plates,
                cards,
                templates,
                digest: snapshot.digest.clone(),
            })
            .await?;
        }
        if let Some(live) = &mut self.live {
            live.unapplied.clear();
            live.without_orders = true;
        }
        self.sent_up_to(snapshot.revision);
        Ok(())
    }

    fn sent_up_to(&mut self, revision: Revision) {
        if let Some(live) = &mut self.live {
            live.sent = revision;
            live.unapplied.push_back(revision);
            live.progress_at = Instant::now();
        }
    }

    /// At each interval: how things stand, and once more what seems to have been lost.
    pub(super) async fn tick(&mut self) -> Result<(), SessionError> {
        let at = self.now();
        let Some(live) = &self.live else { return Ok(()) };
        let embedder = live.hello.embedder.clone();
        let standing = self.context.storage.standing(&self.site, embedder.as_deref()).await?;
        self.send(Down::Freshness { revision: standing.revision, digest: standing.digest, at }).await?;
        let Some(live) = &mut self.live else { return Ok(()) };
        // An order of a start after a restore may stand in the log where the controller has been already: what it follows is right,
        // and it was never asked.
        let settled = live.repairs == 0 && live.applied == standing.revision;
        if settled && live.orders_due.take_if(|due| *due <= Instant::now()).is_some() {
            return self.order_again(at.plus_ms(-RECEIPT_LATE_MS)).await;
        }
        if !live.unapplied.is_empty() && live.progress_at.elapsed() >= RESEND {
            tracing::warn!(controller = %self.controller, "changes were not applied in time: sent again");
            live.unapplied.clear();
            if live.without_orders {
                return self.send_snapshot().await;
            }
            live.sent = live.applied;
        }
        self.catch_up().await
    }

    fn to_send(&self, change: StoredChange) -> Result<Change, SessionError> {
        Ok(match change {
            StoredChange::PlateAdmitted(plate) => Change::PlateAdmitted(plate),
            StoredChange::PlateRemoved(plate_id) => Change::PlateRemoved { plate_id },
            StoredChange::CardAdmitted(card) => Change::CardAdmitted(card),
            StoredChange::CardRemoved(card_id) => Change::CardRemoved { card_id },
            StoredChange::TemplateAdded(template) => Change::TemplateAdded(self.seal(&template)?),
            StoredChange::SubjectErased(erasure, subject) => Change::SubjectErased { erasure, subject },
            StoredChange::PropertySold { sale, plate_ids, card_ids, subjects } => {
                Change::PropertySold { sale, plate_ids, card_ids, subjects }
            }
            StoredChange::Superseded => Change::Superseded,
        })
    }

    /// From the subject's key to the controller's; in clear only in between, in memory that is wiped.
    fn seal(&self, template: &StoredTemplate) -> Result<TemplateEntry, SessionError> {
        let key = self.context.vault.unwrap(&self.site, &template.subject, &template.wrapped_key)?;
        let plaintext = key.decrypt(&template.template_id, &template.ciphertext)?;
        let sealing_key = self.sealing_key().ok_or(SealError::Key)?;
        let sealed = seal(sealing_key, &self.controller, &template.template_id, &plaintext)?;
        Ok(TemplateEntry { template_id: template.template_id.clone(), subject: template.subject.clone(), sealed })
    }
}
