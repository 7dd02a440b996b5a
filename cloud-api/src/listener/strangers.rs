//! HTTPS for those who have no certificate yet, or none that is still good: the enrolment of controllers.
//!
//! A certificate is not asked of anybody. Who shows one must hold its key and have it of the Cardea CA, as everywhere; but it
//! may have expired, because this is where it is renewed. How long ago is for [`crate::enrolment`] to judge, by the cloud's
//! clock; nothing else that is served here looks at certificates. The API and the broker have verifiers of their own, which
//! let no expired certificate through.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{HANDSHAKE_TIMEOUT, Peer, TlsError, WithPeer, limit_heads};

/// Lets in who shows nothing, or a certificate of `controllers` whose end is the only thing that may be wrong with it.
pub(super) fn verifier(controllers: &CertificateDer<'static>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(controllers.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(Arc::new(ExpiryPassedOver { strict }))
}

#[derive(Debug)]
struct ExpiryPassedOver {
    strict: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for ExpiryPassedOver {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // At its last moment, where that is over: everything else about it is judged as it was then.
        let at = last_moment(leaf).filter(|last| *last < now).unwrap_or(now);
        self.strict.verify_client_cert(leaf, intermediates, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

fn last_moment(leaf: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The listener on a bound socket.
pub fn listener(
    socket: TcpListener,
    config: RustlsConfig,
) -> Result<axum_server::Server<SocketAddr, StrangerAcceptor>, TlsError> {
    let tls = RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE_TIMEOUT).acceptor(NoDelayAcceptor::new());
    socket.set_nonblocking(true)?;
    let mut server = axum_server::from_tcp(socket)?.acceptor(StrangerAcceptor { tls }).http1_only();
    limit_heads(server.http_builder());
    Ok(server)
}

/// Does the handshake, then hands on the certificate, if one was shown.
#[derive(Clone, Debug)]
pub struct StrangerAcceptor {
    tls: RustlsAcceptor<NoDelayAcceptor>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for StrangerAcceptor {
    type Stream = TlsStream<TcpStream>;
    type Service = WithPeer<S>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let (stream, service) = tls.accept(stream, service).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let peer = shown.and_then(|leaf| Peer::read(leaf, true));
            Ok((stream, WithPeer { service, peer }))
        })
    }
}
