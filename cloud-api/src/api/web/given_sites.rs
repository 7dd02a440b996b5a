//! An installer works at the sites it was given, and to it no other site exists.

use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::{ControllerId, SiteId};

use crate::auth::Caller;
use crate::auth::roles::{Operation, Role};
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::sites::Scope;

/// The middleware, behind the check of roles.
pub(in crate::api) async fn only_given(
    State((app, operation)): State<(Shared, Operation)>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let installer = request.extensions().get::<Caller>().filter(|caller| caller.role == Role::Installer);
    // The list of sites keeps to the given ones itself.
    let Some(installer) = installer.filter(|_| operation != Operation::ListSites) else {
        return next.run(request).await;
    };
    match given(&app, &installer.scope(), &params).await {
        Ok(true) => next.run(request).await,
        Ok(false) => Problem::NotFound.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Whether the path names a given site, or a controller at one. A path that names neither is refused.
async fn given(app: &App, scope: &Scope, params: &RawPathParams) -> Result<bool, Problem> {
    let named = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, id)| id.to_owned());
    match (named("site").map(SiteId::new), named("controller").map(ControllerId::new)) {
        (Some(Ok(site)), _) => Ok(app.storage.site_visible(scope, &site).await?),
        (None, Some(Ok(controller))) => Ok(app.storage.controller(scope, &controller).await?.is_some()),
        _ => Ok(false),
    }
}
