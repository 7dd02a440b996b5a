//! A network cable between controller and cloud that can be pulled: a TCP forwarder on a port of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A forwarder to one address. While it is cut, running connections are reset and new ones are refused service.
#[derive(Clone)]
pub struct Link {
    local: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    plugged: watch::Sender<bool>,
}

impl Link {
    /// Listens on an ephemeral port; the target may come later, once it is known.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let link = Self { local: listener.local_addr()?, target: Arc::default(), plugged: watch::Sender::new(true) };
        tokio::spawn(forward(listener, link.clone()));
        Ok(link)
    }

    /// Where to connect instead of the target.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sets where the cable leads.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    /// Pulls the cable.
    pub fn cut(&self) {
        self.plugged.send_replace(false);
    }

    /// Puts it back.
    pub fn restore(&self) {
        self.plugged.send_replace(true);
    }
}

async fn forward(listener: TcpListener, link: Link) {
    while let Ok((near, _)) = listener.accept().await {
        let target = *link.target.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plugged = link.plugged.subscribe();
        let Some(target) = target.filter(|_| *plugged.borrow()) else { continue };
        tokio::spawn(async move {
            let mut near = near;
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = plugged.wait_for(|plugged| !plugged) => {}
            }
        });
    }
}
