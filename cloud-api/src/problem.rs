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
    /// The certificate of the connection was revoked.
    #[error("the client certificate of this connection was revoked: connect with another one")]
    CertificateRevoked,
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
    /// An account calls too often.
    #[error("too many requests: wait {retry_after_s} seconds")]
    RateLimited {
        /// Seconds until the next call is taken.
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
    /// Several photos, and none of them usable.
    #[error("no photo can be used: {0}")]
    NoUsablePhoto(String),
    /// Photos of one call that do not show one person.
    #[error(
        "photo {first} and photo {second} do not seem to show the same person: send photos of one resident, or better ones"
    )]
    PhotosDiffer {
        /// Which, from 1.
        first: usize,
        /// And which.
        second: usize,
    },
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
    /// The header is malformed, or given more than once.
    #[error("an Idempotency-Key is 1 to 64 of the characters a-z, 0-9 and '-', given once")]
    IdempotencyKeyMalformed,
    /// No `If-Match`.
    #[error("send the ETag that was seen as If-Match, so that nobody else's change is lost")]
    PreconditionRequired,
    /// Another `If-Match`.
    #[error("it was changed meanwhile: read it again, then decide")]
    PreconditionFailed,
    /// The header is missing.
    #[error("send an Idempotency-Key header of 1 to 64 of the characters a-z, 0-9 and '-'")]
    IdempotencyKeyMissing,
    /// The database is away for a while.
    #[error("the database cannot be used at the moment; whether this was done is not known: look, and send it again")]
    StorageUnavailable,
    /// A failure of ours.
    #[error("an internal error occurred; nothing was changed unless the resource says so")]
    Internal,
}

/// What is known of a kind of problem.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The end of its `type`.
    pub slug: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// What kind of problem, for people.
    pub title: &'static str,
    /// When it is answered, for the reference.
    pub when: &'static str,
}

macro_rules! kinds {
    ($($pattern:pat, $sample:expr => $slug:literal, $status:ident, $title:literal, $when:literal;)+) => {
        impl Problem {
            /// What kind of problem this is.
            pub const fn kind(&self) -> Kind {
                match self {
                    $($pattern => Kind { slug: $slug, status: StatusCode::$status, title: $title, when: $when },)+
                }
            }

            /// One of each kind, for the reference and the OpenAPI document.
            pub(crate) fn samples() -> Vec<Self> {
                [$(Option::<Self>::from($sample)),+].into_iter().flatten().collect()
            }
        }
    };
}

