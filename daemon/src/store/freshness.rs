//! The cloud's last freshness statement, and the time it proves to have passed.
//!
//! The clock floor is the cloud's own time plus the time this program has run since; the machine's wall clock never
//! raises it, so a clock that once stood wrong cannot poison it, and a clock set back revives nothing.

use cardea_access::time::{Monotonic, Timestamp};
use cardea_protocol::id::Revision;
use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::seam::FreshnessState;

/// This boot of the machine, as the kernel names it (random(4), `boot_id`).
pub fn machine_boot() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned())
}

pub(super) fn load(connection: &Connection, boot: Option<&str>) -> Result<Option<FreshnessState>, StoreError> {
    let (revision, at, received, of_boot) = connection.query_row(
        "SELECT fresh_revision, fresh_at, fresh_received, fresh_boot FROM standing",
        [],
        |row| {
            Ok((
                row.get::<_, Option<i64>>(0)?,
                row.get::<_, Option<i64>>(1)?,
                row.get::<_, Option<i64>>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        },
    )?;
    let (Some(revision), Some(at)) = (revision, at) else { return Ok(None) };
    let same_boot = boot.is_some() && of_boot.as_deref() == boot;
    Ok(Some(FreshnessState {
        revision: Revision(revision as u64),
        statement_at: Timestamp(at),
        received: received.filter(|_| same_boot).map(|ms| Monotonic(ms as u64)),
    }))
}

pub(super) fn load_floor(connection: &Connection) -> Result<Timestamp, StoreError> {
    Ok(Timestamp(connection.query_row("SELECT clock_floor FROM standing", [], |row| row.get(0))?))
}

impl Store {
    /// Keeps the statement that `revision` was current at `at`, which came at `received`. An older one than the last, or
    /// one for a revision that is not yet applied here, is left alone: `false`.
    pub async fn keep_freshness(
        &self,
        revision: Revision,
        at: Timestamp,
        received: Monotonic,
    ) -> Result<bool, StoreError> {
        self.on_thread(move |db| {
            let kept = db.write(|tx, options| {
                let kept = tx.execute(
                    "UPDATE standing SET fresh_revision = ?1, fresh_at = ?2, fresh_received = ?3, fresh_boot = ?4,
                            clock_floor = max(clock_floor, ?2)
                     WHERE cursor >= ?1 AND (fresh_at IS NULL OR fresh_at <= ?2)",
                    params![revision.0 as i64, at.0, received.0 as i64, options.machine_boot],
                )?;
                Ok::<_, StoreError>(kept == 1)
            })?;
            if kept {
                let state = FreshnessState { revision, statement_at: at, received: Some(received) };
                db.news.freshness.send_replace(Some(state));
                db.news.clock_floor.send_modify(|floor| *floor = at.max(*floor));
            }
            Ok(kept)
        })
        .await
    }

    /// Raises the clock floor; it never goes back.
    pub async fn raise_clock_floor(&self, to: Timestamp) -> Result<(), StoreError> {
        self.on_thread(move |db| {
            db.write(|tx, _| {
                tx.execute("UPDATE standing SET clock_floor = max(clock_floor, ?1)", [to.0])?;
                Ok::<_, StoreError>(())
            })?;
            db.news.clock_floor.send_modify(|floor| *floor = to.max(*floor));
            Ok(())
        })
        .await
    }
}
