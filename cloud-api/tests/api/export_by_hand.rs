//! The commands of the operator's guide that check an export without any program of ours, as they stand there.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::support::{Cloud, SITE};

/// The script in the guide.
fn script() -> String {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/operator.md")).unwrap();
    let (_, rest) = guide.split_once("### An export by hand").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn check(folder: &Path, script: &str) -> (bool, String) {
    let Output { status, stdout, stderr } =
        Command::new("sh").arg("-euc").arg(script).current_dir(folder).output().unwrap();
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[tokio::test]
async fn openssl_and_sha256sum_check_an_export_and_find_what_was_done_to_it() {
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    for plate in ["A123BC77", "A124BC77"] {
        client.post(&format!("/v1/sites/{SITE}/plates"), json!({"plate": plate})).await;
    }
    let (from, to) = (cloud.clock_rfc3339(-3_600_000), cloud.clock_rfc3339(3_600_000));
    let bundle =
        client.post(&format!("/v1/sites/{SITE}/incident-exports"), json!({"from": from, "to": to})).await.bytes;
    let keys = client.get("/v1/signing-keys").await.bytes;
    let (folder, script) = (tempfile::tempdir().unwrap(), script());
    let file = folder.path().join("incident.jsonl");
    std::fs::write(folder.path().join("signing-keys.json"), &keys).unwrap();
    std::fs::write(&file, &bundle).unwrap();
    let (sound, said) = check(folder.path(), &script);
    assert!(sound && said.contains("sound: "), "{said}");

    let lines: Vec<&[u8]> = bundle.split_inclusive(|&byte| byte == b'\n').collect();
    assert!(lines.len() > 4, "{}", lines.len());
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().concat();
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    let changed = String::from_utf8(bundle.clone()).unwrap().replacen("admit_plate", "admit_Plate", 1).into_bytes();
    let mut signature = bundle.clone();
    let at = signature.len() - 20;
    signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
    for (what, altered) in [
        ("a line changed", changed),
        ("a line removed", without(2)),
        ("lines swapped", swapped.concat()),
        ("the end cut off", lines[..lines.len() - 1].concat()),
        ("the line before the signature removed", without(lines.len() - 2)),
        ("the signature changed", signature),
    ] {
        std::fs::write(&file, altered).unwrap();
        let (sound, said) = check(folder.path(), &script);
        assert!(!sound && !said.contains("sound: "), "{what}: {said}");
    }
}