kinds! {
    Problem::TokenMissing, Self::TokenMissing => "token-missing", UNAUTHORIZED, "No access token",
        "no `Authorization: Bearer …`, or more than one";
    Problem::TokenInvalid(_), Self::TokenInvalid("it has expired") => "token-invalid", UNAUTHORIZED, "Access token not valid",
        "expired, foreign, bound to another certificate, or its account is gone: get a new one";
    Problem::CertificateRevoked, Self::CertificateRevoked => "certificate-revoked", UNAUTHORIZED, "Certificate revoked",
        "the client certificate of the connection was revoked, whatever the token";
    Problem::CertificateNotController, Self::CertificateNotController => "certificate-not-controller", FORBIDDEN, "Not a controller",
        "the route is for controllers";
    Problem::RoleForbidden, Self::RoleForbidden => "role-forbidden", FORBIDDEN, "Not allowed for this role",
        "the role does not include the operation: roles.md says which do";
    Problem::TooManyAttempts { .. }, Self::TooManyAttempts { retry_after_s: 8 } => "too-many-attempts", TOO_MANY_REQUESTS, "Too many attempts",
        "wrong passwords: wait as `Retry-After` says";
    Problem::RateLimited { .. }, Self::RateLimited { retry_after_s: 1 } => "rate-limited", TOO_MANY_REQUESTS, "Too many requests",
        "this account calls faster than 200 times a second: wait as `Retry-After` says";
    Problem::NotFound, Self::NotFound => "not-found", NOT_FOUND, "Not found",
        "no such path or resource, or not one of yours";
    Problem::MethodNotAllowed, Self::MethodNotAllowed => "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "the path exists, the method does not";
    Problem::UnsupportedMediaType(_), Self::UnsupportedMediaType("JSON: Content-Type application/json") => "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "`Content-Type` is not what the route takes; `detail` names it";
    Problem::Malformed(_), Self::Malformed("JSON body") => "malformed-request", BAD_REQUEST, "Malformed request",
        "not JSON, nested too deeply, or the body broke off";
    Problem::InvalidField(_), Self::InvalidField("unknown field `colour`".to_owned()) => "invalid-field", UNPROCESSABLE_ENTITY, "Invalid field",
        "a field is unknown, missing, given twice or of the wrong form; `detail` says which";
    Problem::SubjectNotOpaque, Self::SubjectNotOpaque => "subject-not-opaque", UNPROCESSABLE_ENTITY, "Subject token not opaque",
        "a subject token is not a UUID or 32 to 64 hexadecimal digits";
    Problem::PlateMalformed(_), Self::PlateMalformed(cardea_access::plate::PlateError::NoGrammar) => "plate-malformed", UNPROCESSABLE_ENTITY, "Malformed plate",
        "not a plate under the grammars in use";
    Problem::CardMalformed(_), Self::CardMalformed(cardea_access::card::CardError::UnknownForm) => "card-malformed", UNPROCESSABLE_ENTITY, "Malformed card number",
        "not a card's number in one of the forms of api.md";
    Problem::BodyTooLarge { .. }, Self::BodyTooLarge { limit_bytes: 65_536 } => "body-too-large", PAYLOAD_TOO_LARGE, "Body too large",
        "over the limit of the route";
    Problem::BodyTimeout, Self::BodyTimeout => "body-timeout", REQUEST_TIMEOUT, "Body too slow",
        "the body took longer than 30 s: send it again";
    Problem::Exists(_), Self::Exists("site") => "exists", CONFLICT, "Exists already",
        "the id is taken";
    Problem::Conflict(_), Self::Conflict("the customer is not registered: register it first") => "conflict", CONFLICT, "Conflict",
        "something else is in the way; `detail` says what";
    Problem::BlockedBySale { .. }, SaleId::new("d1c21388-20b3-4dbd-8ab9-ee0eccdb828b").ok().map(|sale| Self::BlockedBySale { sale }) => "blocked-by-sale", CONFLICT, "Blocked by a property sale",
        "a property sale blocks this plate, card or subject; `lifts_sale` admits it again on purpose";
    Problem::ConsentMissing, Self::ConsentMissing => "consent-missing", FORBIDDEN, "No active consent",
        "no active consent of this subject at this site: record it first";
    Problem::NotAnImage, Self::NotAnImage => "not-an-image", UNPROCESSABLE_ENTITY, "Not a picture",
        "not a JPEG or PNG, or damaged";
    Problem::ImageTooLarge, Self::ImageTooLarge => "image-too-large", UNPROCESSABLE_ENTITY, "Picture too large",
        "over 40 million pixels";
    Problem::NoFace, Self::NoFace => "no-face", UNPROCESSABLE_ENTITY, "No face",
        "no face was found";
    Problem::SeveralFaces, Self::SeveralFaces => "several-faces", UNPROCESSABLE_ENTITY, "Several faces",
        "more than one face: whose would it be?";
    Problem::FaceTooSmall, Self::FaceTooSmall => "face-too-small", UNPROCESSABLE_ENTITY, "Face too small",
        "too few pixels between the eyes";
    Problem::FaceBlurred, Self::FaceBlurred => "face-blurred", UNPROCESSABLE_ENTITY, "Face blurred",
        "not sharp";
    Problem::NoUsablePhoto(_), Self::NoUsablePhoto("photo 1: no face was found; photo 2: the face is blurred".to_owned()) => "no-usable-photo", UNPROCESSABLE_ENTITY, "No usable photo",
        "several photos were sent, and each has something wrong; `detail` says what";
    Problem::PhotosDiffer { .. }, Self::PhotosDiffer { first: 1, second: 2 } => "photos-differ", UNPROCESSABLE_ENTITY, "Photos of different people",
        "the photos of one call do not show one person; nothing was kept";
    Problem::RecognitionUnavailable, Self::RecognitionUnavailable => "recognition-unavailable", SERVICE_UNAVAILABLE, "Recognition unavailable",
        "this cloud has no model pack configured";
    Problem::ControllerUnreachable, Self::ControllerUnreachable => "controller-unreachable", SERVICE_UNAVAILABLE, "Controller unreachable",
        "nothing was opened, and nothing will be opened later";
    Problem::ControllerUnanswered, Self::ControllerUnanswered => "controller-unanswered", GATEWAY_TIMEOUT, "Controller did not answer",
        "the order was sent, no final answer came; it will not be carried out later";
    Problem::IdempotencyKeyReused, Self::IdempotencyKeyReused => "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency-Key reused",
        "the key was used for another request: take a fresh one";
    Problem::InProgress, Self::InProgress => "in-progress", CONFLICT, "In progress",
        "the first call with this key has not finished";
    Problem::IdempotencyKeyMissing, Self::IdempotencyKeyMissing => "idempotency-key-missing", BAD_REQUEST, "No Idempotency-Key",
        "the operation needs one: 1 to 64 of `a-z`, `0-9`, `-`";
    Problem::IdempotencyKeyMalformed, Self::IdempotencyKeyMalformed => "idempotency-key-malformed", BAD_REQUEST, "Malformed Idempotency-Key",
        "a key is 1 to 64 of `a-z`, `0-9`, `-`, and given once";
    Problem::PreconditionRequired, Self::PreconditionRequired => "precondition-required", PRECONDITION_REQUIRED, "No If-Match",
        "send the `ETag` that was seen as `If-Match`";
    Problem::PreconditionFailed, Self::PreconditionFailed => "precondition-failed", PRECONDITION_FAILED, "Changed meanwhile",
        "somebody else has changed it: read it again, then decide";
    Problem::IssuerUnavailable, Self::IssuerUnavailable => "issuer-unavailable", SERVICE_UNAVAILABLE, "Issuer unavailable",
        "the token is of another issuer, whose keys cannot be fetched: try again in a minute";
    Problem::ScopeMissing(_), Self::ScopeMissing("openid") => "scope-missing", FORBIDDEN, "Scope missing",
        "the token lacks the scope that `WWW-Authenticate` names";
    Problem::StorageUnavailable, Self::StorageUnavailable => "storage-unavailable", SERVICE_UNAVAILABLE, "Database unavailable",
        "the database is away for a while; whether the call was carried out is not known: look, and send it again";
    Problem::Internal, Self::Internal => "internal", INTERNAL_SERVER_ERROR, "Internal error",
        "a failure of the cloud; its log says more under the `request_id`";
}

