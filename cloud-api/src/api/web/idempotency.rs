//! `Idempotency-Key`: a call that is repeated because its answer got lost is answered again, and does nothing.
//!
//! Every call that changes something takes the header; [`crate::api::access_point`] needs it and keeps its own ledger, since
//! an order has an outcome of its own. A key is an account's, and good for a day. Only what was done is kept: after a
//! refusal the key is free. A claim code or a secret is told once: the repeated call says that it was.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use zeroize::Zeroizing;

use crate::api::web::extract::{self, IdempotencyKey};
use crate::auth::roles::Operation;
use crate::auth::{Caller, Target};
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::idempotent_answers::{AnswerKey, KeptAnswer, Known};

/// After this long without an answer (the cloud was restarted) a call is carried out again, milliseconds.
pub(in crate::api) const ABANDONED_AFTER_MS: i64 = 60_000;
/// Answers of changes are small; a larger one is not kept.
const KEPT_BYTES: usize = 16 * 1024;

/// The header, in the answers that are not the first.
const REPLAYED: &str = "idempotency-replayed";

/// Whether the answers of an operation are kept here.
pub(in crate::api) fn covers(method: &Method, operation: Operation) -> bool {
    // An export changes nothing; orders to open and the photo look after themselves.
    let by_itself = matches!(
        operation,
        Operation::ExportIncident | Operation::Open | Operation::OpenWithPass | Operation::EnrolFace
    );
    !method.is_safe() && !by_itself
}

/// The middleware, behind the check of roles.
pub(in crate::api) async fn answer_once(
    State((app, operation)): State<(Shared, Operation)>,
    request: Request,
    next: Next,
) -> Response {
    if !covers(request.method(), operation) {
        return next.run(request).await;
    }
    let key = match given(request.headers()) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    let Some(caller) = request.extensions().get::<Caller>().cloned() else { return Problem::Internal.into_response() };
    let (parts, body) = request.into_parts();
    let bytes = match extract::read_body(&parts.headers, body, extract::JSON_LIMIT_BYTES).await {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(problem) => return problem.into_response(),
    };
    let request_of = format!("{} {}\0", parts.method, parts.uri);
    let fingerprint = app.vault.hmac(&Zeroizing::new([request_of.as_bytes(), &bytes].concat()));
    let request = Request::from_parts(parts, Body::from(Bytes::from_owner(bytes)));
    let key = AnswerKey { principal_id: caller.principal_id, key };
    once(&app, key, fingerprint, operation, next.run(request)).await
}

/// The key, if there is one.
pub(in crate::api) fn given(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    match headers.get("idempotency-key") {
        None => Ok(None),
        Some(_) => IdempotencyKey::read(headers).map(Some).ok_or(Problem::IdempotencyKeyMalformed),
    }
}

/// Carries `work` out, unless the key is known.
pub(in crate::api) async fn once(
    app: &App,
    key: AnswerKey,
    fingerprint: [u8; 32],
    operation: Operation,
    work: impl Future<Output = Response>,
) -> Response {
    let now = app.now();
    match app.storage.begin_answer(key.clone(), fingerprint, now, now.plus_ms(-ABANDONED_AFTER_MS)).await {
        Ok(Known::New) => {}
        Ok(Known::Other) => return Problem::IdempotencyKeyReused.into_response(),
        Ok(Known::InProgress) => return Problem::InProgress.into_response(),
        Ok(Known::Answered(answer)) => return again(answer),
        Err(error) => return Problem::from(error).into_response(),
    }
    let (response, kept) = keep(work.await, operation).await;
    if let Err(error) = app.storage.end_answer(key, kept).await {
        tracing::error!(%error, operation = operation.id(), "an answer could not be kept for a repeated call");
    }
    response
}

