//! What outlives a restart of who is inside which area, which guests have had their entry, and which access points are locked
//! down by order.
//!
//! Ids and dates only. Whoever is held no more (erased, blocked, removed) is forgotten in the transaction that removes them.

use cardea_access::id::AreaId;
use cardea_access::passback::{Change, Holder, MAX_INSIDE, Since};
use cardea_access::time::{Monotonic, Timestamp};
use cardea_protocol::id::{AccessPointId, PlateId};
use rusqlite::{Transaction, params};
use tokio::sync::oneshot;

use super::{Store, StoreError};

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Who is inside.
    pub inside: Vec<(AreaId, Holder, Since)>,
    /// Access points that are locked down by order, by id.
    pub lockdowns: Vec<String>,
}

impl Store {
    /// What was kept.
    pub async fn kept(&self) -> Result<Kept, StoreError> {
        self.on_thread(|db| {
            let boot = db.options.machine_boot.clone();
            let mut rows = db.connection.prepare("SELECT area, kind, holder, since, mono, boot FROM inside")?;
            let mut rows = rows.query([])?;
            let mut kept = Kept::default();
            while let Some(row) = rows.next()? {
                let (area, kind, holder): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let (mono, of_boot): (Option<i64>, Option<String>) = (row.get(4)?, row.get(5)?);
                let mono = mono.filter(|_| boot.is_some() && of_boot == boot).map(|ms| Monotonic(ms as u64));
                let since = Since { wall: Timestamp(row.get(3)?), mono };
                kept.inside.push((area.into(), holder_of(&kind, holder)?, since));
            }
            let mut rows = db.connection.prepare("SELECT access_point FROM lockdowns")?;
            kept.lockdowns = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(kept)
        })
        .await
    }

    /// Keeps a passage, without waiting. A failure is logged: it costs one person a passage too many after a restart.
    pub fn keep_passage(&self, change: Change) {
        let work = move |tx: &Transaction<'_>, boot: Option<&str>| match &change {
            Change::Inside(area, holder, since) => {
                let (kind, id) = columns(holder);
                tx.execute(
                    "INSERT OR REPLACE INTO inside (area, kind, holder, since, mono, boot) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![area.as_str(), kind, id, since.wall.0, since.mono.map(|at| at.0 as i64), boot],
                )?;
                tx.execute(
                    "DELETE FROM inside WHERE (area, kind, holder) IN
                         (SELECT area, kind, holder FROM inside ORDER BY since DESC LIMIT -1 OFFSET ?1)",
                    [MAX_INSIDE as i64],
                )?;
                forget_gone(tx)
            }
            Change::Outside(area, holder) => {
                let (kind, id) = columns(holder);
                tx.execute(
                    "DELETE FROM inside WHERE area = ?1 AND kind = ?2 AND holder = ?3",
                    params![area.as_str(), kind, id],
                )?;
                Ok(())
            }
        };
        self.write_later("a passage", work);
    }

    /// Forgets who is inside `area`, or all areas. The answer is whether that is on the disk.
    pub(crate) fn forget_inside(&self, area: Option<&AreaId>) -> oneshot::Receiver<bool> {
        let area = area.map(|area| area.as_str().to_owned());
        self.write_later("that nobody is inside", move |tx, _| {
            tx.execute("DELETE FROM inside WHERE ?1 IS NULL OR area = ?1", [area])?;
            Ok(())
        })
    }

    /// Keeps which of these access points are locked down by order. The answer is whether that is on the disk.
    pub(crate) fn keep_lockdowns(&self, points: Vec<(AccessPointId, bool)>, at: Timestamp) -> oneshot::Receiver<bool> {
        self.write_later("a lockdown", move |tx, _| {
            for (point, locked_down) in &points {
                if *locked_down {
                    tx.execute(
                        "INSERT OR IGNORE INTO lockdowns (access_point, since) VALUES (?1, ?2)",
                        params![point.as_str(), at.0],
                    )?;
                } else {
                    tx.execute("DELETE FROM lockdowns WHERE access_point = ?1", [point.as_str()])?;
                }
            }
            Ok(())
        })
    }

    /// Keeps when a plate of a single entry ends that was let in, without waiting. A failure is logged: after a restart it may
    /// come in once more.
    pub(crate) fn keep_entered(&self, plate: PlateId, ends_at: Timestamp) -> oneshot::Receiver<bool> {
        self.write_later("that a guest has entered", move |tx, _| {
            tx.execute(
                "INSERT OR IGNORE INTO entered (plate_id, ends_at) VALUES (?1, ?2)",
                params![plate.as_str(), ends_at.0],
            )?;
            forget_gone(tx)
        })
    }

    fn write_later(
        &self,
        what: &'static str,
        work: impl FnOnce(&Transaction<'_>, Option<&str>) -> Result<(), StoreError> + Send + 'static,
    ) -> oneshot::Receiver<bool> {
        let (tell, told) = oneshot::channel();
        let queued = self.enqueue(Box::new(move |db| {
            let done = db.write(|tx, options| work(tx, options.machine_boot.as_deref()));
            if let Err(error) = &done {
                tracing::error!(error = error as &dyn std::error::Error, "{what} was not stored");
            }
            // Nobody may be waiting.
            let _ = tell.send(done.is_ok());
        }));
        if queued.is_err() {
            tracing::error!("{what} was not stored: the storage has been closed");
        }
        told
    }
}

/// Forgets whoever is held no more: no place is kept for a plate or card that was removed, nor for a subject of whom nothing
/// is left.
pub(super) fn forget_gone(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM inside WHERE
             (kind = 'plate' AND holder NOT IN (SELECT plate_id FROM plates))
             OR (kind = 'card' AND holder NOT IN (SELECT hash FROM cards))
             OR (kind = 'subject' AND holder NOT IN (SELECT subject FROM subject_keys)
                 AND holder NOT IN (SELECT subject FROM cards WHERE subject IS NOT NULL)
                 AND holder NOT IN (SELECT subject FROM plates WHERE subject IS NOT NULL))",
        [],
    )?;
    tx.execute("DELETE FROM entered WHERE plate_id NOT IN (SELECT plate_id FROM plates)", [])?;
    Ok(())
}

fn columns(holder: &Holder) -> (&'static str, &str) {
    match holder {
        Holder::Subject(id) => ("subject", id.as_str()),
        Holder::Plate(id) => ("plate", id.as_str()),
        Holder::Card(id) => ("card", id.as_str()),
    }
}

fn holder_of(kind: &str, id: String) -> Result<Holder, StoreError> {
    Ok(match kind {
        "subject" => Holder::Subject(id.into()),
        "plate" => Holder::Plate(id.into()),
        "card" => Holder::Card(id.into()),
        _ => return Err(StoreError::Corrupt("kind of who is inside")),
    })
}
