//! Mosquitto alone: how long it needs to push a message to many subscribers over mutual TLS 1.3, at QoS 1.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::percentile;
use crate::fleet::open_files;
use crate::site;
use crate::site::pki::{ClientCa, ClientFiles};

const PROGRAM: &str = "/usr/sbin/mosquitto";
const PATIENCE: Duration = Duration::from_mins(2);
/// Connections that are made at once.
const AT_ONCE: usize = 32;

/// Pushes `bytes` to each of `subscribers`, `rounds` times. Answers after how many milliseconds each had them in each round, and
/// the last of each round.
pub async fn push(dir: &Path, subscribers: usize, bytes: usize, rounds: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    open_files(subscribers)?;
    let broker = Broker::start(dir).await?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    for number in 0..subscribers {
        let (client, mut events) = broker.client(&format!("subscriber-{number}"))?;
        client.subscribe(topic(number), QoS::AtLeastOnce).await?;
        let arrived = arrived.clone();
        tokio::spawn(async move {
            // Kept, since the connection ends with it.
            let _client = client;
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::SubAck(_) | Packet::Publish(_))) => {
                        if arrived.send(Ok(Instant::now())).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let _ = arrived.send(Err(error));
                        return;
                    }
                }
            }
        });
        // All at once they would wait for each other's handshakes.
        if (number + 1) % AT_ONCE == 0 {
            next(&mut arrivals, AT_ONCE).await?;
        }
    }
    next(&mut arrivals, subscribers % AT_ONCE).await?;

    let (publisher, mut events) = broker.client("publisher")?;
    tokio::spawn(async move { while events.poll().await.is_ok() {} });
    let (mut each, mut last) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        let publish = async {
            for number in 0..subscribers {
                publisher.publish(topic(number), QoS::AtLeastOnce, false, vec![7; bytes]).await?;
            }
            anyhow::Ok(())
        };
        let (published, arrived) = tokio::join!(publish, next(&mut arrivals, subscribers));
        published?;
        let mut times: Vec<f64> = arrived?.into_iter().map(|at| (at - begun).as_secs_f64() * 1e3).collect();
        last.push(percentile(&mut times, 1.0));
        each.append(&mut times);
    }
    Ok((each, last))
}

fn topic(number: usize) -> String {
    format!("down/{number}")
}

/// The next so many.
async fn next(
    arrivals: &mut mpsc::UnboundedReceiver<Result<Instant, rumqttc::ConnectionError>>,
    count: usize,
) -> anyhow::Result<Vec<Instant>> {
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let arrival = timeout(PATIENCE, arrivals.recv()).await.context("Mosquitto has not pushed in time")?;
        times.push(arrival.context("no subscriber is left")??);
    }
    Ok(times)
}

struct Broker {
    child: Child,
    port: u16,
    tls: Arc<ClientConfig>,
}

impl Broker {
    async fn start(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(dir)?;
        let dir = dir.canonicalize()?;
        let ca = ClientCa::create(&dir.join("pki"), "CA of a benchmark", site::now())?;
        let (server, client) = (ca.server("localhost")?, ca.client("Bench", "subscriber")?);
        // Mosquitto takes no "any".
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let configuration = format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\ntls_version tlsv1.3\nrequire_certificate true\n\
             allow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\n\
             user root\n",
            ca.certificate().display(),
            server.certificate.display(),
            server.key.display(),
        );
        let file = dir.join("mosquitto.conf");
        std::fs::write(&file, configuration)?;
        let log = std::fs::File::create(dir.join("mosquitto.log"))?;
        let mut child = Command::new(PROGRAM)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {PROGRAM}: apt-get install mosquitto"))?;
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("Mosquitto does not run: {}", std::fs::read_to_string(dir.join("mosquitto.log"))?);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { child, port, tls: Arc::new(tls(&ca, &client)?) })
    }

    fn client(&self, name: &str) -> anyhow::Result<(AsyncClient, EventLoop)> {
        let mut options = MqttOptions::new(name, "localhost", self.port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(self.tls.clone())));
        options.set_inflight(1_000);
        Ok(AsyncClient::new(options, 64))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tls(ca: &ClientCa, client: &ClientFiles) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.certificate())?)?;
    let chain = vec![CertificateDer::from_pem_file(&client.certificate)?];
    let key = PrivateKeyDer::from_pem_file(&client.key)?;
    Ok(ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?)
}
