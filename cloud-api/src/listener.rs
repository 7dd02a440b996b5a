//! HTTPS for customers, the operator and controllers: TLS 1.3, or 1.2 where it is configured, a trusted client certificate on
//! every connection.
//!
//! The handshake runs in the connection's own task and under a timeout, so that a client who connects and says nothing
//! stalls nobody. Sessions are never resumed: rustls does not run the client verifier again on a resumed session, so a
//! ticket would outlive the trust it was given for.
//!
//! What the certificate says reaches the handlers as a [`Peer`] in the request's extensions. A connection ends when the CA its
//! certificate was trusted for is taken out of the configuration ([`trust`]).

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper_util::rt::TokioTimer;
use rustls::RootCertStore;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tower::Service;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Config;
use crate::listener::trust::{Trust, Trusted};
use crate::pki::serial_text;

pub mod certificates;
mod name;
pub mod strangers;
pub mod trust;

/// A handshake must be done within this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A request's head must be complete within this time; also how long a connection may idle between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why TLS could not be set up, or a certificate not be read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be used.
    #[error("{path} holds no usable {what} in PEM form")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What the parser said.
        source: rustls_pki_types::pem::Error,
    },
    /// rustls refused the configuration.
    #[error("the TLS configuration is not usable: check that certificate and key belong together")]
    Rustls(#[from] rustls::Error),
    /// The list of client CAs is not usable.
    #[error("the list of trusted client CAs is not usable: check client_ca.files")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
    /// The listening socket failed.
    #[error("listening failed")]
    Io(#[from] io::Error),
}

/// The server's own certificate chain and key.
#[derive(Debug)]
pub struct ServerIdentity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
}

impl ServerIdentity {
    /// The same again, for another listener.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }

    /// From PEM files.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let pem = |path: &Path, what, source| TlsError::Pem { path: path.to_owned(), what, source };
        let certificates = read_certificates(chain)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| pem(key, "private key", e))?;
        Ok(Self { chain: certificates, key })
    }
}

/// The certificates in a PEM file; at least one.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), what: "certificate", source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if certificates.is_empty() { Err(pem(rustls_pki_types::pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

/// Trusts certificates issued under `clients` or `controllers`.
fn client_verifier(
    clients: &[CertificateDer<'static>],
    controllers: &CertificateDer<'static>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in clients.iter().chain([controllers]) {
        roots.add(certificate.clone())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        // Otherwise each handshake would tell any stranger who the customers are.
        .clear_root_hint_subjects()
        .build()?)
}

/// A TLS configuration in which `clients` judges the other side's certificate, or that there is none.
fn server_config(
    identity: ServerIdentity,
    clients: Arc<dyn ClientCertVerifier>,
    tls12: bool,
) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(tls12))?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain, identity.key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What is known of the other end of a connection from its certificate, which is valid and trusted.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The leaf certificate, DER.
    pub certificate: Arc<CertificateDer<'static>>,
    /// Its subject as a string (RFC 4514).
    pub subject_dn: Arc<str>,
    /// Who issued it, as a string (RFC 4514).
    pub issuer: Arc<str>,
    /// Its serial number, as [`serial_text`] writes it.
    pub serial: Arc<str>,
    /// Its SHA-256 thumbprint, base64url (RFC 8705 §3.1 `x5t#S256`).
    pub thumbprint: Arc<str>,
    /// Whether the Cardea CA issued it, as it does for controllers.
    pub is_controller: bool,
}

impl Peer {
    /// Reads a leaf certificate. `None` if it is not one, or its subject or issuer has no string form.
    pub fn read(certificate: &CertificateDer<'_>, is_controller: bool) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(Self {
            subject_dn: name::rfc4514(parsed.subject())?.into(),
            // Whose issuer has no string could not be revoked by it: that one is not let in.
            issuer: name::rfc4514(parsed.issuer())?.into(),
            serial: serial_text(parsed.raw_serial()).into(),
            thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(certificate)).into(),
            certificate: Arc::new(certificate.clone().into_owned()),
            is_controller,
        })
    }
}

/// The names of the configured client CAs (RFC 4514), as certificates of theirs have them as issuer.
pub fn issuer_names(settings: &Config) -> Result<Vec<String>, TlsError> {
    let name = |certificate: &CertificateDer<'_>| {
        X509Certificate::from_der(certificate).ok().and_then(|(_, parsed)| name::rfc4514(parsed.subject()))
    };
    Ok(certificates::client_authorities(settings)?.iter().filter_map(name).collect())
}

/// TLS 1.3, and 1.2 where it is wanted. rustls has no suite of 1.2 but with ephemeral keys and an AEAD.
const fn versions(tls12: bool) -> &'static [&'static rustls::SupportedProtocolVersion] {
    const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    const NEW: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    if tls12 { BOTH } else { NEW }
}

/// A client that sends a request's head byte by byte, or without end, is cut off.
fn limit_heads(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(64)
        .max_buf_size(32 * 1024);
}

/// A listener that is bound but does not serve yet.
pub struct Listener {
    socket: TcpListener,
    acceptor: PeerAcceptor,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({:?})", self.socket.local_addr())
    }
}

/// Ends a listener: stops accepting, and gives requests in flight some time.
pub type Handle = axum_server::Handle<std::net::SocketAddr>;

impl Listener {
    /// Prepares TLS on a bound socket.
    pub fn new(
        socket: TcpListener,
        config: RustlsConfig,
        trust: watch::Receiver<Trust>,
        controllers: &CertificateDer<'static>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(controllers.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let controllers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let tls = RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE_TIMEOUT).acceptor(NoDelayAcceptor::new());
        socket.set_nonblocking(true)?;
        Ok(Self { socket, acceptor: PeerAcceptor { tls, trust, controllers } })
    }

    /// Serves `router` until `handle` ends it.
    pub async fn serve(self, router: Router, handle: Handle) -> io::Result<()> {
        let mut server = axum_server::from_tcp(self.socket)?.acceptor(self.acceptor).handle(handle).http1_only();
        limit_heads(server.http_builder());
        server.serve(router.into_make_service()).await
    }
}

/// Does the handshake, then hands the certificate on.
#[derive(Clone)]
struct PeerAcceptor {
    tls: RustlsAcceptor<NoDelayAcceptor>,
    trust: watch::Receiver<Trust>,
    controllers: Arc<dyn ClientCertVerifier>,
}

impl PeerAcceptor {
    fn peer(&self, stream: &TlsStream<TcpStream>) -> Option<Peer> {
        let (leaf, intermediates) = stream.get_ref().1.peer_certificates()?.split_first()?;
        let is_controller = self.controllers.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok();
        Peer::read(leaf, is_controller)
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for PeerAcceptor {
    type Stream = Trusted;
    type Service = WithPeer<S>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (stream, service) = this.tls.accept(stream, service).await?;
            let peer = this.peer(&stream).ok_or_else(|| io::Error::other("unreadable client certificate"))?;
            Ok((Trusted::new(stream, this.trust), WithPeer { service, peer: Some(peer) }))
        })
    }
}

/// Puts the [`Peer`], where there is one, into each request of its connection.
#[derive(Clone, Debug)]
pub struct WithPeer<S> {
    service: S,
    peer: Option<Peer>,
}

impl<S, B> Service<Request<B>> for WithPeer<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        self.service.call(request)
    }
}
