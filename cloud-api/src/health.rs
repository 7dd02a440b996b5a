//! Whether the cloud lives and is ready, for whatever watches over it on the same machine: plain HTTP on a loopback address,
//! since a watchdog has no client certificate. It says nothing but that: no version, no name, no number.

use std::io;
use std::net::TcpListener;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::listener::Handle;
use crate::state::Shared;

/// `/livez`: the program runs. `/readyz`: it can do its work.
pub(crate) fn router(app: Shared) -> Router {
    Router::new().route("/livez", get(async || StatusCode::NO_CONTENT)).route("/readyz", get(ready)).with_state(app)
}

async fn ready(State(app): State<Shared>) -> (StatusCode, &'static str) {
    if app.is_ready().await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n");
    }
    (StatusCode::NO_CONTENT, "")
}

/// Serves until `handle` ends it.
pub(crate) async fn serve(socket: TcpListener, app: Shared, handle: Handle) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    axum_server::from_tcp(socket)?.handle(handle).serve(router(app).into_make_service()).await
}
