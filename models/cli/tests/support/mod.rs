//! A server that speaks HTTP/1.1 and breaks off, lies or falls silent where a test says so.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Path, from its first stroke.
    pub(crate) path: String,
    /// First byte of `Range: bytes=N-`.
    pub(crate) from: Option<usize>,
    /// `If-Range`.
    pub(crate) if_range: Option<String>,
}

/// What it gets.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// After the body, stay silent until the client goes.
    silent: bool,
}

impl Answer {
    /// A status without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: vec![("Content-Length", "0".into())], body: Vec::new(), silent: false }
    }

    /// A redirection.
    pub(crate) fn to(location: impl Into<String>) -> Self {
        let mut answer = Self::status(302);
        answer.headers.push(("Location", location.into()));
        answer
    }

    /// All of `body`, its length stated.
    pub(crate) fn whole(body: &[u8]) -> Self {
        let headers = vec![("Content-Length", body.len().to_string())];
        Self { status: 200, headers, body: body.to_vec(), silent: false }
    }

    /// All of `body`, its end told by the end of the connection.
    pub(crate) fn unmeasured(body: &[u8]) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_vec(), silent: false }
    }

    /// The file as a good server sends it: the part asked for, unless it has changed since.
    pub(crate) fn file(request: &Request, body: &[u8], etag: Option<&str>) -> Self {
        let mut answer = match request.from {
            Some(from) if from >= body.len() => {
                let mut answer = Self::status(416);
                answer.headers.push(("Content-Range", format!("bytes */{}", body.len())));
                answer
            }
            Some(from) if request.if_range.is_none() || request.if_range.as_deref() == etag => {
                let mut answer = Self::whole(&body[from..]);
                answer.status = 206;
                answer.headers.push(("Content-Range", format!("bytes {from}-{}/{}", body.len() - 1, body.len())));
                answer
            }
            _ => Self::whole(body),
        };
        answer.headers.extend(etag.map(|etag| ("ETag", etag.to_owned())));
        answer
    }

    /// The same, broken off after `bytes` of the body.
    pub(crate) fn cut(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self
    }

    /// The same, and then silence.
    pub(crate) fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// With this header, in place of one of that name.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// The server; it ends with the value.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request with what `answer` says; the number counts requests from 0.
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, stop, answer) = (requests.clone(), ended.clone(), Arc::new(answer));
        let listening = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (seen, answer) = (seen.clone(), answer.clone());
                let Ok(stream) = stream else { continue };
                thread::spawn(move || serve(stream, &seen, answer.as_ref()));
            }
        });
        Self { address, requests, ended, listening: Some(listening) }
    }

    /// An address on it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// One request on one connection; whatever goes wrong is the client's to notice.
fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(usize, &Request) -> Answer) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let line = head.lines().skip(1).find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let request = Request {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        from: field("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()),
        if_range: field("if-range"),
    };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let Answer { status, headers, body, silent } = answer(number, &request);
    let mut text = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(&body)).and_then(|()| stream.flush());
    if silent {
        let _ = stream.read(&mut byte);
    }
}
