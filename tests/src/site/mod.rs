//! One site on this machine: a cloud, a simulated house with one barrier and one door, and a controller between them.
//!
//! All three are the real programs as child processes, on ephemeral ports, in a folder of their own, with a client CA
//! made for the occasion. The controller reaches the broker through a [`link::Link`], the cable that can be pulled.

pub mod back_end;
mod configs;
pub mod house;
pub mod link;
pub mod pki;
pub mod process;
pub mod wiretap;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use back_end::BackEnd;
use cardea_protocol::est;
use house::House;
use link::Link;
use pki::{ClientCa, ClientFiles};
use process::Process;

use crate::{look, picture};
use cardea_protocol::clock::Clock as _;

/// The site's id.
pub const SITE: &str = "birch-street-12";
/// The controller's id.
pub const CONTROLLER: &str = "birch-street-12-gate";
/// The barrier's id.
pub const BARRIER: &str = "birch-street-12-barrier";
/// The door's id.
pub const DOOR: &str = "birch-street-12-door";
/// The customer's login for the password grant.
pub const LOGIN: &str = "birch-homes-admin";
/// The customer's account for the certificate grant.
pub const CLIENT: &str = "birch-homes-back-end";
/// The operator's account.
pub const OPERATOR: &str = "operator";

/// The cloud's configuration file, in the site's folder.
const CLOUD_CONFIG: &str = "cardea-cloud.toml";

/// Times of a site, short where people wait for them.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// How long the boom travels.
    pub travel_ms: u64,
    /// How long the way must be clear before the boom comes down.
    pub clear_ms: u64,
    /// How long the boom stays up for a car that never drives in.
    pub open_timeout_s: u64,
    /// After how long without the cloud faces are refused.
    pub face_staleness_s: u64,
    /// How often the cloud states freshness.
    pub freshness_ms: u64,
}

impl Tempo {
    /// The demo's: everything happens before the eyes of a person.
    pub const DEMO: Self =
        Self { travel_ms: 800, clear_ms: 600, open_timeout_s: 4, face_staleness_s: 8, freshness_ms: 1_000 };
    /// A house people play with.
    pub const REAL: Self =
        Self { travel_ms: 3_000, clear_ms: 2_000, open_timeout_s: 20, face_staleness_s: 3_600, freshness_ms: 5_000 };
}

#[derive(Deserialize)]
struct Ready {
    api_url: String,
    enrol_url: String,
    broker: SocketAddr,
    ca_file: PathBuf,
}

/// A cloud and a house, and the certificates of those who talk to them; the controller comes when it is claimed.
pub struct Site {
    /// Where everything lies.
    pub dir: PathBuf,
    /// The certification authority of the cloud's clients.
    pub client_ca: ClientCa,
    /// The customer's certificate and key.
    pub customer: ClientFiles,
    /// The operator's certificate and key.
    pub operator: ClientFiles,
    /// The simulated house.
    pub house: House,
    /// The cable between controller and broker.
    pub link: Link,
    /// Where the broker really listens.
    pub broker: SocketAddr,
    /// Base URL of the API.
    pub api: String,
    /// Base URL of the enrolment listener.
    pub enrolment: String,
    /// The CA that vouches for the cloud's own certificate.
    pub cloud_ca: PathBuf,
    tempo: Tempo,
    cloud: Process,
    controller: Option<Process>,
}

