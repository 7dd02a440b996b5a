//! `GET /v1/sites/{site}/events`: what happened at a site, in the order the cloud learnt it.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::{EventId, SiteId};
use cardea_protocol::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::{Params, Query};
use crate::api::web::paging;
use crate::auth::Caller;
use crate::export::EventFields;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// Which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    /// Only what came after this event.
    after: Option<EventId>,
    /// At most this many, 1 to 1000; 100 where nothing is given.
    limit: Option<u32>,
}

/// Events of a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList {
    /// In the order the cloud learnt of them.
    events: Vec<EventView>,
    /// Pass it as `after` to get what comes next, now or later: it is there at the end too.
    next: Option<String>,
}

/// An event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Its id.
    event_id: String,
    /// When it happened, by the controller's clock (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// The barrier or door concerned.
    access_point_id: Option<String>,
    /// What happened.
    #[serde(flatten)]
    fields: EventFields,
}

// === handler ===

/// List a site's events.
#[utoipa::path(get, path = "/v1/sites/{site}/events", operation_id = "list_events", tag = "events",
    params(("site" = String, Path, description = "Site id"),
        ("after" = Option<String>, Query, description = "Only what came after this event"),
        ("limit" = Option<u32>, Query, description = "At most this many, 1 to 1000; 100 where nothing is given")),
    security(("token" = [])),
    responses((status = 200, description = "The events", body = EventList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Query(query): Query<EventQuery>,
) -> Result<Response, Problem> {
    let limit = paging::limit(query.limit)?;
    let after = query.after.as_ref().map(ToString::to_string);
    let events = app.storage.events(&caller.scope(), &site, query.after, limit).await?.ok_or(Problem::NotFound)?;
    let next = events.last().map(|event| event.event_id.to_string()).or(after);
    let events = events.into_iter().map(|event| EventView {
        event_id: event.event_id.to_string(),
        at: rfc3339::format(event.at),
        access_point_id: event.access_point.map(|point| point.to_string()),
        fields: EventFields::new(event.kind, &|_, value| value.to_owned()),
    });
    let link = next.clone();
    Ok(paging::linked(EventList { events: events.collect(), next }, limit, link.as_deref()))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, as_admin, as_other};

    #[tokio::test]
    async fn events_are_paged_without_gap_or_repetition() {
        let api = Api::new().await;
        api.add_events(5).await;
        let path = format!("/v1/sites/{SITE}/events");
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{path}?limit=2{after}"), as_admin()).await;
            let events = page.json["events"].as_array().unwrap();
            if events.is_empty() {
                break;
            }
            seen.extend(events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
            after = format!("&after={}", page.json["next"].as_str().unwrap());
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((seen.len(), unique.len()), (5, 5));
    }

    #[tokio::test]
    async fn limits_and_unknown_parameters_are_refused() {
        let api = Api::new().await;
        for query in ["limit=0", "limit=1001", "limit=x", "user=1"] {
            let answer = api.get(&format!("/v1/sites/{SITE}/events?{query}"), as_admin()).await;
            assert_eq!(answer.problem(), (422, "invalid-field"), "{query}");
        }
        assert_eq!(api.get(&format!("/v1/sites/{SITE}/events"), as_other()).await.problem(), (404, "not-found"));
    }
}
