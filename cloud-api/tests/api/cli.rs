//! The program itself: starts, says where it is, ends when told to; and its other commands.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cardea_cloud::keys::Vault;
use cardea_cloud::storage::{KeyStoreSettings, Storage};
use cardea_protocol::clock::Clock as _;
use serde_json::{Value, json};

use super::support::{Ca, Cloud, SITE, config_text};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cardea-cloud"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn write_config(folder: &Path, extra: &str) -> std::path::PathBuf {
    let path = folder.join("cloud.toml");
    std::fs::write(&path, config_text(folder, &Ca::new("Clients"), false) + extra).unwrap();
    path
}

#[test]
fn a_misspelt_key_is_named_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "[tokens]\nlife_time_s = 60\n");
    let output = program().arg("run").arg("--config").arg(&config).output().unwrap();
    assert!(!output.status.success() && text(&output).contains("life_time_s"), "{}", text(&output));
}

#[test]
fn it_serves_until_sigterm_and_then_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let (config, ready) = (write_config(folder.path(), ""), folder.path().join("ready.json"));
    let mut init = program()
        .args(["init-operator", "--principal", "root-operator", "--password-stdin", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    init.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    assert!(init.wait_with_output().unwrap().status.success());

    let mut child = program()
        .args(["run", "--log", "json", "--config"])
        .arg(&config)
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let addresses: Value = poll(|| std::fs::read(&ready).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()));
    for name in ["api", "enrol", "broker"] {
        let address: std::net::SocketAddr = addresses[name].as_str().unwrap().parse().unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok(), "{name}");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let status = poll(|| child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

/// Asks again until there is an answer, for twenty seconds at most.
fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let (_keep, pause) = std::sync::mpsc::channel::<()>();
    for _ in 0..400 {
        if let Some(value) = ask() {
            return value;
        }
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
    panic!("no answer within twenty seconds");
}

#[tokio::test]
async fn keys_that_sign_tokens_are_rotated_by_order() {
    use cardea_cloud::auth::token_keys;
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    let rotate = |more: &[&str]| {
        let output = program().args(["rotate-token-key", "--config"]).arg(&config).args(more).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    assert!(rotate(&[]).contains("a new key signs access tokens from 2"));
    assert!(rotate(&[]).contains("a new key signs access tokens from 2"));
    let keys = async || {
        let data = folder.path().join("data");
        let vault = Arc::new(Vault::open_or_create(&data.join("keys/vault.key")).unwrap());
        let keys = KeyStoreSettings {
            file: Some(data.join("subject-keys.db")),
            vault: vault.clone(),
            at: cardea_protocol::clock::SystemClock.now(),
        };
        let storage = Storage::open(&data.join("cloud.db"), keys).unwrap();
        let stored = storage.token_keys().await.unwrap();
        assert!(token_keys::load(&storage, &vault).await.unwrap().is_some(), "they open");
        stored.into_iter().map(|key| key.kid).collect::<Vec<_>>()
    };
    let before = keys().await;
    assert_eq!(before.len(), 2);
    assert!(rotate(&["--at-once"]).contains("all others count no more"));
    let after = keys().await;
    assert!(after.len() == 1 && !before.contains(&after[0]));
}

#[test]
fn check_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    let good = program().arg("check").arg("--config").arg(&config).output().unwrap();
    assert!(good.status.success(), "{}", text(&good));
    std::fs::remove_file(folder.path().join("clients.pem")).unwrap();
    let bad = program().arg("check").arg("--config").arg(&config).output().unwrap();
    assert!(!bad.status.success() && text(&bad).contains("✗ trusted client CAs"), "{}", text(&bad));
}

#[tokio::test]
async fn a_bundle_is_verified_with_the_published_key_and_a_change_is_found() {
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let period = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"});
    let bundle = client.post(&format!("/v1/sites/{SITE}/incident-exports"), period).await.bytes;
    let keys = client.get("/v1/signing-keys").await.bytes;
    let (file, key) = (cloud.folder.path().join("incident.jsonl"), cloud.folder.path().join("keys.json"));
    std::fs::write(&file, &bundle).unwrap();
    std::fs::write(&key, keys).unwrap();
    let verify = || program().arg("verify-export").arg(&file).arg("--key").arg(&key).output().unwrap();
    let good = verify();
    assert!(good.status.success() && text(&good).contains("sound: 0 entries"), "{}", text(&good));
    std::fs::write(&key, cloud.server.app().signing.public_pem()).unwrap();
    assert!(verify().status.success(), "the same key as PEM");
    std::fs::write(&file, [&bundle[..20], b"X", &bundle[21..]].concat()).unwrap();
    let bad = verify();
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad));
    assert!(text(&bad).contains("NOT SOUND"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_printed_as_a_sheet_and_nothing_else_is() {
    let cloud = Cloud::start().await.with_customer().await;
    let operator = cloud.logged_in("operator").await;
    let registered = operator.post(&format!("/v1/sites/{SITE}/controllers"), json!({"controller_id": "gate-9"})).await;
    let sheet = |answer: &[u8]| {
        let mut child = program()
            .arg("claim-sheet")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answer).unwrap();
        child.wait_with_output().unwrap()
    };
    let printed = sheet(&registered.bytes);
    assert!(printed.status.success(), "{}", text(&printed));
    for part in ["<svg", &registered.text("claim_code"), &registered.text("claim_expires_at")] {
        assert!(text(&printed).contains(part), "{part}");
    }
    let ca = std::fs::read(&cloud.server.addresses().ca_file).unwrap();
    let ca = <rustls_pki_types::CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(&ca).unwrap();
    let fingerprint = hex::encode(cardea_protocol::claim::fingerprint(&ca));
    assert!(registered.text("claim_uri").contains(&fingerprint));
    // Neither a problem document nor the code alone makes a sheet, and neither is repeated.
    let refused = sheet(br#"{"claim_code": "7KQ4-M2XP-93TD-VH6R"}"#);
    assert!(!refused.status.success() && !text(&refused).contains("7KQ4"), "{}", text(&refused));
}