impl Site {
    /// Starts the house and the cloud in `dir`, which must not exist, and registers the operator.
    pub async fn start(dir: &Path, tempo: Tempo, now: OffsetDateTime) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir.parent().unwrap_or(dir))?;
        std::fs::create_dir(dir).with_context(|| format!("making {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let client_ca = ClientCa::create(&dir.join("pki"), "Cardea demo client CA", now)?;
        let customer = client_ca.client("Birch Homes", "back-end")?;
        let operator = client_ca.client("Operator", "operator")?;
        let house = House::start(&dir, tempo.travel_ms).await?;
        let link = Link::start().await?;

        let config = dir.join(CLOUD_CONFIG);
        std::fs::write(&config, configs::cloud(&dir, &client_ca, &link, tempo))?;
        init_operator(&config, &operator).await?;
        let (cloud, ready) = start_cloud(&dir, &link).await?;
        Ok(Self {
            dir,
            client_ca,
            customer,
            operator,
            house,
            link,
            broker: ready.broker,
            api: ready.api_url,
            enrolment: ready.enrol_url,
            cloud_ca: ready.ca_file,
            tempo,
            cloud,
            controller: None,
        })
    }

    /// The cloud's configuration file.
    pub fn cloud_config(&self) -> PathBuf {
        self.dir.join(CLOUD_CONFIG)
    }

    /// Starts the cloud again once it has ended. It listens on other ports, and the cable leads there.
    pub async fn restart_cloud(&mut self) -> anyhow::Result<()> {
        let (cloud, ready) = start_cloud(&self.dir, &self.link).await?;
        self.cloud = cloud;
        (self.broker, self.api, self.enrolment) = (ready.broker, ready.api_url, ready.enrol_url);
        Ok(())
    }

    /// The controller's configuration file.
    pub fn controller_config(&self) -> PathBuf {
        self.dir.join("cardead.toml")
    }

    /// The folders that hold everything the cloud and the controller remember.
    pub fn memories(&self) -> [PathBuf; 2] {
        [self.dir.join("cloud"), self.dir.join("controller")]
    }

    /// An HTTPS client with the customer's certificate, without a token.
    pub fn customer_client(&self) -> anyhow::Result<BackEnd> {
        BackEnd::new(&self.api, &self.cloud_ca, Some(&self.customer))
    }

    /// The customer's back end with a token by certificate.
    pub async fn customer(&self) -> anyhow::Result<BackEnd> {
        by_certificate(self.customer_client()?, CLIENT).await
    }

    /// The operator with a token by certificate.
    pub async fn operator(&self) -> anyhow::Result<BackEnd> {
        by_certificate(BackEnd::new(&self.api, &self.cloud_ca, Some(&self.operator))?, OPERATOR).await
    }

    /// Registers house, customer (with both credentials) and controller; returns the controller's claim code.
    pub async fn register(&self, password: &str) -> anyhow::Result<String> {
        let operator = self.operator().await?;
        operator.post("/v1/sites", &json!({ "site_id": SITE, "address": "Birch Street 12" })).await?.expect(201)?;
        let customer = json!({ "customer_id": "birch-homes", "name": "Birch Homes", "sites": [SITE] });
        operator.post("/v1/customers", &customer).await?.expect(201)?;
        let login = json!({ "principal_id": LOGIN, "customer_id": "birch-homes", "role": "customer-integration", "password": password });
        operator.post("/v1/principals", &login).await?.expect(201)?;
        let client = json!({
            "principal_id": CLIENT, "customer_id": "birch-homes", "role": "customer-integration",
            "subject_dn": self.customer.subject_dn,
        });
        operator.post("/v1/principals", &client).await?.expect(201)?;
        let path = format!("/v1/sites/{SITE}/controllers");
        operator.post(&path, &json!({ "controller_id": CONTROLLER })).await?.expect(201)?.text("/claim_code")
    }

    /// Runs `cardead claim` with a code, as an installer would; its output either way.
    pub async fn claim(&self, code: &str) -> anyhow::Result<std::process::Output> {
        let config = self.controller_config();
        std::fs::write(&config, configs::controller(&self.dir, self)?)?;
        let output = tokio::process::Command::new(process::programs()?.join("cardead"))
            .args(["claim", "--config"])
            .arg(&config)
            .args(["--controller", CONTROLLER])
            .env("CARDEA_CLAIM_CODE", code)
            .output()
            .await?;
        Ok(output)
    }

    /// Tries to enrol with a code and a key of the caller's own, as a thief of the code would; the HTTP status.
    pub async fn enrolment_with(&self, code: &str) -> anyhow::Result<u16> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let request = rcgen::CertificateParams::default().serialize_request(&key)?;
        let ca = reqwest::Certificate::from_pem(&std::fs::read(&self.cloud_ca)?)?;
        let http = reqwest::Client::builder().tls_certs_only([ca]).build()?;
        let answer = http
            .post(format!("{}{}", self.enrolment, est::SIMPLEENROLL_PATH))
            .basic_auth(CONTROLLER, Some(code))
            .header(reqwest::header::CONTENT_TYPE, est::PKCS10)
            .body(est::encode_body(request.der()))
            .send()
            .await?;
        Ok(answer.status().as_u16())
    }

    /// Starts the controller.
    pub fn start_controller(&mut self) -> anyhow::Result<()> {
        let config = self.controller_config();
        let config = config.to_str().context("the path is not UTF-8")?;
        self.controller = Some(Process::start("cardead", &self.dir, &["run", "--config", config], false)?);
        Ok(())
    }

    /// Stops the controller and starts it again with remote orders only, so that it loads no model.
    pub async fn restart_controller_without_models(&mut self) -> anyhow::Result<()> {
        self.controller()?.stop().await?;
        std::fs::write(self.controller_config(), configs::without_models(&configs::controller(&self.dir, self)?))?;
        self.start_controller()?;
        let socket = self.dir.join("local.sock");
        poll(Duration::from_secs(20), "the controller has its boards", async || {
            let Ok(status) = cardea_daemon::local::ask(&socket).await else { return Ok(None) };
            Ok(status.access_points.iter().all(|point| point.reachable).then_some(()))
        })
        .await
    }

    /// The running controller.
    pub fn controller(&mut self) -> anyhow::Result<&mut Process> {
        self.controller.as_mut().context("the controller is not running")
    }

    /// The running cloud.
    pub fn cloud(&mut self) -> &mut Process {
        &mut self.cloud
    }

    /// Waits until the controller is connected and in sync with the site's newest revision.
    pub async fn in_sync(&self, operator: &BackEnd, within: Duration) -> anyhow::Result<Value> {
        let path = format!("/v1/controllers/{CONTROLLER}");
        poll(within, "the controller is in sync", async || {
            let view = operator.get(&path).await?.expect(200)?.body;
            let current = view["cursor"] == view["site_revision"] && view["in_sync"] == true;
            Ok((current && view["connected"] == true).then_some(view))
        })
        .await
    }

    /// Starts the whole site, claimed and in sync, and returns it with a customer and an operator who have tokens.
    pub async fn start_claimed(
        dir: &Path,
        tempo: Tempo,
        now: OffsetDateTime,
        password: &str,
    ) -> anyhow::Result<(Self, BackEnd, BackEnd)> {
        let mut site = Self::start(dir, tempo, now).await?;
        let code = site.register(password).await?;
        let output = site.claim(&code).await?;
        if !output.status.success() {
            bail!("cardead claim failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        site.start_controller()?;
        let operator = site.operator().await?;
        if let Err(error) = site.in_sync(&operator, Duration::from_mins(1)).await {
            bail!("{error:#}; the controller's log:\n{}", site.controller()?.tail());
        }
        let customer = site.customer().await?;
        Ok((site, customer, operator))
    }

    /// Ends everything politely: controller, cloud, house.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(mut controller) = self.controller.take() {
            let status = controller.stop().await?;
            if !status.success() {
                bail!("cardead ended with {status}; its log:\n{}", controller.tail());
            }
        }
        let status = self.cloud.stop().await?;
        if !status.success() {
            bail!("cardea-cloud ended with {status}; its log:\n{}", self.cloud.tail());
        }
        self.house.stop().await
    }

    /// The times it runs by.
    pub fn tempo(&self) -> Tempo {
        self.tempo
    }
}

