//! schemathesis (PyPI) against the running cloud and its own description: every answer is described, has the form that the
//! description promises, and none is a failure of the cloud's. And it gets far enough: each operation that an account may
//! call has been carried out, or refused for what it asks or what stands there, and not only because something was not found.
//!
//! `CARDEA_SCHEMATHESIS_EXAMPLES` says how many cases for each operation, where more are wanted;
//! `CARDEA_SCHEMATHESIS_REPORT` where what it said, and the answers of each operation, are to be left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cardea_cloud::auth::roles::{Operation, Role};
use cardea_protocol::clock::ManualClock;
use tokio::process::Command;

use super::known::Known;
use super::support::{Client, Cloud, peer_is_here, workspace};

/// Where setup/peers.py puts it.
fn installed() -> PathBuf {
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

/// Which operations a run is about.
enum About {
    /// Those of an account with this role, and those for anybody.
    Everything(Role),
    /// These.
    These(&'static [Operation]),
}

impl About {
    fn arguments(&self) -> Vec<String> {
        let named = |argument: &str, operation: &Operation| [argument.to_owned(), operation.id().to_owned()];
        match self {
            Self::Everything(role) => {
                let others = Operation::ALL.iter().filter(|operation| !role.may(**operation));
                others.flat_map(|operation| named("--exclude-operation-id", operation)).collect()
            }
            Self::These(operations) => {
                operations.iter().flat_map(|operation| named("--include-operation-id", operation)).collect()
            }
        }
    }

    fn operations(&self) -> BTreeSet<&'static str> {
        match self {
            Self::Everything(role) => Operation::ALL
                .iter()
                .filter(|operation| role.may(**operation))
                .map(|operation| operation.id())
                .collect(),
            Self::These(operations) => operations.iter().map(|operation| operation.id()).collect(),
        }
    }
}

/// One run as this client, against a cloud that holds what is `known`.
async fn run(cloud: &Cloud, name: &str, client: &Client, known: Known, about: About) {
    let folder = cloud.folder.path();
    known.write(folder);
    let peer = workspace().join("cloud-api/tests/peer");
    fs::copy(peer.join("schemathesis.toml"), folder.join("schemathesis.toml")).unwrap();
    fs::copy(peer.join("schemathesis_hooks.py"), folder.join("schemathesis_hooks.py")).unwrap();
    fs::write(folder.join("client.crt"), &client.identity.0).unwrap();
    fs::write(folder.join("client.key"), &client.identity.1).unwrap();
    let clock = run_clock(cloud.clock.clone());
    let output = command(cloud, client, folder).args(about.arguments()).output().await.unwrap();
    clock.abort();
    let told = String::from_utf8_lossy(&output.stdout);
    let answers = fs::read_to_string(folder.join("answers.json")).unwrap_or_default();
    if let Ok(file) = std::env::var("CARDEA_SCHEMATHESIS_REPORT") {
        fs::write(format!("{file}.{name}"), &*told).unwrap();
        fs::write(format!("{file}.{name}.json"), &answers).unwrap();
    }
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let answers: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_str(&answers).unwrap();
    let reached = |status: &str| !["400", "401", "403", "404", "405", "415"].contains(&status);
    let mut thin = about.operations();
    thin.retain(|id| !answers.get(*id).is_some_and(|statuses| statuses.keys().any(|status| reached(status))));
    assert!(thin.is_empty(), "not reached: {thin:?}, of {answers:?}");
}

fn command(cloud: &Cloud, client: &Client, folder: &Path) -> Command {
    let wanted = std::env::var("CARDEA_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "3".to_owned());
    let mut command = Command::new("python3");
    command
        .arg("-m")
        .args(["schemathesis.cli", "--config-file", "schemathesis.toml", "run"])
        .arg(workspace().join("cloud-api/openapi.json"))
        .args(["--url", &client.base, "--max-examples", &wanted, "--seed", "1", "--no-color", "--request-retries", "2"])
        .args(["--header", &format!("Authorization: Bearer {}", client.token.as_deref().unwrap())])
        .args(["--request-cert", "client.crt", "--request-cert-key", "client.key", "--tls-verify"])
        .arg(&cloud.server.addresses().ca_file)
        .current_dir(folder)
        .env("PYTHONPATH", std::env::join_paths([installed(), folder.to_owned()]).unwrap())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("CARDEA_PHOTO", workspace().join(".tools/samples/grace_hopper.jpg"))
        .env("CARDEA_ANSWERS", folder.join("answers.json"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn is_here() -> bool {
    peer_is_here(installed().join(".installed").is_file(), "schemathesis in .tools/python-schemathesis")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customers_back_end_finds_the_api_as_described() {
    if !is_here() {
        return;
    }
    let cloud = Cloud::start_with(true).await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let known = Known::of_customer(&cloud, &client).await;
    run(&cloud, "admin", &client, known, About::Everything(Role::CustomerIntegration)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_staff_find_the_api_as_described() {
    if !is_here() {
        return;
    }
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("operator").await;
    let known = Known::of_operator(&cloud).await;
    run(&cloud, "operator", &client, known, About::Everything(Role::Operator)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_security_officer_finds_the_api_as_described() {
    if !is_here() {
        return;
    }
    let cloud = Cloud::start().await.with_customer().await;
    cloud.add_account("officer", Role::SecurityOfficer, None).await;
    let known = Known::of_operator(&cloud).await;
    let client = cloud.logged_in("officer").await;
    let about = &[Operation::RevokePrincipal, Operation::RevokeCertificate, Operation::ReadAudit];
    run(&cloud, "officer", &client, known, About::These(about)).await;
}
