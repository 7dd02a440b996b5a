//! An evil broker between the cloud's and the controller: it holds the broker's key and the controller's, reads every
//! MQTT packet, keeps the orders that pass, and can put one on the wire again, byte for byte.
//!
//! Nothing in Cardea trusts a broker, so this is what must achieve nothing: orders are signed, numbered and bound to
//! one session and one start of the program.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The listening tap; lead a [`super::link::Link`] to [`Wiretap::local`].
pub struct Wiretap {
    local: SocketAddr,
    orders: Arc<Mutex<Vec<Vec<u8>>>>,
    replay: broadcast::Sender<Vec<u8>>,
}

#[derive(Clone)]
struct Tap {
    broker: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    orders: Arc<Mutex<Vec<Vec<u8>>>>,
    replay: broadcast::Sender<Vec<u8>>,
}

impl Wiretap {
    /// Listens before `broker`, with the keys that lie in the cloud's and the controller's folders.
    pub async fn start(broker: SocketAddr, cloud: &Path, controller: &Path) -> anyhow::Result<Self> {
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain(&cloud.join("broker.pem"))?, key(&cloud.join("broker.key"))?)?;
        let identity = controller.join("identity");
        let mut roots = RootCertStore::empty();
        for ca in chain(&identity.join("ca.pem"))? {
            roots.add(ca)?;
        }
        let own = identity.join("controller.pem");
        let client =
            ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain(&own)?, key(&own)?)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (local, orders, replay) = (listener.local_addr()?, Arc::default(), broadcast::Sender::new(4));
        let tap = Tap {
            broker,
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            orders: Arc::clone(&orders),
            replay: replay.clone(),
        };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // A connection that breaks is made anew by the controller.
                tokio::spawn(tap.clone().carry(near));
            }
        });
        Ok(Self { local, orders, replay })
    }

    /// Where it listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// How many orders have passed.
    pub fn orders(&self) -> usize {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Puts the first order that passed on every connection again.
    pub fn replay_first(&self) -> anyhow::Result<()> {
        let first = self.orders.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        let connections = self.replay.send(first.context("no order has passed")?).unwrap_or(0);
        ensure!(connections > 0, "there is no connection to replay on");
        Ok(())
    }
}

impl Tap {
    async fn carry(self, near: TcpStream) -> anyhow::Result<()> {
        let near = self.acceptor.accept(near).await?;
        let far = TcpStream::connect(self.broker).await?;
        let far = self.connector.connect(ServerName::try_from("localhost")?, far).await?;
        let (mut near_read, mut near_write) = tokio::io::split(near);
        let (mut far_read, mut far_write) = tokio::io::split(far);
        let mut replay = self.replay.subscribe();
        let (packets, mut incoming) = mpsc::channel::<Vec<u8>>(16);
        let read = async {
            while let Ok(packet) = packet(&mut far_read).await {
                if is_order(&packet) {
                    self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(packet.clone());
                }
                if packets.send(packet).await.is_err() {
                    break;
                }
            }
        };
        let write = async {
            loop {
                let packet = tokio::select! {
                    Some(packet) = incoming.recv() => packet,
                    Ok(packet) = replay.recv() => packet,
                    else => return,
                };
                if near_write.write_all(&packet).await.is_err() || near_write.flush().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = write => {}
            _ = tokio::io::copy(&mut near_read, &mut far_write) => {}
        }
        Ok(())
    }
}

/// One MQTT control packet (MQTT 5.0 section 2.1): type, remaining length as a variable byte integer, the rest.
async fn packet(from: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Vec<u8>> {
    let mut packet = vec![from.read_u8().await?];
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let byte = from.read_u8().await?;
        packet.push(byte);
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let head = packet.len();
            packet.resize(head + length, 0);
            from.read_exact(&mut packet[head..]).await?;
            return Ok(packet);
        }
    }
    bail!("not an MQTT packet")
}

/// Whether a packet publishes an envelope whose message is a command: `"message": {"command": …` in deterministic CBOR (RFC 8949),
/// which a signature wraps and does not hide.
fn is_order(packet: &[u8]) -> bool {
    let publishes = packet.first().is_some_and(|byte| byte >> 4 == 3);
    publishes && packet.windows(COMMAND.len()).any(|window| window == COMMAND)
}

/// A text of 7 bytes, a map of one entry, a text of 7 bytes.
const COMMAND: &[u8] = b"\x67message\xa1\x67command";

fn chain(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<_, _>>);
    certificates.with_context(|| format!("reading {}", file.display()))
}

fn key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_are_cut_where_they_end() {
        let mut wire: &[u8] = &[0x30, 3, 1, 2, 3, 0xd0, 0];
        assert_eq!(packet(&mut wire).await.unwrap(), vec![0x30, 3, 1, 2, 3]);
        assert_eq!(packet(&mut wire).await.unwrap(), vec![0xd0, 0]);
        assert!(packet(&mut wire).await.is_err());
    }

    #[test]
    fn only_a_published_command_is_an_order() {
        let (order, answer) =
            ([b"\x32\x63topic".as_slice(), COMMAND].concat(), b"\x32\x63topic\x67message\xa1\x6ecommand-result");
        assert!(is_order(&order));
        assert!(!is_order(answer));
        assert!(!is_order(&[&[0xd0], &order[1..]].concat()));
    }
}