/// What every program that plays a site does first.
pub fn prepare() -> anyhow::Result<()> {
    // Installed at most once; a second time it is there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for file in [look::onnxruntime(), look::base_pack().join("manifest.toml"), picture::sample("grace_hopper.jpg")] {
        if !file.exists() {
            bail!("{} is missing: run `make setup` first", file.display());
        }
    }
    Ok(())
}

/// Waits for Ctrl-C, SIGTERM, or the terminal that closes.
pub async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// The end of a program: a failure is one line for the person who started it.
pub fn end(outcome: anyhow::Result<()>) -> std::process::ExitCode {
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            crate::story::telling::line(format_args!("\nfailed: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

/// The time certificates are made by.
pub fn now() -> OffsetDateTime {
    let ms = cardea_protocol::clock::SystemClock.now().0;
    OffsetDateTime::from_unix_timestamp(ms / 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Asks until there is an answer, or too long.
pub async fn poll<T>(
    within: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {within:?}");
        }
        sleep(Duration::from_millis(15)).await;
    }
}

async fn by_certificate(client: BackEnd, account: &str) -> anyhow::Result<BackEnd> {
    let reply = client.token(&[("grant_type", "client_credentials"), ("client_id", account)]).await?.expect(200)?;
    Ok(client.with_token(&reply.text("/access_token")?))
}

async fn init_operator(config: &Path, operator: &ClientFiles) -> anyhow::Result<()> {
    let output = tokio::process::Command::new(process::programs()?.join("cardea-cloud"))
        .args(["init-operator", "--config"])
        .arg(config)
        .args(["--principal", OPERATOR, "--subject-dn", &operator.subject_dn])
        .output()
        .await?;
    if !output.status.success() {
        bail!("cardea-cloud init-operator failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Starts the cloud and waits until it serves.
async fn start_cloud(dir: &Path, link: &Link) -> anyhow::Result<(Process, Ready)> {
    let utf8 = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let ready_file = dir.join("cloud-ready.json");
    if ready_file.exists() {
        // Of the start before this one.
        std::fs::remove_file(&ready_file)?;
    }
    let (config, file) = (utf8(&dir.join(CLOUD_CONFIG))?, utf8(&ready_file)?);
    let mut cloud = Process::start("cardea-cloud", dir, &["run", "--config", &config, "--ready-file", &file], false)?;
    let ready = cloud.ready_file(&ready_file, Duration::from_mins(1)).await?;
    let ready: Ready = serde_json::from_str(&ready).with_context(|| format!("cardea-cloud wrote {ready}"))?;
    link.lead_to(ready.broker);
    Ok((cloud, ready))
}
