//! Before every endpoint: who is this, may they, and the audit of what became of it.
//!
//! A call that changes something runs in a task of its own: a client that hangs up half-way leaves no half-done work
//! (a committed erasure that no controller was told of, an order to open without its outcome).

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderMap, header, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::{AccessPointId, ControllerId, CustomerId, SiteId};

use crate::auth::external::Moment;
use crate::auth::roles::{Operation, Role};
use crate::auth::scope::has_openid;
use crate::listener::Peer;
use crate::problem::{Problem, Slug};
use crate::state::{App, Shared};
use crate::storage::StorageError;
use crate::storage::audit::{Ending, NewAction};
use crate::storage::sites::Scope;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone with a trusted client certificate.
    Certificate,
    /// Any account.
    Token,
    /// An account whose role includes the operation.
    Role(Operation),
}

/// An account, authenticated and authorised for the endpoint at hand.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Which account.
    pub principal_id: String,
    /// What it may do.
    pub role: Role,
    /// Whose it is; `None`: the operator's.
    pub customer: Option<CustomerId>,
    /// Whether its token has the scope `openid`.
    pub openid: bool,
}

impl Caller {
    /// Whose data it may see.
    pub fn scope(&self) -> Scope {
        match &self.customer {
            Some(customer) => Scope::Customer(customer.clone()),
            None if self.role == Role::Installer => Scope::Installer(self.principal_id.clone()),
            None => Scope::Operator,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or(Problem::TokenMissing)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or(Problem::Internal)
    }
}

/// The account behind a bearer token that is bound to this connection's certificate.
async fn authenticate(app: &App, peer: &Peer, headers: &HeaderMap) -> Result<Caller, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::TokenMissing) };
    let value = value.to_str().map_err(|_| Problem::TokenMissing)?;
    let (scheme, token) = value.split_once(' ').ok_or(Problem::TokenMissing)?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Problem::TokenMissing);
    }
    let (token, now) = (token.trim(), Moment { wall: app.now(), monotonic: app.clock.monotonic() });
    if let Some(caller) = app.issuers.caller(&app.vault, now, token, &peer.thumbprint).await {
        return caller;
    }
    let claims = app.tokens.verify(app.now(), token, &peer.thumbprint)?;
    if app.storage.is_revoked(&claims.jti, claims.sid.as_deref(), app.now()).await? {
        return Err(Problem::TokenInvalid("it was revoked"));
    }
    // The account as it is, not as it was up to an hour ago.
    let account = app.storage.principal(&claims.sub).await?;
    let account = account.ok_or(Problem::TokenInvalid("its account is disabled"))?;
    // A client that was taken out of service acts in nobody's name any more.
    if claims.client_id != claims.sub && app.storage.principal(&claims.client_id).await?.is_none() {
        return Err(Problem::TokenInvalid("its client is disabled"));
    }
    let openid = has_openid(&claims.scope);
    Ok(Caller { principal_id: account.principal_id, role: account.role, customer: account.customer, openid })
}

async fn authorise(
    app: &App,
    peer: Option<Peer>,
    headers: &HeaderMap,
    operation: Option<Operation>,
) -> (Option<Caller>, Result<(), Problem>) {
    let Some(peer) = peer else { return (None, Err(Problem::Internal)) };
    match authenticate(app, &peer, headers).await {
        Ok(caller) if operation.is_none_or(|operation| caller.role.may(operation)) => (Some(caller), Ok(())),
        Ok(caller) => (Some(caller), Err(Problem::RoleForbidden)),
        Err(problem) => (None, Err(problem)),
    }
}

/// The middleware.
pub(crate) async fn guard(
    State((app, access)): State<(Shared, Access)>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let operation = match access {
        Access::Certificate => return next.run(request).await,
        Access::Token => None,
        Access::Role(operation) => Some(operation),
    };
    let peer = request.extensions().get::<Peer>().cloned();
    let headers = request.headers().clone();
    let (caller, verdict) = authorise(&app, peer, &headers, operation).await;
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    // What changes nothing needs no account of it; neither does what has no name in the table of roles.
    let Some(operation) = operation.filter(|_| !request.method().is_safe()) else {
        return match verdict {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    };
    let action = NewAction {
        customer: customer_of(&app, &params, caller.as_ref()).await,
        site: site_of(&app, &params, caller.as_ref()).await,
        principal_id: caller.map(|caller| caller.principal_id),
        action: operation.id(),
        target: target_of(&params),
    };
    let audit = match app.storage.audit_begin(action, app.now()).await {
        Ok(audit) => audit,
        // What cannot be accounted for is not done.
        Err(error) => return Problem::from(error).into_response(),
    };
    let response = match verdict {
        Ok(()) => match tokio::spawn(next.run(request)).await {
            Ok(response) => response,
            Err(error) => Problem::internal(&error).into_response(),
        },
        Err(problem) => problem.into_response(),
    };
    let outcome = response.extensions().get::<Slug>().map_or("done", |slug| slug.0);
    let target = response.extensions().get::<Target>().map(|target| target.0.clone());
    let Concerned { customer, site } = response.extensions().get().cloned().unwrap_or_default();
    let ending = Ending { outcome, target, customer, site };
    if let Err(error) = app.storage.audit_end(audit, ending, app.now()).await {
        tracing::error!(%error, operation = operation.id(), "the outcome of a call could not be audited");
    }
    response
}

/// The value of a part of the path.
fn named<'a>(params: &'a RawPathParams, wanted: &str) -> Option<&'a str> {
    params.iter().find(|(name, _)| *name == wanted).map(|(_, id)| id)
}

/// The site in the path, or the one that the access point or controller in the path stands at: an export of the site tells
/// of all.
async fn site_of(app: &App, params: &RawPathParams, caller: Option<&Caller>) -> Option<SiteId> {
    if let Some(site) = named(params, "site") {
        return SiteId::new(site).ok();
    }
    if let Some(controller) = named(params, "controller") {
        let controller = ControllerId::new(controller).ok()?;
        return looked_up(app.storage.site_of_controller(&controller).await);
    }
    let point = AccessPointId::new(named(params, "access_point")?).ok()?;
    looked_up(app.storage.site_of_access_point(&caller?.scope(), &point).await)
}

/// The caller's customer; for the operator's staff, the one whose account is in the path.
async fn customer_of(app: &App, params: &RawPathParams, caller: Option<&Caller>) -> Option<CustomerId> {
    if let Some(customer) = caller.and_then(|caller| caller.customer.clone()) {
        return Some(customer);
    }
    looked_up(app.storage.customer_of_account(named(params, "principal")?).await)
}

/// What was found for the audit. A call is carried out, and audited, without it too.
fn looked_up<T>(found: Result<Option<T>, StorageError>) -> Option<T> {
    found.unwrap_or_else(|error| {
        tracing::error!(%error, "whom a call concerns could not be looked up for the audit");
        None
    })
}

/// The id in the path that the call acts on, if it is one: never a subject token.
fn target_of(params: &RawPathParams) -> Option<String> {
    let (name, value) = params.iter().last()?;
    (name != "site" && name != "subject" && SiteId::new(value).is_ok()).then(|| value.to_owned())
}

/// The id of what a call has created, for the audit: an extension of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Target(pub(crate) String);

/// Whom a call concerns that says so in its body only, for the audit: an extension of its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Concerned {
    pub(crate) customer: Option<CustomerId>,
    pub(crate) site: Option<SiteId>,
}

#[cfg(test)]
mod tests;
