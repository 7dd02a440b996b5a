//! Reading requests: every rejection is a problem document, every body has a limit in size and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::{HeaderMap, header, request::Parts};
use cardea_protocol::id::{CommandId, IdError, SubjectToken};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// Largest JSON or form body, bytes.
pub(crate) const JSON_LIMIT_BYTES: usize = 64 * 1024;
/// Largest enrolment photo, bytes.
pub(crate) const PHOTO_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// A body must be complete within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body. Unknown fields are refused by the types themselves.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_media_type(&parts.headers, &["application/json"], "JSON: Content-Type application/json")?;
        let bytes = Zeroizing::new(read_body(&parts.headers, body, JSON_LIMIT_BYTES).await?);
        parse_json(&bytes).map(Self)
    }
}

pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            Problem::InvalidField(without_value(&error.to_string()))
        } else {
            Problem::Malformed("JSON body")
        }
    })
}

/// serde's message without the offending value, which may be personal data sent by mistake. Names of fields and the
/// messages of our own types repeat nothing.
fn without_value(message: &str) -> String {
    for found in ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "] {
        if message.starts_with(found) {
            let expected = message.rsplit_once(", expected ").map_or("another value", |(_, expected)| expected);
            return format!("a value has the wrong form: expected {expected}");
        }
    }
    match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((field, rest)) => {
            let plain = field.len() <= 40 && field.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            format!("unknown field `{}`{rest}", if plain { field } else { "…" })
        }
        None => message.to_owned(),
    }
}

/// Path parameters. One that is not even of the right form names nothing.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state).await.map(|Path(params)| Self(params)).map_err(|_| Problem::NotFound)
    }
}

/// The query string. Unknown parameters are refused by the types themselves.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(|error| Problem::InvalidField(without_value(&error.to_string())))
    }
}

/// The caller's `Idempotency-Key`.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if !parts.headers.contains_key("idempotency-key") {
            return Err(Problem::IdempotencyKeyMissing);
        }
        Self::read(&parts.headers).map(Self).ok_or(Problem::IdempotencyKeyMalformed)
    }
}

impl IdempotencyKey {
    /// The key, if there is one and it is one.
    pub(crate) fn read(headers: &HeaderMap) -> Option<String> {
        let mut values = headers.get_all("idempotency-key").iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let value = value.to_str().ok()?;
        // A string of structured fields (RFC 9651 §3.3.3) has quotes around it.
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let key = unquoted.unwrap_or(value).to_ascii_lowercase();
        CommandId::new(key.as_str()).is_ok().then_some(key)
    }
}

/// The subject token of a path, which must be opaque (requirement S6).
pub(crate) fn subject(text: &str) -> Result<SubjectToken, Problem> {
    SubjectToken::new(text).map_err(|_: IdError| Problem::SubjectNotOpaque)
}

/// Refuses a body of another type than these.
pub(crate) fn require_media_type(headers: &HeaderMap, types: &[&str], wanted: &'static str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let known = types.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type));
    if known { Ok(()) } else { Err(Problem::UnsupportedMediaType(wanted)) }
}

/// The whole body, if it is within the limit and arrives in time. What was read is overwritten if it does not; the
/// buffers it passed through on its way (TLS, HTTP) are reused, not overwritten.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Vec<u8>, Problem> {
    read_body_within(headers, body, limit_bytes, BODY_TIMEOUT).await
}

async fn read_body_within(
    headers: &HeaderMap,
    body: Body,
    limit_bytes: usize,
    within: Duration,
) -> Result<Vec<u8>, Problem> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit_bytes) {
        return Err(Problem::BodyTooLarge { limit_bytes });
    }
    let mut stream = body.into_data_stream();
    // Room for all of it: a vector that grows leaves copies behind that nobody overwrites.
    let mut bytes = Zeroizing::new(Vec::with_capacity(declared.unwrap_or(limit_bytes)));
    let read = async {
        while let Some(chunk) = next(&mut stream).await {
            let chunk = chunk.map_err(|_| Problem::Malformed("body"))?;
            if bytes.len() + chunk.len() > limit_bytes {
                return Err(Problem::BodyTooLarge { limit_bytes });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(within, read).await {
        Ok(Ok(())) => Ok(std::mem::take(&mut *bytes)),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::BodyTimeout),
    }
}

type Chunks = axum::body::BodyDataStream;

async fn next(chunks: &mut Chunks) -> Option<Result<Bytes, axum::Error>> {
    use futures_util::StreamExt as _;
    chunks.next().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only parsed")]
        subject: SubjectToken,
        #[expect(dead_code, reason = "only parsed")]
        count: Option<u8>,
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        use futures_util::StreamExt as _;
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"plate\":"))]);
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        let read = read_body_within(&HeaderMap::new(), body, JSON_LIMIT_BYTES, Duration::from_millis(20)).await;
        assert!(matches!(read, Err(Problem::BodyTimeout)), "{read:?}");
    }

    fn detail(body: &str) -> String {
        parse_json::<Sample>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn no_detail_repeats_a_value() {
        for body in [
            r#"{"subject":"+79161234567"}"#,
            r#"{"subject":79161234567}"#,
            r#"{"subject":{"phone":"+79161234567"}}"#,
            r#"{"subject":"5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f","count":79161234567}"#,
            r#"{"subject":"5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f","count":"79161234567, expected +79161234567"}"#,
            r#"{"+79161234567":1}"#,
        ] {
            assert!(!detail(body).contains("7916"), "{body}: {}", detail(body));
        }
    }

    #[test]
    fn a_detail_says_what_is_wrong() {
        assert!(detail(r#"{"subject":"ivan@example.org"}"#).contains("must be opaque"));
        assert!(detail(r#"{"phone":1}"#).contains("unknown field `phone`, expected"));
        assert!(detail("{}").contains("missing field `subject`"));
        assert_eq!(detail("{"), "the JSON body cannot be parsed");
    }
}
