//! Passes for guests: a plate for some days, or one opening by order.
//!
//! A pass with a plate is that plate's admission and ends with it. One without is used by whoever opens for the guest: the
//! pass is taken before the order is sent and given back if nothing was opened, so that two calls cannot both have it.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CommandId, GuestPassId, PlateId, SaleId, SiteId, SubjectToken};
use cardea_protocol::message::{ENTRY_MS, Validity};

use super::changes::{ChangeKind, append_change, id, subject_of};
use super::engine::{Row, Transaction, params};
use super::plates::{NewPlate, PlateStoreError, admit, blocking_sale, remove};
use super::sales::sold_plate;
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};

/// A pass to give.
#[derive(Clone, Debug)]
pub struct NewGuestPass {
    /// Its id.
    pub pass_id: GuestPassId,
    /// Where.
    pub site: SiteId,
    /// The host, and the vault's fingerprint of the token.
    pub subject: Option<(SubjectToken, [u8; 32])>,
    /// The guest's plate, admitted with the pass.
    pub plate: Option<NewPlate>,
    /// Whether it ends with the first entry.
    pub single_entry: bool,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A pass as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestPass {
    /// Its id.
    pub pass_id: GuestPassId,
    /// The host.
    pub subject: Option<SubjectToken>,
    /// The admission of the guest's plate.
    pub plate_id: Option<PlateId>,
    /// Whether it ends with the first entry.
    pub single_entry: bool,
    /// When it counts.
    pub validity: Validity,
    /// When its single entry was had.
    pub used_at: Option<Timestamp>,
    /// Whether it was taken back, or its plate removed or sold.
    pub ended: bool,
}

/// What a pass is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassState {
    /// Later.
    Upcoming,
    /// Now.
    Valid,
    /// Its single entry was had.
    Used,
    /// Its time is over.
    Expired,
    /// Taken back, or sold.
    Ended,
}

impl PassState {
    /// As the API says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upcoming => "upcoming",
            Self::Valid => "valid",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

impl GuestPass {
    /// What it is good for at `now`.
    pub fn state(&self, now: Timestamp) -> PassState {
        if self.used_at.is_some() {
            PassState::Used
        } else if self.ended {
            PassState::Ended
        } else if self.validity.until.is_some_and(|until| now >= until) {
            PassState::Expired
        } else if self.validity.from.is_some_and(|from| now < from) {
            PassState::Upcoming
        } else {
            PassState::Valid
        }
    }
}

/// Why nothing is opened with a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It counts for its plate.
    IsAPlate,
    /// It is not valid.
    State(PassState),
}

impl Unusable {
    /// As an order to open is refused.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::IsAPlate => "guest-pass-is-a-plate",
            Self::State(PassState::Upcoming) => "guest-pass-upcoming",
            Self::State(PassState::Used) => "guest-pass-used",
            Self::State(PassState::Expired) => "guest-pass-expired",
            Self::State(PassState::Valid | PassState::Ended) => "guest-pass-ended",
        }
    }
}

const COLUMNS: &str =
    "SELECT p.pass_id, p.subject, p.plate_id, p.single_entry, p.valid_from, p.valid_until, p.used_at, p.ended_at,
        (p.plate_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM plates WHERE plates.plate_id = p.plate_id)) AS plate_gone
    FROM guest_passes p";

fn pass(row: &Row<'_>) -> Result<GuestPass, StorageError> {
    let (subject, plate): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
    let (ended_at, plate_gone): (Option<i64>, bool) = (row.get(7)?, row.get(8)?);
    Ok(GuestPass {
        pass_id: id(row.get(0)?, GuestPassId::new)?,
        subject: subject.as_deref().map(subject_of).transpose()?,
        plate_id: plate.map(|plate| id(plate, PlateId::new)).transpose()?,
        single_entry: row.get::<i64>(3)? != 0,
        validity: Validity { from: Some(Timestamp(row.get(4)?)), until: Some(Timestamp(row.get(5)?)) },
        used_at: row.get::<Option<i64>>(6)?.map(Timestamp),
        ended: ended_at.is_some() || plate_gone,
    })
}

/// A pass within the scope.
fn find(
    tx: &Transaction<'_>,
    scope: &Scope,
    site: &SiteId,
    pass_id: &GuestPassId,
) -> Result<Option<GuestPass>, StorageError> {
    if !site_visible(tx, scope, site)? {
        return Ok(None);
    }
    let sql = format!("{COLUMNS} WHERE p.site_id = ?1 AND p.pass_id = ?2");
    tx.query_opt(&sql, [site.as_str(), pass_id.as_str()], pass)
}

