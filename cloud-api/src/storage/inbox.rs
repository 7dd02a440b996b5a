//! What controllers report, stored once however often it arrives.

use cardea_protocol::Timestamp;
use cardea_protocol::event::{AccessDecision, Event, EventKind};
use cardea_protocol::id::{ControllerId, EventId, SiteId};

use super::controllers::touch;
use super::engine::{Transaction, params};
use super::guest_passes::entered;
use super::webhooks::outbox::announce;
use super::{Storage, StorageError};
use crate::webhooks::Kind;

fn insert(
    tx: &Transaction<'_>,
    site: &SiteId,
    controller: &ControllerId,
    event: &Event,
    received_at: Timestamp,
) -> Result<bool, StorageError> {
    let kind = serde_json::to_string(&event.kind).map_err(|_| StorageError::Corrupt("event"))?;
    let stored = tx.execute(
        "INSERT INTO events (event_id, site_id, controller_id, seq, at, received_at, access_point_id, kind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        params![
            event.id.as_str(),
            site.as_str(),
            controller.as_str(),
            i64::try_from(event.seq).unwrap_or(i64::MAX),
            event.at.0,
            received_at.0,
            event.access_point.as_ref().map(|point| point.as_str()),
            kind
        ],
    )?;
    if stored == 1 && matches!(event.kind, EventKind::AccessDecision(_)) {
        announce(tx, Kind::AccessEvent, site, &[("event_id", event.id.as_str())], received_at)?;
    }
    let EventKind::AccessDecision(AccessDecision { plate_id: Some(plate), ends_at: Some(ends_at), .. }) = &event.kind
    else {
        return Ok(false);
    };
    entered(tx, site, plate, (event.at, *ends_at), received_at)
}

/// What [`Storage::store_events`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventsStored {
    /// The highest outbox number among them.
    pub through: Option<u64>,
    /// Whether they have changed what the site's controllers are to hold: a guest's single entry was had.
    pub changed: bool,
}

impl Storage {
    /// Stores a controller's events, in one transaction.
    pub async fn store_events(
        &self,
        site: &SiteId,
        controller: &ControllerId,
        events: Vec<Event>,
        received_at: Timestamp,
    ) -> Result<EventsStored, StorageError> {
        let (site, controller) = (site.clone(), controller.clone());
        self.write(move |tx| {
            touch(tx, &controller, received_at)?;
            let mut stored = EventsStored::default();
            for event in &events {
                stored.changed |= insert(tx, &site, &controller, event, received_at)?;
                stored.through = stored.through.max(Some(event.seq));
            }
            Ok(stored)
        })
        .await
    }

    /// Records an alarm that the cloud itself raises about a controller. It has no place in the controller's outbox:
    /// number 0.
    pub async fn raise_alarm(
        &self,
        site: &SiteId,
        controller: &ControllerId,
        alarm: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let kind = EventKind::Alarm { alarm: alarm.to_owned() };
        let event = Event { id: EventId::random(), seq: 0, at, access_point: None, kind };
        let (site, controller) = (site.clone(), controller.clone());
        self.write(move |tx| insert(tx, &site, &controller, &event, at).map(drop)).await
    }
}
