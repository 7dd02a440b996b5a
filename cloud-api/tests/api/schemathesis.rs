//! schemathesis (PyPI) against the running cloud and its own description: every answer is described, has the form that the
//! description promises, and none is a failure of the cloud's. And it gets far enough: each operation that the account may
//! call has been carried out, but for those of [`OUT_OF_REACH`].
//!
//! `CARDEA_SCHEMATHESIS_EXAMPLES` says how many cases for each operation, where more are wanted, and
//! `CARDEA_SCHEMATHESIS_SEED` which;
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

use super::cases::{self, Cases};
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

/// What no account here can carry out, the answer that it gets instead, and what stands in the way.
const OUT_OF_REACH: [(&str, &str, &str); 4] = [
    ("open_access_point", "503", "the door's controller is away"),
    ("sign_in", "400", "it takes a page that was shown to a browser"),
    ("userinfo", "403", "it takes a token for a person, and this one is for a program"),
    ("userinfo_by_post", "403", "it takes a token for a person, and this one is for a program"),
];

/// Whether an operation was carried out, or got the answer of [`OUT_OF_REACH`].
fn reached(id: &str, statuses: &BTreeMap<String, u64>) -> bool {
    match OUT_OF_REACH.iter().find(|(out, ..)| *out == id) {
        Some((_, answer, _)) => statuses.contains_key(*answer),
        None => statuses.keys().any(|status| status.starts_with(['2', '3'])),
    }
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

    /// Their ids. What is no [`Operation`] is for anybody.
    fn operations(&self) -> BTreeSet<String> {
        match self {
            Self::Everything(role) => {
                let mut described = described();
                let others = Operation::ALL.iter().filter(|operation| !role.may(**operation));
                others.for_each(|operation| _ = described.remove(operation.id()));
                described
            }
            Self::These(operations) => operations.iter().map(|operation| operation.id().to_owned()).collect(),
        }
    }
}

/// The ids of all operations of the description.
fn described() -> BTreeSet<String> {
    let text = fs::read(workspace().join("cloud-api/openapi.json")).unwrap();
    let description: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let paths = description["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    operations.filter_map(|operation| operation["operationId"].as_str().map(str::to_owned)).collect()
}

/// One run as this client, against a cloud that holds what is `known`: first these cases, then what schemathesis thinks of.
async fn run(cloud: &Cloud, name: &str, client: &Client, (known, cases): (Known, Cases), about: About) {
    let folder = cloud.folder.path();
    fs::write(folder.join("cases.json"), serde_json::to_vec(&cases).unwrap()).unwrap();
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
    let mut thin = about.operations();
    thin.retain(|id| !answers.get(id).is_some_and(|statuses| reached(id, statuses)));
    assert!(thin.is_empty(), "not carried out: {thin:?}, of {answers:?}");
}

fn command(cloud: &Cloud, client: &Client, folder: &Path) -> Command {
    let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let wanted = setting("CARDEA_SCHEMATHESIS_EXAMPLES", "3");
    let seed = setting("CARDEA_SCHEMATHESIS_SEED", "1");
    let mut command = Command::new("python3");
    command
        .arg("-m")
        .args(["schemathesis.cli", "--config-file", "schemathesis.toml", "run"])
        .arg(workspace().join("cloud-api/openapi.json"))
        .args(["--url", &client.base, "--max-examples", &wanted, "--seed", &seed])
        .args(["--no-color", "--request-retries", "2"])
        .args(["--header", &format!("Authorization: Bearer {}", client.token.as_deref().unwrap())])
        .args(["--request-cert", "client.crt", "--request-cert-key", "client.key", "--tls-verify"])
        .arg(&cloud.server.addresses().ca_file)
        .current_dir(folder)
        .env("PYTHONPATH", std::env::join_paths([installed(), folder.to_owned()]).unwrap())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("CARDEA_PHOTO", workspace().join(".tools/samples/grace_hopper.jpg"))
        .env("CARDEA_CASES", folder.join("cases.json"))
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
    let mut known = Known::of_customer(&cloud, &client).await;
    let cases = cases::of_customer(&mut known, &cloud, &client).await;
    run(&cloud, "admin", &client, (known, cases), About::Everything(Role::CustomerIntegration)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_staff_find_the_api_as_described() {
    if !is_here() {
        return;
    }
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("operator").await;
    let mut known = Known::of_operator(&cloud).await;
    let cases = cases::of_operator(&mut known, "operator");
    run(&cloud, "operator", &client, (known, cases), About::Everything(Role::Operator)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_security_officer_finds_the_api_as_described() {
    if !is_here() {
        return;
    }
    let cloud = Cloud::start().await.with_customer().await;
    cloud.add_account("officer", Role::SecurityOfficer, None).await;
    let mut known = Known::of_operator(&cloud).await;
    let cases = cases::of_operator(&mut known, "officer");
    let client = cloud.logged_in("officer").await;
    let about = &[Operation::RevokePrincipal, Operation::RevokeCertificate, Operation::ReadAudit];
    run(&cloud, "officer", &client, (known, cases), About::These(about)).await;
}
