//! Cameras that post their events to this machine (Hikvision's "HTTP listening" mode).
//!
//! Anybody on the network can post, so whoever does must show that it is the camera: by the address it comes from and by a
//! secret in the path, compared in constant time. Everybody else is answered 401, counted, and learns nothing, not even
//! whether anything would have been understood.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::{Request, StatusCode, header::CONTENT_TYPE},
};
use subtle::ConstantTimeEq as _;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Inbox, assembly::Assembly, hikvision, part};
use crate::{
    DeviceError,
    camera::backoff::{Backoff, Dice},
    config::{AnprConfig, AnprPushConfig, Secret},
    mjpeg::Multipart,
};

/// What comes before the secret in the path.
const PREFIX: &str = "/anpr/";
/// Pictures of one event that a request has room for.
const ROOM: usize = 4;

struct Gate {
    inbox: Arc<Inbox>,
    token: Secret,
    allow_from: Vec<IpAddr>,
    max_bytes: usize,
    limit: Duration,
}

/// Starts listening.
pub(crate) fn start(
    config: &AnprConfig,
    push: &AnprPushConfig,
    dice: Dice,
    shutdown: CancellationToken,
) -> (Arc<Inbox>, JoinHandle<()>) {
    let inbox = Inbox::new(&push.id, config.describe());
    let gate = Arc::new(Gate {
        inbox: inbox.clone(),
        token: push.token.clone(),
        allow_from: push.allow_from.clone(),
        max_bytes: push.max_bytes,
        limit: Duration::from_millis(push.timeout_ms),
    });
    let address = push.listen;
    let task = tokio::spawn(async move {
        let mut backoff = Backoff::new(dice);
        let bound = async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => return listener,
                    Err(error) => {
                        gate.inbox.lost(&DeviceError::unreachable(&gate.inbox.device, "be listened to", error, false));
                        sleep(backoff.wait()).await;
                    }
                }
            }
        };
        let Some(listener) = shutdown.run_until_cancelled(bound).await else { return };
        gate.inbox.up();
        let router = Router::new().fallback(receive).with_state(gate.clone());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service);
        if let Some(Err(error)) = shutdown.run_until_cancelled(async { serving.await }).await {
            gate.inbox.lost(&DeviceError::unreachable(&gate.inbox.device, "be listened to", error, false));
        }
    });
    (inbox, task)
}

async fn receive(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> StatusCode {
    let arrived = Instant::now();
    if !gate.admits(peer.ip(), request.uri().path()) {
        gate.inbox.refuse();
        return StatusCode::UNAUTHORIZED;
    }
    match timeout(gate.limit, gate.take(request, arrived)).await {
        Ok(status) => status,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    }
}

impl Gate {
    fn admits(&self, peer: IpAddr, path: &str) -> bool {
        let token = path.strip_prefix(PREFIX).unwrap_or_default().trim_end_matches('/');
        let right = token.as_bytes().ct_eq(self.token.expose().as_bytes());
        bool::from(right) && self.allow_from.contains(&peer.to_canonical())
    }

    async fn take(&self, request: Request<Body>, arrived: Instant) -> StatusCode {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let Ok(body) = to_bytes(request.into_body(), self.max_bytes.saturating_mul(ROOM)).await else {
            return StatusCode::PAYLOAD_TOO_LARGE;
        };
        let mut bodies = Vec::new();
        if content_type.to_ascii_lowercase().starts_with("multipart/") {
            let Ok(mut parts) = Multipart::from_content_type(&content_type, self.max_bytes) else {
                return StatusCode::BAD_REQUEST;
            };
            parts.push(&body);
            loop {
                match parts.next_body() {
                    Ok(Some(body)) => bodies.push(body),
                    Ok(None) => break,
                    Err(_) => return StatusCode::BAD_REQUEST,
                }
            }
        } else {
            bodies.push(body);
        }
        let mut assembly = Assembly::default();
        let mut complete = Vec::new();
        for body in bodies {
            let Ok(found) = part(body, hikvision::read).and_then(|part| assembly.push(part, arrived)) else {
                return StatusCode::BAD_REQUEST;
            };
            complete.extend(found);
        }
        complete.extend(assembly.take());
        for (told, event) in complete {
            self.inbox.deliver(&told, event);
        }
        StatusCode::OK
    }
}
