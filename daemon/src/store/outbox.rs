//! Events on their way to the cloud: durable, bounded in rows and bytes, deleted when the cloud has stored them.
//!
//! When there is no room, the oldest of the least worth go first, and an event says how many went.

use cardea_access::time::Timestamp;
use cardea_protocol::event::{Event, EventKind};
use cardea_protocol::id::{AccessPointId, EventId};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::held::stored;
use super::{Store, StoreError};
use crate::config::EventsConfig;

/// The most events a message carries.
const BATCH: usize = cardea_protocol::limit::EVENTS;

/// What stands in a row beside the JSON, roughly.
const ROW_OVERHEAD: usize = 128;

/// 0: comes again or is history soon; 1: nobody passed; 2: somebody passed, or should have looked; 3: never dropped.
fn worth(kind: &EventKind) -> i64 {
    match kind {
        EventKind::AccessPointState { .. } | EventKind::Equipment { .. } | EventKind::Controller { .. } => 0,
        EventKind::AccessDecision(decision) if !decision.granted => 1,
        EventKind::AccessDecision(_)
        | EventKind::Posture { .. }
        | EventKind::Alarm { .. }
        | EventKind::Erased { .. } => 2,
        EventKind::Dropped { .. } => 3,
    }
}

impl Store {
    /// Adds an event without waiting; its `seq` is given here. A failure is logged: nobody at the gate can mend it.
    pub(crate) fn push_event(&self, event: Event) {
        let queued =
            self.enqueue(Box::new(move |db| match db.write(|tx, options| push(tx, &options.events, &event)) {
                Ok(()) => db.news.outbox.send_modify(|count| *count += 1),
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "an event was lost"),
            }));
        if queued.is_err() {
            tracing::error!("an event was lost: the storage has been closed");
        }
    }

    /// The oldest events, at most [`BATCH`], after number `after`.
    pub async fn events(&self, after: u64) -> Result<Vec<Event>, StoreError> {
        self.on_thread(move |db| {
            db.write(|tx, _| {
                let events = read(tx, after)?;
                if let (Some(first), Some(last)) = (events.first(), events.last()) {
                    tx.execute(
                        "UPDATE outbox SET offered = 1 WHERE seq BETWEEN ?1 AND ?2 AND offered = 0",
                        [first.seq as i64, last.seq as i64],
                    )?;
                }
                Ok(events)
            })
        })
        .await
    }

    /// The cloud has stored all events up to this number.
    pub async fn events_stored(&self, through: u64) -> Result<(), StoreError> {
        self.on_thread(move |db| {
            db.connection.execute("DELETE FROM outbox WHERE seq <= ?1", [through as i64])?;
            Ok(())
        })
        .await
    }

    /// How many events wait.
    pub async fn events_waiting(&self) -> Result<u64, StoreError> {
        self.on_thread(|db| {
            let count: i64 = db.connection.query_row("SELECT rows FROM outbox_size", [], |row| row.get(0))?;
            Ok(count as u64)
        })
        .await
    }
}

fn push(tx: &Transaction<'_>, bounds: &EventsConfig, event: &Event) -> Result<(), StoreError> {
    insert(tx, event)?;
    let dropped = make_room(tx, bounds)?;
    if dropped > 0 {
        report_dropped(tx, dropped, event.at)?;
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, event: &Event) -> Result<(), StoreError> {
    let kind = serde_json::to_string(&event.kind).map_err(|_| StoreError::Corrupt("event"))?;
    tx.prepare_cached(
        "INSERT INTO outbox (event_id, at, access_point, kind, worth, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        event.id.as_str(),
        event.at.0,
        event.access_point.as_ref().map(AccessPointId::as_str),
        kind,
        worth(&event.kind),
        (kind.len() + ROW_OVERHEAD) as i64
    ])?;
    Ok(())
}

/// Deletes until the bounds hold again; returns how many events went.
fn make_room(tx: &Transaction<'_>, bounds: &EventsConfig) -> Result<u64, StoreError> {
    let max_bytes = i64::from(bounds.max_kib) * 1024;
    let (mut rows, mut bytes): (i64, i64) =
        tx.query_row("SELECT rows, bytes FROM outbox_size", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut dropped = 0;
    // One row of slack, so that the report of what was dropped fits too.
    while rows >= i64::from(bounds.max_rows) || bytes >= max_bytes {
        let next: Option<(i64, i64)> = tx
            .query_row("SELECT seq, bytes FROM outbox WHERE worth < 3 ORDER BY worth, seq LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((seq, size)) = next else { break };
        tx.execute("DELETE FROM outbox WHERE seq = ?1", [seq])?;
        rows -= 1;
        bytes -= size;
        dropped += 1;
    }
    Ok(dropped)
}

/// One report that grows, until it has been sent; then another.
fn report_dropped(tx: &Transaction<'_>, dropped: u64, at: Timestamp) -> Result<(), StoreError> {
    let open: Option<(i64, String)> = tx
        .query_row(
            "SELECT seq, kind FROM outbox WHERE worth = 3 AND offered = 0 ORDER BY seq DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let mut count = dropped;
    if let Some((seq, kind)) = open {
        if let Ok(EventKind::Dropped { count: before }) = serde_json::from_str(&kind) {
            count += before;
        }
        tx.execute("DELETE FROM outbox WHERE seq = ?1", [seq])?;
    }
    let kind = EventKind::Dropped { count };
    insert(tx, &Event { id: EventId::random(), seq: 0, at, access_point: None, kind })
}

fn read(tx: &Transaction<'_>, after: u64) -> Result<Vec<Event>, StoreError> {
    let mut rows = tx.prepare_cached(
        "SELECT seq, event_id, at, access_point, kind FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = rows.query(params![after as i64, BATCH as i64])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let access_point: Option<String> = row.get(3)?;
        events.push(Event {
            id: stored(EventId::new(row.get::<_, String>(1)?), "event id")?,
            seq: row.get::<_, i64>(0)? as u64,
            at: Timestamp(row.get(2)?),
            access_point: access_point.map(|id| stored(AccessPointId::new(id), "access point id")).transpose()?,
            kind: serde_json::from_str(&row.get::<_, String>(4)?).map_err(|_| StoreError::Corrupt("event"))?,
        });
    }
    Ok(events)
}