/// The passes that a resident has given.
pub(super) fn passes_of(
    tx: &Transaction<'_>,
    site: &SiteId,
    subject: &SubjectToken,
) -> Result<Vec<GuestPass>, StorageError> {
    let sql = format!("{COLUMNS} WHERE p.site_id = ?1 AND p.subject = ?2 ORDER BY p.pass_id");
    tx.query(&sql, [site.as_str(), subject.as_str()], pass)
}

/// Ends the passes that a resident has given; their plates go with the sale. Answers how many plates those are.
pub(super) fn end_passes_of(
    tx: &Transaction<'_>,
    sale: &SaleId,
    site: &SiteId,
    subject: &SubjectToken,
    at: Timestamp,
) -> Result<u32, StorageError> {
    let plates = tx.query(
        "DELETE FROM plates WHERE site_id = ?1 AND plate_id IN
             (SELECT plate_id FROM guest_passes WHERE site_id = ?1 AND subject = ?2 AND plate_id IS NOT NULL)
         RETURNING plate_id",
        [site.as_str(), subject.as_str()],
        |row| id(row.get(0)?, PlateId::new),
    )?;
    tx.execute(
        "UPDATE guest_passes SET ended_at = ?3 WHERE site_id = ?1 AND subject = ?2 AND ended_at IS NULL",
        params![site.as_str(), subject.as_str(), at.0],
    )?;
    plates.iter().try_for_each(|plate| sold_plate(tx, sale, plate))?;
    Ok(u32::try_from(plates.len()).unwrap_or(u32::MAX))
}

