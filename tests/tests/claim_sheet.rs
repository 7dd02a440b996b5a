//! A controller that knows nothing but the line of its claim sheet: scanned, or waiting in a file for the first start.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::ensure;
use base64::Engine as _;
use cardea_tests::site::{self, CONTROLLER, Site, Tempo, process};
use cardea_tests::story::PASSWORD;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

/// `cardead claim` with a configuration that says nothing of a cloud.
async fn claim(folder: &Path, state: &str, options: &[&str], input: &str) -> anyhow::Result<Output> {
    let config = folder.join(format!("{state}.toml"));
    std::fs::write(&config, format!("state_dir = '{}'\n", folder.join(state).display()))?;
    let mut child = tokio::process::Command::new(process::programs()?.join("cardead"))
        .args(["claim", "--config"])
        .arg(&config)
        .args(options)
        .env_remove("CARDEA_CLAIM_CODE")
        .env("RUST_LOG", "trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // A program that reads nothing is gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    Ok(child.wait_with_output().await?)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_a_claim_sheet_is_all_a_controller_needs() -> anyhow::Result<()> {
    site::prepare()?;
    let folder = tempfile::tempdir()?;
    let site = Site::start(&folder.path().join("site"), Tempo::DEMO, site::now()).await?;
    site.register(PASSWORD).await?;
    let operator = site.operator().await?;
    let path = format!("/v1/controllers/{CONTROLLER}/claim-codes");
    let sheet = operator.post(&path, &json!({})).await?.expect(201)?;
    let (line, code) = (sheet.text("/claim_uri")?, sheet.text("/claim_code")?);

    // A sheet with another fingerprint: the cloud is not trusted, and the code not sent. None of it is repeated, at any level of logs.
    let (before, rest) = line.split_once("&ca=").unwrap();
    let forged = format!("{before}&ca={}{}", "0".repeat(64), &rest[64..]);
    let refused = claim(folder.path(), "forged", &[], &forged).await?;
    ensure!(!refused.status.success() && said(&refused).contains("fingerprint"), "{}", said(&refused));
    ensure!(!said(&refused).contains(&code), "the code is in the log");

    let waiting = folder.path().join("cardea-claim.toml");
    let from = ["--from", waiting.to_str().unwrap()];
    // A wrong code is tried once: exit code 3, and the file is gone.
    std::fs::write(&waiting, format!("line = '{}'", line.replace(&code, "0000-0000-0000-0000")))?;
    let refused = claim(folder.path(), "first-boot", &from, "").await?;
    ensure!(refused.status.code() == Some(3) && !waiting.exists(), "{}", said(&refused));
    // No cloud there yet: it stays for the next try.
    std::fs::write(&waiting, format!("line = '{}'", line.replace(&site.enrolment, "https://127.0.0.1:9")))?;
    let nobody = claim(folder.path(), "first-boot", &from, "").await?;
    ensure!(nobody.status.code() == Some(1) && waiting.exists(), "{}", said(&nobody));

    std::fs::write(&waiting, format!("line = '{line}'"))?;
    let claimed = claim(folder.path(), "first-boot", &from, "").await?;
    ensure!(claimed.status.success() && said(&claimed).contains(CONTROLLER), "{}", said(&claimed));
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{CONTROLLER}:{code}"));
    ensure!(!waiting.exists() && !said(&claimed).contains(&code) && !said(&claimed).contains(&basic));
    // The power went before the file was erased.
    std::fs::write(&waiting, format!("line = '{line}'"))?;
    let again = claim(folder.path(), "first-boot", &from, "").await?;
    ensure!(again.status.success() && !waiting.exists(), "{}", said(&again));

    // The next one by a scanner.
    let sheet =
        operator.post(&format!("/v1/sites/{}/controllers", site::SITE), &json!({"controller_id": "gate-2"})).await?;
    let line = sheet.expect(201)?.text("/claim_uri")?;
    let scanned = claim(folder.path(), "scanned", &[], &format!("{line}\r\n")).await?;
    ensure!(scanned.status.success() && said(&scanned).contains("claimed as gate-2"), "{}", said(&scanned));
    site.stop().await
}
