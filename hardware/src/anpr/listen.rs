//! Cameras that post their events to this machine (Hikvision's "HTTP listening" mode).
//!
//! Anybody on the network can post, so whoever does must show that it is the camera: by the address it comes from and by a
//! secret in the path, compared in constant time. Everybody else is answered 401, counted, and learns nothing, not even
//! whether anything would have been understood.
//!
//! Anybody can also connect and say nothing. A connection is closed that does not say in time who it is; there are only so
//! many at a time, and the newest takes the place of the one that has been silent longest (`slots.rs`).

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{
        HeaderName, Request, StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use subtle::ConstantTimeEq as _;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Inbox, Message, Part, assembly::Assembly, hikvision, part, slots::Slots};
use crate::{
    DeviceError,
    camera::backoff::{Backoff, Dice, Kept as _},
    config::{AnprConfig, AnprPushConfig, Secret},
    mjpeg::Multipart,
};

/// What comes before the secret in the path.
const PREFIX: &str = "/anpr/";
/// Pictures of one event that a request has room for.
const ROOM: usize = 4;
/// Connections at a time from the camera's addresses, and from all others.
const CAMERA: usize = 16;
const OTHERS: usize = 4;
/// How long a connection may take to say who it is, and how long it may rest between two requests.
const HEAD: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

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
    let inbox = Inbox::new(&push.id, config.describe(), config.wanted());
    let gate = Arc::new(Gate {
        inbox: inbox.clone(),
        token: push.token.clone(),
        allow_from: push.allow_from.clone(),
        max_bytes: push.max_bytes,
        limit: Duration::from_millis(push.timeout_ms),
    });
    let listening = listen(gate, push.listen, dice);
    let task = tokio::spawn(async move {
        shutdown.run_until_cancelled_owned(listening).await;
    });
    (inbox, task)
}

/// Listens, again and again if it must.
async fn listen(gate: Arc<Gate>, address: SocketAddr, dice: Dice) -> Infallible {
    let mut backoff = Backoff::new(dice);
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => {
                gate.inbox.up();
                backoff.reset();
                accept(&gate, &listener).await
            }
            Err(error) => error,
        };
        gate.inbox.lost(&DeviceError::unreachable(&gate.inbox.device, "be listened to", error, false));
        sleep(backoff.wait()).await;
    }
}

/// Takes connections until the listener fails. Dropped, it ends them all.
async fn accept(gate: &Arc<Gate>, listener: &TcpListener) -> io::Error {
    let (mut cameras, mut others) = (Slots::new(CAMERA), Slots::new(OTHERS));
    let mut connections = JoinSet::new();
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // That connection's own trouble.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return error,
        };
        while connections.try_join_next().is_some() {}
        let slots = if gate.allows(peer.ip()) { &mut cameras } else { &mut others };
        if !slots.make_room() {
            continue;
        }
        let known = Arc::new(AtomicBool::new(false));
        let caller = Caller { gate: gate.clone(), address: peer.ip(), known: known.clone() };
        slots.fill(known, connections.spawn(serve(socket, caller)));
    }
}

/// One connection.
#[derive(Clone)]
struct Caller {
    gate: Arc<Gate>,
    address: IpAddr,
    /// Whether it has shown that it is the camera.
    known: Arc<AtomicBool>,
}

async fn serve(socket: TcpStream, caller: Caller) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    let head = HEAD.min(caller.gate.limit);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_headers(64).max_buf_size(MAX_HEAD);
    let router = Router::new().fallback(receive).with_state(caller);
    if let Err(error) = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)).await {
        tracing::debug!(%error, "a connection that posts events ended");
    }
}

/// The status, and whether the connection stays: a stranger's does not.
async fn receive(
    State(caller): State<Caller>,
    request: Request<Body>,
) -> (StatusCode, [(HeaderName, &'static str); 1]) {
    let (arrived, gate) = (Instant::now(), &caller.gate);
    if !gate.admits(caller.address, request.uri().path()) {
        gate.inbox.refuse();
        return (StatusCode::UNAUTHORIZED, [(CONNECTION, "close")]);
    }
    caller.known.store(true, Ordering::Release);
    let status = timeout(gate.limit, gate.take(request, arrived)).await.unwrap_or(StatusCode::REQUEST_TIMEOUT);
    (status, [(CONNECTION, "keep-alive")])
}

impl Gate {
    fn admits(&self, peer: IpAddr, path: &str) -> bool {
        let token = path.strip_prefix(PREFIX).unwrap_or_default().trim_end_matches('/');
        let right = token.as_bytes().ct_eq(self.token.expose().as_bytes());
        bool::from(right) && self.allows(peer)
    }

    fn allows(&self, peer: IpAddr) -> bool {
        self.allow_from.contains(&peer.to_canonical())
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
                    Ok(Some(body)) => bodies.push((parts.kind().to_owned(), body)),
                    Ok(None) => break,
                    Err(_) => return StatusCode::BAD_REQUEST,
                }
            }
        } else {
            let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            bodies.push((kind, body));
        }
        let mut assembly = Assembly::default();
        let mut complete = Vec::new();
        for (kind, body) in bodies {
            let Ok(part) = part(&kind, body, hikvision::MAKE) else { return StatusCode::BAD_REQUEST };
            if let Part::Message(Message::Heartbeat(date)) = part {
                self.inbox.beat(date, arrived);
            }
            let Ok(found) = assembly.push(part, arrived) else { return StatusCode::BAD_REQUEST };
            complete.extend(found);
        }
        complete.extend(assembly.take());
        for (told, event) in complete {
            self.inbox.deliver(&told, event);
        }
        StatusCode::OK
    }
}