impl Problem {
    /// Slug, status and title.
    pub const fn parts(&self) -> (&'static str, StatusCode, &'static str) {
        let kind = self.kind();
        (kind.slug, kind.status, kind.title)
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
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
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
    /// The `X-Request-Id` of the request, under which the cloud's log tells more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl From<&Problem> for ProblemDetails {
    fn from(problem: &Problem) -> Self {
        let kind = problem.kind();
        Self {
            r#type: format!("/problems/{}", kind.slug),
            status: kind.status.as_u16(),
            title: kind.title.to_owned(),
            detail: problem.to_string(),
            request_id: None,
        }
    }
}

/// RFC 6750 §3.
fn challenge(headers: &mut HeaderMap, error: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("Bearer realm=\"cardea\"{error}")) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let details = ProblemDetails::from(&self);
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = (self.kind().status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        // For whoever adds the request's id.
        response.extensions_mut().insert(details);
        let headers = response.headers_mut();
        match &self {
            Self::TokenMissing => challenge(headers, ""),
            Self::TokenInvalid(why) => {
                challenge(headers, &format!(", error=\"invalid_token\", error_description=\"{why}\""));
            }
            Self::CertificateRevoked => {
                challenge(headers, ", error=\"invalid_token\", error_description=\"its certificate was revoked\"");
            }
            Self::RoleForbidden => challenge(headers, ", error=\"insufficient_scope\""),
            Self::ScopeMissing(scope) => {
                challenge(headers, &format!(", error=\"insufficient_scope\", scope=\"{scope}\""));
            }
            Self::TooManyAttempts { retry_after_s } | Self::RateLimited { retry_after_s } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            _ => {}
        }
        response.extensions_mut().insert(Slug(self.kind().slug));
        response
    }
}