/// A controller has let a plate of a single entry in, and ended it at `ends_at`: it ends at the site's other controllers too.
/// Whether that is news for them. A controller whose clock is ahead ends it no later than one whose clock is right.
pub(super) fn entered(
    tx: &Transaction<'_>,
    site: &SiteId,
    plate: &PlateId,
    (entered_at, ends_at): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<bool, StorageError> {
    let ends_at = ends_at.min(now.plus_ms(ENTRY_MS));
    tx.execute(
        "UPDATE guest_passes SET used_at = ?3 WHERE site_id = ?1 AND plate_id = ?2 AND single_entry <> 0 AND used_at IS NULL",
        params![site.as_str(), plate.as_str(), entered_at.0],
    )?;
    let changed = tx.execute(
        "UPDATE plates SET valid_until = ?3 WHERE site_id = ?1 AND plate_id = ?2 AND single_entry <> 0
             AND (valid_until IS NULL OR valid_until > ?3)",
        params![site.as_str(), plate.as_str(), ends_at.0],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    append_change(tx, site, ChangeKind::PlateAdmitted, plate.as_str(), now)?;
    Ok(true)
}

impl Storage {
    /// Gives a pass, and admits its plate with it.
    pub async fn give_pass(&self, scope: &Scope, new: NewGuestPass, at: Timestamp) -> Result<(), PlateStoreError> {
        let scope = scope.clone();
        self.write(move |tx| {
            if !site_visible(tx, &scope, &new.site)? {
                return Err(PlateStoreError::NotFound);
            }
            if let Some((_, fingerprint)) = &new.subject
                && let Some(sale) = blocking_sale(tx, &new.site, fingerprint)?
            {
                return Err(PlateStoreError::Blocked(sale));
            }
            let plate_id = match &new.plate {
                Some(plate) => match admit(tx, plate, at)? {
                    (plate_id, true) => Some(plate_id),
                    (_, false) => return Err(PlateStoreError::Exists),
                },
                None => None,
            };
            tx.execute(
                "INSERT INTO guest_passes
                     (pass_id, site_id, subject, plate_id, single_entry, valid_from, valid_until, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    new.pass_id.as_str(),
                    new.site.as_str(),
                    new.subject.as_ref().map(|(subject, _)| subject.as_str()),
                    plate_id.as_ref().map(PlateId::as_str),
                    i64::from(new.single_entry),
                    new.from.0,
                    new.until.0,
                    at.0
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// The passes of a site, those too that are over; `None` if it is not within the scope.
    pub async fn passes(&self, scope: &Scope, site: &SiteId) -> Result<Option<Vec<GuestPass>>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            tx.query(&format!("{COLUMNS} WHERE p.site_id = ?1 ORDER BY p.pass_id"), [site.as_str()], pass).map(Some)
        })
        .await
    }

    /// A pass within the scope.
    pub async fn pass(
        &self,
        scope: &Scope,
        site: &SiteId,
        pass_id: &GuestPassId,
    ) -> Result<Option<GuestPass>, StorageError> {
        let (scope, site, pass_id) = (scope.clone(), site.clone(), pass_id.clone());
        self.read(move |tx| find(tx, &scope, &site, &pass_id)).await
    }

    /// Takes a pass back: its plate is admitted no more. `None` if there is no such pass within the scope, or it has ended.
    pub async fn end_pass(
        &self,
        scope: &Scope,
        site: &SiteId,
        pass_id: &GuestPassId,
        at: Timestamp,
    ) -> Result<Option<()>, StorageError> {
        let (scope, site, pass_id) = (scope.clone(), site.clone(), pass_id.clone());
        self.write(move |tx| {
            let found = find(tx, &scope, &site, &pass_id)?;
            let Some(pass) = found.filter(|pass| !pass.ended) else { return Ok(None) };
            let sql = "UPDATE guest_passes SET ended_at = ?2 WHERE pass_id = ?1";
            tx.execute(sql, params![pass_id.as_str(), at.0])?;
            if let Some(plate) = &pass.plate_id {
                remove(tx, &site, plate, at)?;
            }
            Ok(Some(()))
        })
        .await
    }

    /// Takes the opening of a pass, before it is ordered; a single entry is then had. `None` if there is no such pass within
    /// the scope.
    pub async fn take_opening(
        &self,
        scope: &Scope,
        site: &SiteId,
        pass_id: &GuestPassId,
        command: &CommandId,
        at: Timestamp,
    ) -> Result<Option<Result<(), Unusable>>, StorageError> {
        let (scope, site, pass_id, command) = (scope.clone(), site.clone(), pass_id.clone(), command.clone());
        self.write(move |tx| {
            let Some(pass) = find(tx, &scope, &site, &pass_id)? else { return Ok(None) };
            if pass.plate_id.is_some() {
                return Ok(Some(Err(Unusable::IsAPlate)));
            }
            let state = pass.state(at);
            if state != PassState::Valid {
                return Ok(Some(Err(Unusable::State(state))));
            }
            if pass.single_entry {
                let sql = "UPDATE guest_passes SET used_at = ?2, used_by = ?3 WHERE pass_id = ?1";
                tx.execute(sql, params![pass_id.as_str(), at.0, command.as_str()])?;
            }
            Ok(Some(Ok(())))
        })
        .await
    }

    /// Gives back what [`Storage::take_opening`] took for `command`: nothing was opened, and nothing will be.
    pub async fn return_opening(&self, pass_id: &GuestPassId, command: &CommandId) -> Result<(), StorageError> {
        let (pass_id, command) = (pass_id.clone(), command.clone());
        self.write(move |tx| {
            let sql = "UPDATE guest_passes SET used_at = NULL, used_by = NULL WHERE pass_id = ?1 AND used_by = ?2";
            tx.execute(sql, [pass_id.as_str(), command.as_str()])?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api, CONTROLLER, SITE, as_admin};
    use cardea_protocol::event::{AccessDecision, Event, EventKind};
    use cardea_protocol::id::{ControllerId, EventId};
    use serde_json::json;

    fn site() -> SiteId {
        SiteId::new(SITE).unwrap()
    }

    async fn given(api: &Api, pass: &serde_json::Value) -> GuestPassId {
        let given = api.post(&format!("/v1/sites/{SITE}/guest-passes"), pass, as_admin()).await;
        GuestPassId::new(given.json["pass_id"].as_str().unwrap()).unwrap()
    }

    async fn found(api: &Api, pass: &GuestPassId) -> GuestPass {
        api.app.storage.pass(&Scope::Operator, &site(), pass).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn one_entry_is_taken_once_and_given_back_only_by_who_took_it() {
        let api = Api::new().await;
        let (storage, now) = (&api.app.storage, api.app.now());
        let pass = given(&api, &json!({"valid_until": "2026-11-30T00:00:00Z"})).await;
        let (first, second) = (CommandId::random(), CommandId::random());
        let take = async |command: &CommandId| {
            storage.take_opening(&Scope::Operator, &site(), &pass, command, now).await.unwrap().unwrap()
        };
        let both = tokio::join!(take(&first), take(&second));
        assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
        let (taker, other) = if both.0.is_ok() { (&first, &second) } else { (&second, &first) };
        storage.return_opening(&pass, other).await.unwrap();
        assert_eq!(take(other).await, Err(Unusable::State(PassState::Used)));
        storage.return_opening(&pass, taker).await.unwrap();
        assert_eq!(take(other).await, Ok(()));
        let many = given(&api, &json!({"valid_until": "2026-11-30T00:00:00Z", "single_entry": false})).await;
        for _ in 0..2 {
            let taken = storage.take_opening(&Scope::Operator, &site(), &many, &first, now).await.unwrap();
            assert_eq!(taken, Some(Ok(())));
        }
    }

    #[tokio::test]
    async fn a_guests_entry_ends_the_plate_for_every_controller_and_only_the_first_counts() {
        let api = Api::new().await;
        let pass = given(&api, &json!({"plate": "A123BC77", "valid_until": "2026-11-30T00:00:00Z"})).await;
        let plate = found(&api, &pass).await.plate_id.unwrap();
        let now = api.app.now();
        let event = |ends_at: Timestamp| {
            let decision = json!({"credential": "plate", "granted": true, "reason": "plate-admitted"});
            let decision: AccessDecision = serde_json::from_value(decision).unwrap();
            let decision = AccessDecision { plate_id: Some(plate.clone()), ends_at: Some(ends_at), ..decision };
            let kind = EventKind::AccessDecision(decision);
            Event { id: EventId::random(), seq: 1, at: now, access_point: None, kind }
        };
        let store = async |ends_at| {
            let controller = ControllerId::new(CONTROLLER).unwrap();
            api.app.storage.store_events(&site(), &controller, vec![event(ends_at)], now).await.unwrap()
        };
        let before = api.revision().await;
        assert!(store(now.plus_ms(300_000)).await.changed);
        assert_eq!(api.revision().await, before + 1, "the controllers are told");
        let used = found(&api, &pass).await;
        assert_eq!((used.state(now), used.used_at), (PassState::Used, Some(now)));
        assert!(!store(now.plus_ms(600_000)).await.changed, "a later end is no end");
        let plates = api.app.storage.plates(&Scope::Operator, &site()).await.unwrap().unwrap();
        assert_eq!(plates[0].validity.until, Some(now.plus_ms(300_000)));
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_makes_no_entry_longer_and_one_that_is_behind_ends_it_when_it_says() {
        let hour = 3_600_000;
        for (its_clock, ends) in
            [(hour, ENTRY_MS), (ENTRY_MS + 1, ENTRY_MS), (0, ENTRY_MS), (-60_000, ENTRY_MS - 60_000)]
        {
            let api = Api::new().await;
            let pass = given(&api, &json!({"plate": "A123BC77", "valid_until": "2026-11-30T00:00:00Z"})).await;
            let (plate, now) = (found(&api, &pass).await.plate_id.unwrap(), api.app.now());
            let by_its_clock = now.plus_ms(its_clock);
            let times = (by_its_clock, by_its_clock.plus_ms(ENTRY_MS));
            let ended = move |tx: &Transaction<'_>| entered(tx, &site(), &plate, times, now);
            assert!(api.app.storage.write(ended).await.unwrap());
            let plates = api.app.storage.plates(&Scope::Operator, &site()).await.unwrap().unwrap();
            assert_eq!(plates[0].validity.until, Some(now.plus_ms(ends)), "a clock {its_clock} ms off");
            assert_eq!(found(&api, &pass).await.used_at, Some(by_its_clock), "as the controller says");
        }
    }

    #[tokio::test]
    async fn a_residents_plate_is_not_ended_by_an_event() {
        let api = Api::new().await;
        let admitted = api.post(&format!("/v1/sites/{SITE}/plates"), &json!({"plate": "A123BC77"}), as_admin()).await;
        let plate = PlateId::new(admitted.json["plate_id"].as_str().unwrap()).unwrap();
        let now = api.app.now();
        let ended = move |tx: &Transaction<'_>| entered(tx, &site(), &plate, (now, now), now);
        assert!(!api.app.storage.write(ended).await.unwrap());
    }
}
