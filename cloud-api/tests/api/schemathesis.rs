//! schemathesis (PyPI) against the running cloud and its own description: every answer is described, has the form that the
//! description promises, and none is a failure of the cloud's.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cardea_cloud::auth::roles::Role;
use cardea_protocol::clock::ManualClock;
use tokio::process::Command;

use super::support::{Cloud, peer_is_here, workspace};

/// Where setup/peers.py puts it.
fn installed() -> std::path::PathBuf {
    workspace().join(".tools/python-schemathesis")
}

/// Lets the cloud's clock run, three times as fast: the limit of calls per second is by that clock.
fn run_clock(clock: Arc<ManualClock>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            clock.advance_ms(150);
        }
    })
}

/// One run as an account; `CARDEA_SCHEMATHESIS_EXAMPLES` says how many cases for each operation, where more are wanted.
async fn run(name: &str, role: Role) {
    if !peer_is_here(installed().join(".installed").is_file(), "schemathesis in .tools/python-schemathesis") {
        return;
    }
    let cloud = Cloud::start().await.with_customer().await;
    if role != Role::CustomerIntegration && role != Role::Operator {
        cloud.add_account(name, role, None).await;
    }
    let client = cloud.logged_in(name).await;
    let clock = run_clock(cloud.clock.clone());
    let folder = cloud.folder.path();
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
    write("client.crt", &client.identity.0);
    write("client.key", &client.identity.1);
    let wanted = std::env::var("CARDEA_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "3".to_owned());
    let mut command = Command::new("python3");
    command
        .arg("-m")
        .args(["schemathesis.cli", "--config-file"])
        .arg(workspace().join("cloud-api/tests/peer/schemathesis.toml"))
        .arg("run")
        .arg(workspace().join("cloud-api/openapi.json"))
        .args(["--url", &client.base, "--max-examples", &wanted, "--seed", "1", "--no-color", "--request-retries", "2"])
        .args(["--header", &format!("Authorization: Bearer {}", client.token.as_deref().unwrap())])
        .arg("--request-cert")
        .arg(folder.join("client.crt"))
        .arg("--request-cert-key")
        .arg(folder.join("client.key"))
        .arg("--tls-verify")
        .arg(&cloud.server.addresses().ca_file)
        .current_dir(folder)
        .env("PYTHONPATH", installed())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    clock.abort();
    let told = String::from_utf8_lossy(&output.stdout);
    if let Ok(file) = std::env::var("CARDEA_SCHEMATHESIS_REPORT") {
        fs::write(format!("{file}.{name}"), &*told).unwrap();
    }
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customers_back_end_finds_the_api_as_described() {
    run("admin", Role::CustomerIntegration).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_staff_find_the_api_as_described() {
    run("operator", Role::Operator).await;
}
