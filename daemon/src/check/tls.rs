//! A TLS handshake with this controller's certificate: what the checks of API and broker share.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{Finding, chain};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server that refuses a certificate may take to say so: with TLS 1.3 that comes after the handshake.
const REFUSAL: Duration = Duration::from_millis(300);

/// Connects to `url`, whose port is `default_port` unless it says otherwise, and says how that went.
pub(super) async fn check(name: &'static str, url: &Url, default_port: u16, config: ClientConfig) -> Finding {
    let port = url.port().unwrap_or(default_port);
    let Some(host) = url.host_str() else {
        return Finding::failure(name, format!("{url} names no host"), "claim this controller anew");
    };
    let begun = Instant::now();
    match timeout(PATIENCE, handshake(host, port, config)).await {
        Ok(Ok(())) => {
            let took = begun.elapsed().saturating_sub(REFUSAL).as_millis();
            Finding::ok(name, format!("{host}:{port} answers and accepts this controller's certificate ({took} ms)"))
        }
        Ok(Err(Problem::Connect(error))) => Finding::failure(
            name,
            format!("{host}:{port} cannot be reached: {error}"),
            "check the cable, the network's settings, its DNS and its firewall",
        ),
        Ok(Err(Problem::Tls(error))) => Finding::failure(
            name,
            format!("{host}:{port} and this controller do not trust each other: {error}"),
            todo(&error),
        ),
        Err(_) => Finding::failure(
            name,
            format!("{host}:{port} did not answer within {} s", PATIENCE.as_secs()),
            "check the network's firewall and that the cloud runs",
        ),
    }
}

enum Problem {
    Connect(String),
    Tls(String),
}

async fn handshake(host: &str, port: u16, config: ClientConfig) -> Result<(), Problem> {
    let connect = |error: std::io::Error| Problem::Connect(chain(&error));
    let tls = |error: std::io::Error| Problem::Tls(chain(&error));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Problem::Connect(error.to_string()))?;
    let tcp = TcpStream::connect((host, port)).await.map_err(connect)?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(tls)?;
    // In TLS 1.3 (RFC 8446, section 4.4.2) the server judges the client's certificate after the client has finished; its
    // alert comes with the first read.
    match timeout(REFUSAL, stream.read(&mut [0; 1])).await {
        Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => Err(tls(error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn todo(error: &str) -> &'static str {
    if error.contains("NotValidYet") || error.contains("Expired") || error.contains("expired") {
        "set the clock: timedatectl set-ntp true; if it is right, a certificate has ended"
    } else if error.contains("UnknownIssuer") || error.contains("UnknownCA") {
        "the other end has another authority than the one this controller was claimed with: claim it anew"
    } else {
        "check with the operator whether this controller was revoked"
    }
}
