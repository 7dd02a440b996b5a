//! A client that openapi-python-client (PyPI) makes of the committed description, at a customer's whole work: where the
//! description is wrong, or says what that program does not understand, it is not made, or the work ends in an error.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use cardea_cloud::storage::certificates::IssuedCertificate;
use cardea_cloud::storage::sites::Scope;
use cardea_protocol::clock::Clock as _;
use cardea_protocol::id::{ControllerId, ErasureId, Revision, SiteId};
use cardea_protocol::jws::{Signer, Use};
use cardea_protocol::message::Receipt;
use rcgen::KeyPair;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::support::{Cloud, SITE, peer_is_here, workspace};

/// Where setup/peers.py puts the program and what its clients need.
fn installed() -> PathBuf {
    workspace().join(".tools/python-client")
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    // The generated package lies in the folder; nothing is written beside what is installed.
    command.current_dir(folder).env("PYTHONPATH", installed()).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    command
}

/// The client, made in `folder`; no operation and no answer may be left out.
async fn generate(folder: &Path) {
    let output = python(folder)
        .args(["-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"])
        .args(["--output-path", "cardea_client", "--path"])
        .arg(workspace().join("cloud-api/openapi.json"))
        .arg("--config")
        .arg(workspace().join("cloud-api/tests/peer/python-client.yaml"))
        .output()
        .await
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.to_lowercase().contains("warning"), "{said}");
}

/// The site's controller, claimed.
struct Controller {
    id: ControllerId,
    key: KeyPair,
}

impl Controller {
    async fn claimed(cloud: &Cloud) -> Self {
        let (storage, now) = (&cloud.server.app().storage, cloud.clock.now());
        let (id, key) = (ControllerId::new("gate-1").unwrap(), KeyPair::generate().unwrap());
        let later = now.plus_ms(86_400_000);
        let site = SiteId::new(SITE).unwrap();
        storage.register_controller(&Scope::Operator, &id, &site, "hash".to_owned(), later, now).await.unwrap();
        let public_point = key.public_key_raw().to_vec();
        let certificate = IssuedCertificate { serial: "a1".to_owned(), public_point, issued_at: now, not_after: later };
        storage.finish_claim(&id, "hash".to_owned(), certificate).await.unwrap();
        Self { id, key }
    }

    /// Answers an erasure, as sync stores the answer.
    async fn answer(&self, cloud: &Cloud, erasure: &str) {
        let at = cloud.clock.now();
        let erasure = ErasureId::new(erasure).unwrap();
        let (controller, revision) = (self.id.clone(), Revision(1));
        let receipt = Receipt { erasure, controller, revision, templates_erased: 1, verified: true, at };
        let signer = Signer::p256(&Zeroizing::new(self.key.serialize_pem()), self.id.as_str()).unwrap();
        let jws = signer.sign(Use::Receipt, &receipt).unwrap();
        assert!(cloud.server.app().storage.store_receipt(&receipt, &jws, at).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_works_from_the_token_to_the_act_of_destruction() {
    if !peer_is_here(installed().join(".installed").is_file(), "openapi-python-client in .tools/python-client") {
        return;
    }
    let cloud = Cloud::start_with(true).await.with_customer().await;
    let controller = Controller::claimed(&cloud).await;
    let folder = cloud.folder.path();
    generate(folder).await;
    let client = cloud.client("admin");
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
    write("client.crt", &client.identity.0);
    write("client.key", &client.identity.1);
    let mut child = python(folder)
        .arg("-c")
        .arg("import runpy, sys; sys.path.insert(0, '.'); runpy.run_path(sys.argv[1], run_name='__main__')")
        .arg(workspace().join("cloud-api/tests/peer/python_client.py"))
        .envs([("CARDEA_BASE", client.base.as_str()), ("CARDEA_SITE", SITE), ("CARDEA_ACCOUNT", "admin")])
        .envs([("CARDEA_CERT", "client.crt"), ("CARDEA_KEY", "client.key"), ("CARDEA_NOW", &cloud.clock_rfc3339(0))])
        .env("CARDEA_CA", &cloud.server.addresses().ca_file)
        .env("CARDEA_PHOTO", workspace().join(".tools/samples/grace_hopper.jpg"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answered = 0;
    while let Some(line) = told.next_line().await.unwrap() {
        controller.answer(&cloud, line.strip_prefix("erasure ").unwrap()).await;
        answered += 1;
    }
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(answered, 2);
}
