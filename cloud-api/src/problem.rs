//! What an API client is told when a call does not succeed: problem details (RFC 9457).
//!
//! `type` is a stable slug to program against, `detail` is for the person who can act on it. Nothing internal is told:
//! a failure of ours is `internal`, and its cause goes to the log. No detail repeats a value that was sent, since it may
//! be personal data sent by mistake.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cardea_protocol::id::{IdError, SaleId};

use crate::storage::StorageError;

/// Content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Every way a call can fail. `Display` is the `detail`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Problem {
    /// No bearer token.
    #[error("send an access token: Authorization: Bearer …; POST /oauth2/token issues one")]
    TokenMissing,
    /// Expired, foreign, malformed, or bound to another certificate.
    #[error("the access token is not valid here: {0}")]
    TokenInvalid(&'static str),
    /// The route is for controllers.
    #[error("this route is for controllers, by an active certificate of the Cardea CA")]
    CertificateNotController,
    /// The keys of the token's issuer are not to be had.
    #[error("the token's issuer cannot be reached to look at its keys: try again in a minute")]
    IssuerUnavailable,
    /// The token does not include the scope.
    #[error("this needs a token with the scope {0}: ask for it when you get one")]
    ScopeMissing(&'static str),
    /// The role does not allow it.
    #[error("the role of this account does not include this operation")]
    RoleForbidden,
    /// Too many wrong passwords.
    #[error("too many failed attempts: wait {retry_after_s} seconds")]
    TooManyAttempts {
        /// Seconds until the next try is taken.
        retry_after_s: u64,
    },
    /// No such resource, or none this caller may see.
    #[error("there is no such resource for this account")]
    NotFound,
    /// The path exists, the method does not.
    #[error("this path does not support this method")]
    MethodNotAllowed,
    /// Wrong `Content-Type`.
    #[error("send {0}")]
    UnsupportedMediaType(&'static str),
    /// Not JSON at all, or a broken query or form.
    #[error("the {0} cannot be parsed")]
    Malformed(&'static str),
    /// Well-formed, with a field that is unknown, missing or of the wrong form.
    #[error("{0}")]
    InvalidField(String),
    /// The subject token is not opaque.
    #[error("{}", IdError::NotOpaque)]
    SubjectNotOpaque,
    /// Not a plate under the grammars in use.
    #[error("{0}")]
    PlateMalformed(cardea_access::plate::PlateError),
    /// Not a card's number.
    #[error("{0}")]
    CardMalformed(cardea_access::card::CardError),
    /// The body exceeds the route's limit.
    #[error("the body is larger than {limit_bytes} bytes")]
    BodyTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// An id that is taken.
    #[error("this {0} exists already")]
    Exists(&'static str),
    /// Something else in the way.
    #[error("{0}")]
    Conflict(&'static str),
    /// A late or repeated request after a sale.
    #[error("blocked by property sale {sale}; to admit again on purpose, send \"lifts_sale\": \"{sale}\"")]
    BlockedBySale {
        /// The sale that blocks.
        sale: SaleId,
    },
    /// No active consent: no photo.
    #[error("there is no active consent of this subject at this site: record it first")]
    ConsentMissing,
    /// Neither JPEG nor PNG, or damaged.
    #[error("the body is not a usable picture: send an undamaged JPEG or PNG")]
    NotAnImage,
    /// More pixels than can be decoded safely.
    #[error("the picture has too many pixels: scale it to at most 40 million")]
    ImageTooLarge,
    /// No face found.
    #[error("no face was found: send a frontal, evenly lit photo")]
    NoFace,
    /// More than one face found.
    #[error("more than one face was found: send a photo of the resident alone")]
    SeveralFaces,
    /// The face has too few pixels.
    #[error("the face is too small in the picture: send a closer or larger photo")]
    FaceTooSmall,
    /// The face is not sharp.
    #[error("the face is blurred: send a sharper photo")]
    FaceBlurred,
    /// No model pack is configured.
    #[error("face recognition is not set up on this installation")]
    RecognitionUnavailable,
    /// No live session with the controller: nothing was done, nothing will be done later.
    #[error("the controller is not connected; nothing was opened, and nothing will be opened later")]
    ControllerUnreachable,
    /// The command was sent, no final answer came.
    #[error("the controller did not answer in time; whether it opened is not known, and it will not open later")]
    ControllerUnanswered,
    /// The same key with another request.
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyKeyReused,
    /// The first call with this key has not finished.
    #[error("the first call with this Idempotency-Key is still in progress")]
    InProgress,
    /// The header is missing or too long.
    #[error("send an Idempotency-Key header of 1 to 64 of the characters a-z, 0-9 and '-'")]
    IdempotencyKeyMissing,
    /// The database is away for a while.
    #[error("the database cannot be used at the moment; whether this was done is not known: look, and send it again")]
    StorageUnavailable,
    /// A failure of ours.
    #[error("an internal error occurred; nothing was changed unless the resource says so")]
    Internal,
}

impl Problem {
    /// Slug, status and title.
    pub const fn parts(&self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::TokenMissing => ("token-missing", S::UNAUTHORIZED, "No access token"),
            Self::TokenInvalid(_) => ("token-invalid", S::UNAUTHORIZED, "Access token not valid"),
            Self::CertificateNotController => ("certificate-not-controller", S::FORBIDDEN, "Not a controller"),
            Self::IssuerUnavailable => ("issuer-unavailable", S::SERVICE_UNAVAILABLE, "Issuer unavailable"),
            Self::ScopeMissing(_) => ("scope-missing", S::FORBIDDEN, "Scope missing"),
            Self::RoleForbidden => ("role-forbidden", S::FORBIDDEN, "Not allowed for this role"),
            Self::TooManyAttempts { .. } => ("too-many-attempts", S::TOO_MANY_REQUESTS, "Too many attempts"),
            Self::NotFound => ("not-found", S::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => ("method-not-allowed", S::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::UnsupportedMediaType(_) => {
                ("unsupported-media-type", S::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Self::Malformed(_) => ("malformed-request", S::BAD_REQUEST, "Malformed request"),
            Self::InvalidField(_) => ("invalid-field", S::UNPROCESSABLE_ENTITY, "Invalid field"),
            Self::SubjectNotOpaque => ("subject-not-opaque", S::UNPROCESSABLE_ENTITY, "Subject token not opaque"),
            Self::PlateMalformed(_) => ("plate-malformed", S::UNPROCESSABLE_ENTITY, "Malformed plate"),
            Self::CardMalformed(_) => ("card-malformed", S::UNPROCESSABLE_ENTITY, "Malformed card number"),
            Self::BodyTooLarge { .. } => ("body-too-large", S::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::BodyTimeout => ("body-timeout", S::REQUEST_TIMEOUT, "Body too slow"),
            Self::Exists(_) => ("exists", S::CONFLICT, "Exists already"),
            Self::Conflict(_) => ("conflict", S::CONFLICT, "Conflict"),
            Self::BlockedBySale { .. } => ("blocked-by-sale", S::CONFLICT, "Blocked by a property sale"),
            Self::ConsentMissing => ("consent-missing", S::FORBIDDEN, "No active consent"),
            Self::NotAnImage => ("not-an-image", S::UNPROCESSABLE_ENTITY, "Not a picture"),
            Self::ImageTooLarge => ("image-too-large", S::UNPROCESSABLE_ENTITY, "Picture too large"),
            Self::NoFace => ("no-face", S::UNPROCESSABLE_ENTITY, "No face"),
            Self::SeveralFaces => ("several-faces", S::UNPROCESSABLE_ENTITY, "Several faces"),
            Self::FaceTooSmall => ("face-too-small", S::UNPROCESSABLE_ENTITY, "Face too small"),
            Self::FaceBlurred => ("face-blurred", S::UNPROCESSABLE_ENTITY, "Face blurred"),
            Self::RecognitionUnavailable => {
                ("recognition-unavailable", S::SERVICE_UNAVAILABLE, "Recognition unavailable")
            }
            Self::ControllerUnreachable => ("controller-unreachable", S::SERVICE_UNAVAILABLE, "Controller unreachable"),
            Self::ControllerUnanswered => ("controller-unanswered", S::GATEWAY_TIMEOUT, "Controller did not answer"),
            Self::IdempotencyKeyReused => ("idempotency-key-reused", S::UNPROCESSABLE_ENTITY, "Idempotency-Key reused"),
            Self::InProgress => ("in-progress", S::CONFLICT, "In progress"),
            Self::IdempotencyKeyMissing => ("idempotency-key-missing", S::BAD_REQUEST, "No Idempotency-Key"),
            Self::StorageUnavailable => ("storage-unavailable", S::SERVICE_UNAVAILABLE, "Database unavailable"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }

    /// Hides a failure of ours behind [`Problem::Internal`], and logs it for the operator.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "a request failed");
        Self::Internal
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        let internal = Self::internal(&error);
        if error.is_passing() { Self::StorageUnavailable } else { internal }
    }
}

/// The problem type a response carries, for the audit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slug(pub(crate) &'static str);

/// The members of a problem document, for the OpenAPI document.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct ProblemDetails {
    /// `/problems/` and a stable slug: program against this.
    #[schema(example = "/problems/consent-missing")]
    pub r#type: String,
    /// The HTTP status code.
    pub status: u16,
    /// What kind of problem, for people.
    pub title: String,
    /// What to do about it, for people.
    pub detail: String,
}

/// RFC 6750 §3.
fn challenge(headers: &mut HeaderMap, error: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("Bearer realm=\"cardea\"{error}")) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (slug, status, title) = self.parts();
        let body = ProblemDetails {
            r#type: format!("/problems/{slug}"),
            status: status.as_u16(),
            title: title.to_owned(),
            detail: self.to_string(),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::TokenMissing => challenge(headers, ""),
            Self::TokenInvalid(why) => {
                challenge(headers, &format!(", error=\"invalid_token\", error_description=\"{why}\""));
            }
            Self::RoleForbidden => challenge(headers, ", error=\"insufficient_scope\""),
            Self::ScopeMissing(scope) => {
                challenge(headers, &format!(", error=\"insufficient_scope\", scope=\"{scope}\""));
            }
            Self::TooManyAttempts { retry_after_s } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            _ => {}
        }
        response.extensions_mut().insert(Slug(slug));
        response
    }
}
