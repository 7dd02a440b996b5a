//! `ETag` and `If-Match` (RFC 9110 §8.8.3, §13.1.1): a change is made to what its caller has seen, or not at all.

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, header, request::Parts};
use axum::response::Response;
use cardea_protocol::message::Validity;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;

/// The tag of an admission: of what of it can change.
pub(in crate::api) fn of(validity: Validity) -> String {
    let text = format!("{:?}/{:?}", validity.from.map(|t| t.0), validity.until.map(|t| t.0));
    let digest = Sha256::digest(text);
    format!("\"{}\"", hex::encode(&digest[..8]))
}

/// Adds the tag of an admission.
pub(in crate::api) fn tagged(validity: Validity, mut response: Response) -> Response {
    if let Ok(tag) = HeaderValue::try_from(of(validity)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The caller's `If-Match`, without which nothing is changed.
pub(in crate::api) struct IfMatch(String);

impl IfMatch {
    /// Whether the caller has seen this.
    pub(in crate::api) fn allows(&self, validity: Validity) -> bool {
        let tag = of(validity);
        self.0.split(',').map(str::trim).any(|given| given == "*" || given == tag)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        value.map(|value| Self(value.to_owned())).ok_or(Problem::PreconditionRequired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_protocol::Timestamp;

    #[test]
    fn a_tag_tells_periods_apart() {
        let validity =
            |from: Option<i64>, until: Option<i64>| Validity { from: from.map(Timestamp), until: until.map(Timestamp) };
        let all = [validity(None, None), validity(Some(1), None), validity(None, Some(1)), validity(Some(1), Some(2))];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(IfMatch(of(*one)).allows(*other), i == j);
            }
            assert!(IfMatch("*".to_owned()).allows(*one));
            assert!(IfMatch(format!("\"other\", {}", of(*one))).allows(*one));
            assert!(!IfMatch(format!("W/{}", of(*one))).allows(*one), "a weak tag is no match (RFC 9110 §13.1.1)");
        }
    }
}
