//! Barriers and doors, as their controllers report them.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{AccessPointId, ControllerId, SiteId};
use cardea_protocol::message::{AccessPoint, AccessPointKind};

use super::changes::id;
use super::controllers::touch;
use super::engine::{Row, Transaction, params};
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};

/// A barrier or door, and whether its controller is there.
#[derive(Clone, Debug)]
pub struct Equipment {
    /// The controller that drives it.
    pub controller: ControllerId,
    /// Whether the controller is connected.
    pub connected: bool,
    /// As the controller last reported it.
    pub access_point: AccessPoint,
}

fn access_point(row: &Row<'_>) -> Result<Equipment, StorageError> {
    Ok(Equipment {
        controller: id(row.get(0)?, ControllerId::new)?,
        connected: row.get(1)?,
        access_point: AccessPoint {
            id: id(row.get(2)?, AccessPointId::new)?,
            kind: match row.get::<String>(3)?.as_str() {
                "barrier" => AccessPointKind::Barrier,
                "door" => AccessPointKind::Door,
                _ => return Err(StorageError::Corrupt("kind of access point")),
            },
            credentials: serde_json::from_str(&row.get::<String>(4)?)
                .map_err(|_| StorageError::Corrupt("list of credentials"))?,
            reachable: row.get(5)?,
            state: row.get(6)?,
        },
    })
}

const EQUIPMENT: &str =
    "SELECT a.controller_id, c.connected, a.access_point_id, a.kind, a.credentials, a.reachable, a.state
     FROM access_points a JOIN controllers c USING (controller_id) WHERE c.site_id = ?1 AND c.status = 'active'";

/// Replaces what is known of a controller's equipment. An access point belongs to the controller that first named it:
/// another controller takes it over only once that one is revoked or decommissioned.
pub(super) fn replace_equipment(
    tx: &Transaction<'_>,
    controller: &ControllerId,
    equipment: &[AccessPoint],
) -> Result<(), StorageError> {
    tx.execute("DELETE FROM access_points WHERE controller_id = ?1", [controller.as_str()])?;
    for point in equipment {
        let kind = match point.kind {
            AccessPointKind::Barrier => "barrier",
            AccessPointKind::Door => "door",
        };
        let credentials =
            serde_json::to_string(&point.credentials).map_err(|_| StorageError::Corrupt("list of credentials"))?;
        let stored = tx.execute(
            "INSERT INTO access_points (access_point_id, controller_id, kind, credentials, reachable, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (access_point_id) DO UPDATE SET controller_id = excluded.controller_id, kind = excluded.kind,
                 credentials = excluded.credentials, reachable = excluded.reachable, state = excluded.state
             WHERE EXISTS (SELECT 1 FROM controllers c WHERE c.controller_id = access_points.controller_id
                 AND c.status IN ('revoked', 'decommissioned'))",
            params![point.id.as_str(), controller.as_str(), kind, credentials, point.reachable, point.state],
        )?;
        if stored == 0 {
            tracing::warn!(%controller, access_point = %point.id, "another controller has this access point: give one of them another id");
        }
    }
    Ok(())
}

impl Storage {
    /// The barriers and doors of a site; `None` if it is not within the scope.
    pub async fn equipment(&self, scope: &Scope, site: &SiteId) -> Result<Option<Vec<Equipment>>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            let sql = format!("{EQUIPMENT} ORDER BY a.access_point_id");
            tx.query(&sql, [site.as_str()], access_point).map(Some)
        })
        .await
    }

    /// One barrier or door of a site, for an order whose scope was judged when it was given.
    pub async fn access_point(&self, site: &SiteId, point: &AccessPointId) -> Result<Option<Equipment>, StorageError> {
        let (site, point) = (site.clone(), point.clone());
        self.read(move |tx| {
            let sql = format!("{EQUIPMENT} AND a.access_point_id = ?2");
            tx.query_opt(&sql, [site.as_str(), point.as_str()], access_point)
        })
        .await
    }

    /// Records the state of a controller's equipment.
    pub async fn record_equipment(
        &self,
        controller: &ControllerId,
        equipment: Vec<AccessPoint>,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let controller = controller.clone();
        self.write(move |tx| {
            touch(tx, &controller, at)?;
            replace_equipment(tx, &controller, &equipment)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn door(state: &str) -> AccessPoint {
        AccessPoint {
            id: AccessPointId::new("door-1").unwrap(),
            kind: AccessPointKind::Door,
            credentials: vec!["face".to_owned()],
            reachable: true,
            state: state.to_owned(),
        }
    }

    #[tokio::test]
    async fn an_access_point_stays_with_the_controller_that_named_it_first() {
        let storage = crate::testing::scratch_storage();
        storage
            .write(|tx| {
                tx.execute("INSERT INTO sites VALUES ('house-1', 'Test street 1', 0, 0)", [])?;
                tx.execute(
                    "INSERT INTO controllers (controller_id, site_id, status, created_at)
                     VALUES ('gate-1', 'house-1', 'active', 0), ('gate-2', 'house-1', 'active', 0)",
                    [],
                )?;
                Ok::<_, StorageError>(())
            })
            .await
            .unwrap();
        let (first, second) = (ControllerId::new("gate-1").unwrap(), ControllerId::new("gate-2").unwrap());
        let site = SiteId::new("house-1").unwrap();
        storage.record_equipment(&first, vec![door("closed")], Timestamp(1)).await.unwrap();
        storage.record_equipment(&second, vec![door("open")], Timestamp(2)).await.unwrap();
        storage.record_equipment(&first, vec![door("opening")], Timestamp(3)).await.unwrap();
        let known = storage.equipment(&Scope::Operator, &site).await.unwrap().unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!((&known[0].controller, &known[0].access_point), (&first, &door("opening")));
        let elsewhere = SiteId::new("house-2").unwrap();
        assert!(storage.access_point(&elsewhere, &door("").id).await.unwrap().is_none());

        storage.revoke_controller(&Scope::Operator, &first, Timestamp(4)).await.unwrap();
        assert!(storage.equipment(&Scope::Operator, &site).await.unwrap().unwrap().is_empty());
        storage.record_equipment(&second, vec![door("open")], Timestamp(5)).await.unwrap();
        let known = storage.equipment(&Scope::Operator, &site).await.unwrap().unwrap();
        assert_eq!(known.len(), 1, "the replacement of a revoked controller has its doors");
        assert_eq!((&known[0].controller, &known[0].access_point), (&second, &door("open")));
    }
}
