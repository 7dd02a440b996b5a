//! Access tokens of another issuer: npm's oidc-provider, an OpenID Provider that is not ours.
//!
//! It comes with `make setup` where Node.js is. Where it is missing these tests pass and say so; with `CI` or
//! `CARDEA_REQUIRE_PEERS` set they fail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::support::{Client, Cloud, SITE, peer_is_here, workspace};

const PATIENCE: Duration = Duration::from_mins(1);

/// The other provider, ended with the test.
struct Issuer {
    process: Child,
    said: Receiver<String>,
    url: String,
    certificate: String,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_here() -> bool {
    let packages = workspace().join(".tools/node-peers/node_modules/oidc-provider").is_dir();
    let runs = || Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok();
    peer_is_here(packages && runs(), "oidc-provider in .tools/node-peers")
}

impl Issuer {
    fn start(folder: &std::path::Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.join("server.pem"), &certificate).unwrap();
        std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
        let mut process = Command::new("node")
            .arg(workspace().join("cloud-api/tests/peer/issuer.mjs"))
            .args([folder, &workspace().join(".tools/node-peers")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (say, said) = channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        let mut issuer = Self { process, said, url: String::new(), certificate };
        issuer.url = issuer.wait_for("issuer ");
        issuer
    }

    /// The rest of the next line that begins so.
    fn wait_for(&self, begin: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line begins with {begin}"));
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    /// How often its keys have been asked for since the last look. It says so when told to: a line printed whenever it is
    /// asked could come after the cloud's answer.
    fn asked(&mut self) -> usize {
        self.tell("asked");
        self.wait_for("asked ").parse().unwrap()
    }

    fn rotate(&mut self) {
        self.tell("rotate");
        self.wait_for("rotated ");
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// What a cloud that trusts it has in its configuration.
    fn trusted(&self, folder: &std::path::Path, more: &str) -> String {
        format!(
            "[[issuers]]\nissuer = '{}'\naudience = 'cardea'\nrole_claim = '/groups'\ncustomer = 'birch-homes'\n\
             ca_file = '{}'\n{more}\n[issuers.roles]\ngate-admin = 'customer-integration'\n",
            self.url,
            folder.join("server.pem").display()
        )
    }

    /// A token for that client of it, asked for with the certificate of that client of ours.
    async fn token(&self, client: &Client, name: &str) -> String {
        let (certificate, key) = &client.identity;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(self.certificate.as_bytes()).unwrap()])
            .identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap())
            .build()
            .unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", name),
            ("client_secret", "a secret of the test alone"),
        ];
        let answer = http.post(format!("{}/token", self.url)).form(&form).send().await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_tokens_open_the_customers_sites_on_their_own_certificate_alone() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut issuer = Issuer::start(folder.path());
    let cloud = Cloud::start_configured(&issuer.trusted(folder.path(), "")).await.with_customer().await;
    let mut client = cloud.client("a-name-nobody-has-registered");
    client.token = Some(issuer.token(&client, "back-end").await);
    for _ in 0..3 {
        let sites = client.get("/v1/sites").await;
        assert_eq!((sites.status.as_u16(), &sites.json["sites"][0]["site_id"]), (200, &SITE.into()));
    }
    assert_eq!(client.get("/v1/controllers/gate-1").await.problem(), (403, "role-forbidden"));
    assert_eq!(issuer.asked(), 1, "the keys are kept");

    let mut thief = cloud.client("a-name-nobody-has-registered");
    thief.token.clone_from(&client.token);
    let refused = thief.get("/v1/sites").await;
    assert_eq!(refused.problem(), (401, "token-invalid"));
    assert!(refused.challenge.contains("it is bound to another client certificate"), "{refused:?}");
    thief.token = Some(issuer.token(&thief, "plain").await);
    let refused = thief.get("/v1/sites").await;
    assert!(refused.challenge.contains("it is bound to no client certificate"), "{refused:?}");

    // A new key: asked for when a token names it, but only so often.
    issuer.rotate();
    client.token = Some(issuer.token(&client, "back-end").await);
    for _ in 0..2 {
        let refused = client.get("/v1/sites").await;
        assert!(refused.challenge.contains("no key of its issuer has signed it"), "{refused:?}");
    }
    assert_eq!(issuer.asked(), 0);
    cloud.clock.advance_ms(60_000);
    assert_eq!(client.get("/v1/sites").await.status, 200);
    assert_eq!(issuer.asked(), 1);

    // What is done with such a token is in the audit, under a name that is no person's.
    let plates = client.post(&format!("/v1/sites/{SITE}/plates"), serde_json::json!({"plate": "A123BC77"})).await;
    assert_eq!(plates.status, 201, "{plates:?}");
    let (action, who, _, _) = cloud.server.app().storage.recent_actions(1).await.unwrap().remove(0);
    let who = who.unwrap();
    assert_eq!(action, "admit_plate");
    assert!(who.starts_with("external-") && !who.contains("back-end"), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_token_is_taken_where_the_configuration_says_so_and_an_issuer_that_is_away_is_said_to_be() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::start(folder.path());
    let trusted = issuer.trusted(folder.path(), "accept_unbound = true");
    let cloud = Cloud::start_configured(&trusted).await.with_customer().await;
    let mut client = cloud.client("anyone");
    client.token = Some(issuer.token(&client, "plain").await);
    assert_eq!(client.get("/v1/sites").await.status, 200);

    let another = Cloud::start_configured(&trusted).await.with_customer().await;
    let mut late = another.client("anyone");
    late.token.clone_from(&client.token);
    drop(issuer);
    assert_eq!(late.get("/v1/sites").await.problem(), (503, "issuer-unavailable"));
    assert_eq!(client.get("/v1/sites").await.status, 200, "who has the keys goes on");
    let own = another.logged_in("admin").await;
    assert_eq!(own.get("/v1/sites").await.status, 200, "and our own tokens count as ever");
}
