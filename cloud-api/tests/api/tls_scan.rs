//! sslyze (PyPI) at each door of the running cloud: versions, suites, known holes, and whether a client has to show a
//! certificate. What it found is judged in `cloud-api/tests/peer/tls_scan.py`.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::process::Command;

use super::support::{Cloud, peer_is_here, workspace};

/// Where setup/peers.py puts it.
fn installed() -> PathBuf {
    workspace().join(".tools/python-sslyze")
}

fn is_here() -> bool {
    peer_is_here(installed().join(".installed").is_file(), "sslyze in .tools/python-sslyze")
}

/// Scans a door that is to speak these versions; `trusted` with a client's certificate.
async fn scan(cloud: &Cloud, door: SocketAddr, versions: &str, asks: &str, trusted: bool) {
    let mut command = Command::new("python3");
    command
        .arg(workspace().join("cloud-api/tests/peer/tls_scan.py"))
        .args([&format!("localhost:{}", door.port()), versions, asks])
        .env("PYTHONPATH", installed())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if trusted {
        let (certificate, key) = cloud.clients.client("anyone");
        for (file, text) in [("scan.crt", certificate), ("scan.key", key)] {
            let path = cloud.folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            command.arg(path);
        }
    }
    let output = command.output().await.unwrap();
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("client certificate"), "{told}\n{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_tls_1_3_alone() {
    if is_here() {
        let cloud = Cloud::start().await;
        scan(&cloud, cloud.api(), "1.3", "certificate", true).await;
        scan(&cloud, cloud.server.addresses().enrol, "1.3", "optional", false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_tls_1_2_with_good_suites_only_where_it_is_configured() {
    if is_here() {
        let cloud = Cloud::start_edited(false, |_, text| text.replace("[server]", "[server]\ntls12 = true")).await;
        scan(&cloud, cloud.api(), "1.2,1.3", "certificate", true).await;
        scan(&cloud, cloud.server.addresses().enrol, "1.2,1.3", "optional", false).await;
    }
}

/// MQTT. The broker's library speaks TLS 1.2 too, whatever is configured.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_good_suites_only_at_the_controllers_door() {
    if is_here() {
        let cloud = Cloud::start().await;
        scan(&cloud, cloud.server.addresses().broker.unwrap(), "1.2,1.3", "certificate", false).await;
    }
}
