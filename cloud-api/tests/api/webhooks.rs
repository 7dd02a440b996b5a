//! Webhooks of the running cloud, verified by a receiver that is not ours: the standardwebhooks library of PyPI, behind a
//! certificate of a private CA.
//!
//! It comes with `make setup`. Where it is missing this test passes and says so; with `CI` or `CARDEA_REQUIRE_PEERS` set it
//! fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Ca, Client, Cloud, SITE, SUBJECT, consent, peer_is_here, workspace};

const PATIENCE: Duration = Duration::from_mins(1);

fn packages() -> PathBuf {
    workspace().join(".tools/python-peers")
}

/// The receiver, ended with the test.
struct Receiver {
    process: Child,
    said: Lines<String>,
    url: String,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Receiver {
    fn start(folder: &Path) -> Self {
        let ca = Ca::new("Receivers");
        let (certificate, key) = ca.server("localhost");
        for (file, text) in [("ca.pem", &ca.pem), ("server.pem", &certificate), ("server.key", &key)] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let mut process = Command::new("python3")
            .arg(workspace().join("cloud-api/tests/peer/receiver.py"))
            .args([folder.join("server.pem"), folder.join("server.key")])
            .env("PYTHONPATH", packages())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, said) = channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        let mut receiver = Self { process, said, url: String::new() };
        let port = receiver.line();
        receiver.url = format!("https://localhost:{}/cardea", port.strip_prefix("port ").unwrap());
        receiver
    }

    fn line(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("the receiver says nothing")
    }

    /// The next message it gets.
    fn message(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn tell(&mut self, word: &str, value: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{word} {value}").unwrap();
        assert_eq!(self.line(), format!("done {word}"));
    }
}

async fn withdraw(client: &Client, subject: &str) -> (String, String) {
    let consent = client.post(&format!("/v1/sites/{SITE}/consents"), consent(subject)).await.text("consent_id");
    let path = format!("/v1/sites/{SITE}/consents/{consent}/withdrawal");
    (consent, client.post(&path, json!({})).await.text("erasure_id"))
}

/// The webhook, once `good` of it.
async fn seen(client: &Client, webhook: &str, good: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let seen = client.get(&format!("/v1/webhooks/{webhook}")).await.json;
        if good(&seen) {
            return seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "{seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether the commands of the integrator's guide find a message genuine.
fn genuine_by_hand(message: &Value, secret: &str) -> bool {
    let guide = std::fs::read_to_string(workspace().join("docs/guide/integrator.md")).unwrap();
    let (_, rest) = guide.split_once("## Being told").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    let script = rest.split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body.json"), message["raw"].as_str().unwrap()).unwrap();
    let mut command = Command::new("sh");
    command.arg("-euc").arg(script).current_dir(folder.path()).env("SECRET", secret);
    command.env("ID", message["id"].as_str().unwrap()).env("TIMESTAMP", message["timestamp"].to_string());
    let output = command.env("SIGNATURES", message["signature"].as_str().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(said, if output.status.success() { "genuine" } else { "NOT genuine" }, "{output:?}");
    output.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_verified_by_the_library_of_the_standard_and_told_again_after_a_failure() {
    if !peer_is_here(packages().join("standardwebhooks").is_dir(), "standardwebhooks in .tools/python-peers") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(folder.path());
    let settings = format!("[webhooks]\nallow = ['localhost']\nca = '{}'\n", folder.path().join("ca.pem").display());
    let cloud = Cloud::start_configured(&settings).await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let kinds = ["consent.withdrawn", "erasure.completed", "property-sale.completed"];
    let registered = client.post("/v1/webhooks", json!({"url": receiver.url, "kinds": kinds})).await;
    assert_eq!(registered.status, 201, "{registered:?}");
    let webhook = registered.text("webhook_id");
    receiver.tell("secret", &registered.text("secret"));

    // Both at once: there is no controller to wait for.
    let (consent, erasure) = withdraw(&client, SUBJECT).await;
    let mut messages = [receiver.message(), receiver.message()];
    messages.sort_by_key(|message| message["body"]["type"].to_string());
    let [withdrawn, erased] = &messages;
    assert_eq!(withdrawn["body"]["type"], "consent.withdrawn");
    assert_eq!(withdrawn["body"]["data"], json!({"site_id": SITE, "consent_id": consent, "erasure_id": erasure}));
    assert_eq!(erased["body"]["type"], "erasure.completed");
    assert_eq!(erased["body"]["data"], json!({"site_id": SITE, "erasure_id": erasure}));
    assert_ne!(withdrawn["id"], erased["id"]);
    for message in &messages {
        assert_eq!(message["path"], "/cardea");
        assert_eq!(message["verdicts"][0], Value::Null, "good: {message}");
        assert_eq!(message["verdicts"][1], "No matching signature found", "another secret");
        assert_eq!(message["altered"], "No matching signature found");
        assert_eq!(message["another_id"], "No matching signature found");
        assert_eq!(message["old"], "Message timestamp too old");
    }
    let secret = registered.text("secret");
    assert!(genuine_by_hand(withdrawn, &secret));
    for (member, other) in [("raw", json!("{}")), ("id", erased["id"].clone()), ("timestamp", json!(1))] {
        let mut altered = withdrawn.clone();
        altered[member] = other;
        assert!(!genuine_by_hand(&altered, &secret), "{member}");
    }
    seen(&client, &webhook, |seen| seen["waiting"] == 0 && seen["last_delivery"]["outcome"] == "delivered").await;

    receiver.tell("answer", "503");
    let sale = json!({"plates": ["A123BC77"], "subjects": []});
    let sale = client.post(&format!("/v1/sites/{SITE}/property-sales"), sale).await.text("sale_id");
    let first = receiver.message();
    assert_eq!((&first["body"]["data"]["sale_id"], &first["answered"]), (&sale.into(), &503.into()));
    let failing = seen(&client, &webhook, |seen| seen["failing_since"].is_string()).await;
    assert_eq!((&failing["last_delivery"]["status"], &failing["waiting"]), (&503.into(), &1.into()));
    receiver.tell("answer", "200");
    cloud.clock.advance_ms(6_000);
    let second = receiver.message();
    assert_eq!((&second["id"], &second["body"]), (&first["id"], &first["body"]), "the same message");
    assert!(second["timestamp"].as_i64() > first["timestamp"].as_i64() && second["verdicts"][0].is_null());
    seen(&client, &webhook, |seen| seen["waiting"] == 0 && seen["failing_since"].is_null()).await;

    // After a rotation both secrets verify.
    let rotated = client.post(&format!("/v1/webhooks/{webhook}/secret-rotations"), json!({})).await;
    receiver.tell("secret", &rotated.text("secret"));
    withdraw(&client, "6a1d3f1f-9b2c-4d6f-8e2f-1b2c3d4e5f60").await;
    let message = receiver.message();
    assert!(genuine_by_hand(&message, &secret) && genuine_by_hand(&message, &rotated.text("secret")));
    assert_eq!(
        (&message["signatures"], &message["verdicts"]),
        (&2.into(), &json!([null, null, "No matching signature found"]))
    );
    cloud.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_leads_to_this_machine() {
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    for url in ["https://localhost/", "https://127.0.0.1:8443/", "https://169.254.169.254/latest/meta-data"] {
        let refused = client.post("/v1/webhooks", json!({"url": url, "kinds": ["access.event"]})).await;
        assert_eq!(refused.problem(), (422, "invalid-field"), "{url}");
    }
}
