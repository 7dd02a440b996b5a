//! Logins at the cloud while a thousand others have connected and say nothing, in turn with the same logins alone.
//!
//! A third of the silent ones has connected and no more, a third has sent half of a ClientHello (RFC 8446 §4.1.2), and a third
//! has done the whole handshake with a trusted certificate and asks for nothing. The cloud cuts each off after its time; each
//! is back at once, so that a thousand stand all the while. They come from ten addresses of the loopback network: the listener
//! limits neither the connections of an address nor all of them, but how long a silent one stands.
//!
//! A login is a connection of its own: TCP, TLS 1.3 with a client certificate, and a token for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::site::resident_mib;
use super::{Summary, median, percentile};
use crate::site::{self, CLIENT, Site, Tempo, poll};
use crate::story::PASSWORD;

const SILENT: usize = 1_000;
/// Where they come from: 127.0.0.2 and so on.
const ADDRESSES: usize = 10;
/// Of logins without them and of logins beside them, in turn.
const BLOCKS: usize = 10;
/// In a block.
const LOGINS: usize = 40;
/// They come one after the other, so that the cloud does not cut all off at once.
const APART: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_mins(1);

/// Measures in `dir`, which must not exist.
pub async fn run(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let mut site = Site::start(dir, Tempo::DEMO, site::now()).await?;
    site.register(PASSWORD).await?;
    // The first ones also pay for what the cloud does once.
    logins(&site, 20, || ()).await?;
    let pid = site.cloud().pid();
    let (memory_alone, files) = (resident_mib(pid)?, open_files(pid)?);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let (mut fewest, mut ended, mut memory) = (SILENT, 0, 0.0_f64);
    // In turn, so that what else the machine does meets both alike.
    for _ in 0..BLOCKS {
        alone.extend(logins(&site, LOGINS, || ()).await?);
        let crowd = Crowd::gather(&site)?;
        let stands = async || Ok((crowd.standing() >= SILENT * 99 / 100).then_some(()));
        poll(PATIENCE, "the silent connections stand", stands).await?;
        beside.extend(logins(&site, LOGINS, || fewest = fewest.min(crowd.standing())).await?);
        memory = memory.max(resident_mib(pid)?);
        ended += crowd.ended();
        drop(crowd);
        let gone = async || Ok((open_files(pid)? < files + SILENT / 100).then_some(()));
        poll(PATIENCE, "the cloud has let go of the silent connections", gone).await?;
    }

    let (p99, p99_alone) = (percentile(&mut beside, 0.99), percentile(&mut alone, 0.99));
    let name = format!("login, mTLS: beside {SILENT} silent connections");
    summary.beside(&name, median(beside), "ms", "without them", median(alone));
    summary.beside(&format!("{name}, 99 in 100"), p99, "ms", "without them", p99_alone);
    summary.alone("login, mTLS: fewest silent connections at any login", fewest as f64, "");
    summary.alone("login, mTLS: silent connections cut off by the cloud meanwhile", ended as f64, "");
    summary.beside(&format!("memory: cloud with {SILENT} silent connections"), memory, "MiB", "without", memory_alone);
    site.stop().await
}

/// How many files and connections the process has open.
fn open_files(pid: Option<u32>) -> anyhow::Result<usize> {
    let dir = format!("/proc/{}/fd", pid.context("the cloud is not running")?);
    Ok(std::fs::read_dir(&dir).with_context(|| format!("reading {dir}"))?.count())
}

/// How long each of `count` logins took, in milliseconds; `before` is called before each.
async fn logins(site: &Site, count: usize, mut before: impl FnMut()) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        // A new client has no connection yet.
        let client = site.customer_client()?;
        before();
        let form = [("grant_type", "client_credentials"), ("client_id", CLIENT)];
        times.push(client.token(&form).await?.expect(200)?.took.as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// How far a silent connection has come.
#[derive(Clone, Copy)]
enum Stage {
    Connected,
    HalfHello,
    Authenticated,
}

/// What they need to come so far.
struct Means {
    to: SocketAddr,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    half_hello: Vec<u8>,
    standing: AtomicUsize,
    ended: AtomicUsize,
}

/// Silent connections, and the tasks that renew them. Dropping it ends them.
struct Crowd {
    means: Arc<Means>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    fn gather(site: &Site) -> anyhow::Result<Self> {
        let means = Arc::new(Means::new(site)?);
        let mut tasks = JoinSet::new();
        for number in 0..SILENT {
            let stage = [Stage::Connected, Stage::HalfHello, Stage::Authenticated][number % 3];
            let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, 2 + (number % ADDRESSES) as u8));
            let means = means.clone();
            tasks.spawn(async move {
                sleep(APART * number as u32).await;
                loop {
                    // However it ended, the next takes its place.
                    if means.stand(from, stage).await.is_err() {
                        sleep(APART).await;
                    }
                }
            });
        }
        Ok(Self { means, _tasks: tasks })
    }

    fn standing(&self) -> usize {
        self.means.standing.load(Ordering::Relaxed)
    }

    fn ended(&self) -> usize {
        self.means.ended.load(Ordering::Relaxed)
    }
}

impl Means {
    fn new(site: &Site) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&site.cloud_ca)?)?;
        let chain = CertificateDer::pem_file_iter(&site.customer.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&site.customer.key)?;
        let tls = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?);
        let name = ServerName::try_from("localhost")?;
        let mut hello = Vec::new();
        ClientConnection::new(tls.clone(), name.clone())?.write_tls(&mut hello)?;
        hello.truncate(hello.len() / 2);
        let port = site.api.rsplit(':').next().context("the API's address has no port")?.parse()?;
        Ok(Self {
            to: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            name,
            tls,
            half_hello: hello,
            standing: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    /// Connects, comes as far as `stage`, and says nothing more until the cloud ends it.
    async fn stand(&self, from: IpAddr, stage: Stage) -> std::io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let mut stream = socket.connect(self.to).await?;
        match stage {
            Stage::Connected => self.wait(stream).await,
            Stage::HalfHello => {
                stream.write_all(&self.half_hello).await?;
                self.wait(stream).await;
            }
            Stage::Authenticated => {
                let stream = TlsConnector::from(self.tls.clone()).connect(self.name.clone(), stream).await?;
                self.wait(stream).await;
            }
        }
        Ok(())
    }

    async fn wait(&self, mut stream: impl AsyncRead + Unpin) {
        self.standing.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 256];
        while matches!(stream.read(&mut bytes).await, Ok(read) if read > 0) {}
        self.standing.fetch_sub(1, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}