async fn keep(response: Response, operation: Operation) -> (Response, Option<KeptAnswer>) {
    if !response.status().is_success() {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    let told_once = matches!(
        operation,
        Operation::RegisterController
            | Operation::RenewClaim
            | Operation::RegisterWebhook
            | Operation::RotateWebhookSecret
    );
    let body = std::str::from_utf8(&bytes).ok().filter(|text| !told_once && text.len() <= KEPT_BYTES);
    let kept = KeptAnswer {
        status: parts.status.as_u16(),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        body: body.map(str::to_owned),
    };
    (Response::from_parts(parts, Body::from(bytes)), Some(kept))
}

fn again(answer: KeptAnswer) -> Response {
    let Some(body) = answer.body else {
        return Problem::Conflict("this was done, and its answer is told once: see what stands, or use a fresh key")
            .into_response();
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let json = !body.is_empty();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if json {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in [(header::LOCATION, answer.location), (header::ETAG, answer.etag)] {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response.extensions_mut().insert(Target("repeated".to_owned()));
    response
}

#[cfg(test)]
mod tests {
    use crate::testing::{Api, FACE_PHOTO, SITE, SUBJECT, as_admin, as_operator, as_service, consent};
    use axum::body::Body;
    use axum::http::{Method, header};
    use serde_json::{Value, json};

    async fn keyed(api: &Api, path: &str, key: &str, body: &Value, who: crate::testing::As) -> crate::testing::Answer {
        let request = api.request(&Method::POST, path, who).header("idempotency-key", key);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        api.call(request.body(Body::from(body.to_string())).unwrap()).await
    }

    #[tokio::test]
    async fn the_same_call_is_answered_again_and_done_once() {
        let api = Api::new().await;
        let (path, body) = (format!("/v1/sites/{SITE}/consents"), consent(SUBJECT));
        let first = keyed(&api, &path, "key-1", &body, as_admin()).await;
        let again = keyed(&api, &path, "\"KEY-1\"", &body, as_admin()).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.json, again.json);
        assert_eq!(
            (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
            (String::new(), "true".into())
        );
        assert_eq!(
            keyed(&api, &path, "key-2", &body, as_admin()).await.problem(),
            (409, "conflict"),
            "really done once"
        );
        let sales = format!("/v1/sites/{SITE}/property-sales");
        let sale = json!({"plates": ["A123BC77"], "subjects": []});
        let first = keyed(&api, &sales, "key-3", &sale, as_admin()).await;
        let again = keyed(&api, &sales, "key-3", &sale, as_admin()).await;
        assert_eq!(
            (&first.json["sale_id"], first.header("location")),
            (&again.json["sale_id"], again.header("location"))
        );
    }

    #[tokio::test]
    async fn another_request_under_a_key_is_refused_and_another_account_has_its_own() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/plates");
        let (one, other) = (json!({"plate": "A123BC77"}), json!({"plate": "A124BC77"}));
        assert_eq!(keyed(&api, &path, "key-1", &one, as_admin()).await.status, 201);
        assert_eq!(keyed(&api, &path, "key-1", &other, as_admin()).await.problem(), (422, "idempotency-key-reused"));
        let cards = format!("/v1/sites/{SITE}/cards");
        assert_eq!(keyed(&api, &cards, "key-1", &one, as_admin()).await.problem(), (422, "idempotency-key-reused"));
        assert_eq!(keyed(&api, &path, "key-1", &other, as_service()).await.status, 201);
        for key in ["", "two words", "ключ", "\"half", "\"\"twice\"\"", &"k".repeat(65)] {
            let answer = keyed(&api, &path, key, &one, as_admin()).await;
            assert_eq!(answer.problem(), (400, "idempotency-key-malformed"), "{key}");
        }
    }

    #[tokio::test]
    async fn a_refusal_frees_the_key_and_a_day_forgets_it() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/plates");
        let bad = keyed(&api, &path, "key-1", &json!({"plate": "?"}), as_admin()).await;
        assert_eq!(bad.problem(), (422, "plate-malformed"));
        let good = json!({"plate": "A123BC77"});
        assert_eq!(keyed(&api, &path, "key-1", &good, as_admin()).await.status, 201);
        api.clock.advance_ms(day_ms());
        let other = json!({"plate": "A124BC77"});
        assert_eq!(keyed(&api, &path, "key-1", &other, as_admin()).await.status, 201);
    }

    fn day_ms() -> u32 {
        u32::try_from(crate::storage::idempotent_answers::KEPT_MS + 1).unwrap()
    }

    #[tokio::test]
    async fn a_claim_code_is_told_once() {
        let api = Api::new().await;
        let (path, body) = (format!("/v1/sites/{SITE}/controllers"), json!({"controller_id": "gate-9"}));
        let first = keyed(&api, &path, "key-1", &body, as_operator()).await;
        assert_eq!(first.status, 201);
        let again = keyed(&api, &path, "key-1", &body, as_operator()).await;
        assert_eq!(again.problem(), (409, "conflict"));
        let code = first.json["claim_code"].as_str().unwrap();
        assert!(!api.database_bytes().await.windows(code.len()).any(|bytes| bytes == code.as_bytes()));
    }

    #[tokio::test]
    async fn a_photo_sent_twice_is_one_template() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
        let path = format!("/v1/sites/{SITE}/subjects/{SUBJECT}/faces");
        let send = |key: &'static str, photo: &'static [u8]| {
            let request = api.request(&Method::POST, &path, as_admin()).header("idempotency-key", key);
            api.call(request.header(header::CONTENT_TYPE, "image/jpeg").body(Body::from(photo)).unwrap())
        };
        let first = send("key-1", FACE_PHOTO).await;
        let again = send("key-1", FACE_PHOTO).await;
        assert_eq!((first.status, &first.json["template_id"]), (201, &again.json["template_id"]));
        assert_eq!(send("key-1", b"no face").await.problem(), (422, "idempotency-key-reused"));
    }
}
