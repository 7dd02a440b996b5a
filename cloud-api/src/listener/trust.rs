//! Whom the API trusts at the moment, and connections that end with that.
//!
//! A handshake asks once. A connection that stands may outlast the CA it was let in under, which somebody has taken out of
//! the configuration; so each asks again whenever that is read anew.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

/// Judges client certificates as a handshake does.
#[derive(Clone, Debug)]
pub struct Trust(pub(super) Arc<dyn ClientCertVerifier>);

impl Trust {
    fn covers(&self, chain: &[CertificateDer<'static>]) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        self.0.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
    }
}

/// Returns once the chain is trusted no more; at once if it is not.
async fn distrusted(mut trust: watch::Receiver<Trust>, chain: Vec<CertificateDer<'static>>) {
    loop {
        let current = trust.borrow_and_update().clone();
        if !current.covers(&chain) {
            return;
        }
        if trust.changed().await.is_err() {
            // The configuration is read no more.
            return std::future::pending().await;
        }
    }
}

/// A connection that breaks off when its certificate is trusted no more.
pub struct Trusted {
    stream: TlsStream<TcpStream>,
    distrusted: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl std::fmt::Debug for Trusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trusted(…)")
    }
}

impl Trusted {
    pub(super) fn new(stream: TlsStream<TcpStream>, trust: watch::Receiver<Trust>) -> Self {
        let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
        Self { stream, distrusted: Some(Box::pin(distrusted(trust, chain))) }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let over = self.distrusted.as_mut().is_none_or(|distrusted| distrusted.as_mut().poll(cx).is_ready());
        if over {
            self.distrusted = None;
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the client's certificate is trusted no more",
            ));
        }
        Ok(())
    }
}

impl AsyncRead for Trusted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Trusted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
