//! Another period for what is admitted, shared by plates and cards.

use cardea_access::time::Timestamp;
use cardea_protocol::id::SiteId;
use cardea_protocol::message::Validity;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::api::validity;
use crate::api::web::etag::IfMatch;
use crate::problem::Problem;
use crate::state::App;
use crate::storage::StorageError;
use crate::storage::sites::Scope;
use crate::storage::validity::{Admitted, ValidityError};

// === error ===

impl From<ValidityError> for Problem {
    fn from(error: ValidityError) -> Self {
        match error {
            ValidityError::NotFound => Self::NotFound,
            ValidityError::OfAPass => {
                Self::Conflict("the plate is a guest's: take its pass back and give another one, or admit the plate")
            }
            ValidityError::Changed => Self::PreconditionFailed,
            ValidityError::Storage(error) => error.into(),
        }
    }
}

/// Why the transaction was given up.
enum Refused {
    Validity(ValidityError),
    Problem(Problem),
}

impl From<ValidityError> for Refused {
    fn from(error: ValidityError) -> Self {
        Self::Validity(error)
    }
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Validity(error.into())
    }
}

// === doc ===

/// Another period (JSON Merge Patch, RFC 7396): what is left out stays, `null` takes a limit away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeValidity {
    /// First instant it is admitted (RFC 3339).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Limit,
    /// First instant it is admitted no more (RFC 3339).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_until: Limit,
}

/// What becomes of one end of the period.
#[derive(Clone, Copy, Default)]
enum Limit {
    /// It stays as it is.
    #[default]
    Kept,
    /// It is this, or none.
    Given(Option<Timestamp>),
}

impl Limit {
    fn or(self, before: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Kept => before,
            Self::Given(limit) => limit,
        }
    }
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
    cardea_protocol::rfc3339::option::deserialize(deserializer).map(Limit::Given)
}

// === handler ===

/// Changes the period of something admitted at a site, if it is the one its caller has seen.
pub(in crate::api) async fn change(
    app: &App,
    scope: &Scope,
    site: &SiteId,
    what: (Admitted, String),
    seen: IfMatch,
    request: ChangeValidity,
) -> Result<Validity, Problem> {
    let change = move |before: Validity| {
        if !seen.allows(before) {
            return Err(Refused::Validity(ValidityError::Changed));
        }
        let from = request.valid_from.or(before.from);
        let until = request.valid_until.or(before.until);
        validity(from, until).map_err(Refused::Problem)
    };
    let changed = app.storage.change_validity(scope, site, what, change, app.now()).await;
    let (after, new) = changed.map_err(|refused| match refused {
        Refused::Validity(error) => error.into(),
        Refused::Problem(problem) => problem,
    })?;
    if new {
        app.sync.changed(site);
    }
    Ok(after)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Answer, Api, SITE, as_admin, as_other};
    use axum::body::Body;
    use axum::http::{Method, header};
    use serde_json::{Value, json};

    async fn patch(api: &Api, path: &str, tag: Option<&str>, body: &Value, who: crate::testing::As) -> Answer {
        let mut request = api.request(&Method::PATCH, path, who).header(header::CONTENT_TYPE, "application/json");
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        api.call(request.body(Body::from(body.to_string())).unwrap()).await
    }

    #[tokio::test]
    async fn a_period_changes_under_the_same_id_and_the_controllers_are_told() {
        let api = Api::new().await;
        for (list, body) in [("plates", json!({"plate": "A123BC77"})), ("cards", json!({"number": "w26:12:34567"}))] {
            let admitted = api.post(&format!("/v1/sites/{SITE}/{list}"), &body, as_admin()).await;
            let id = admitted.json.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
            let path = format!("/v1/sites/{SITE}/{list}/{id}");
            let tag = admitted.header("etag");
            let guest = json!({"valid_until": "2030-01-01T00:00:00Z"});
            assert_eq!(patch(&api, &path, None, &guest, as_admin()).await.problem(), (428, "precondition-required"));
            let before = api.revision().await;
            let changed = patch(&api, &path, Some(&tag), &guest, as_admin()).await;
            assert_eq!((changed.status, api.revision().await), (204, before + 1), "{list}");
            // Whoever has seen the old period changes nothing.
            assert_eq!(
                patch(&api, &path, Some(&tag), &json!({}), as_admin()).await.problem(),
                (412, "precondition-failed")
            );
            let seen = api.get(&path, as_admin()).await;
            assert_eq!(seen.json["valid_until"], "2030-01-01T00:00:00Z");
            assert_eq!(seen.header("etag"), changed.header("etag"));
            let inverted = json!({"valid_from": "2031-01-01T00:00:00Z"});
            assert_eq!(patch(&api, &path, Some("*"), &inverted, as_admin()).await.problem(), (422, "invalid-field"));
            let same = patch(&api, &path, Some("*"), &json!({}), as_admin()).await;
            assert_eq!((same.status, api.revision().await), (204, before + 1), "nothing to tell");
            let forever = patch(&api, &path, Some("*"), &json!({"valid_until": null}), as_admin()).await;
            assert_eq!((forever.status, forever.header("etag")), (204, tag));
            assert_eq!(patch(&api, &path, Some("*"), &guest, as_other()).await.problem(), (404, "not-found"));
            let none = format!("/v1/sites/{SITE}/{list}/none");
            assert_eq!(patch(&api, &none, Some("*"), &guest, as_admin()).await.problem(), (404, "not-found"));
        }
    }
}
