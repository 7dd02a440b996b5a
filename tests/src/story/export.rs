//! Chapter 9: the incident log, exported and verified without the cloud.

use std::path::Path;

use anyhow::ensure;
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::rfc3339;
use serde_json::json;

use super::Tale;
use crate::site::SITE;
use crate::site::process::programs;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let body = json!({ "from": rfc3339::format(now.plus_ms(-DAY_MS)), "to": rfc3339::format(now.plus_ms(DAY_MS)) });
    let bundle = tale.customer.post(&format!("/v1/sites/{SITE}/incident-exports"), &body).await?.expect(200)?;
    let keys = tale.customer.get("/v1/signing-keys").await?.expect(200)?;
    let (file, key) = (tale.site.dir.join("incident.jsonl"), tale.site.dir.join("signing-keys.json"));
    std::fs::write(&file, &bundle.bytes)?;
    std::fs::write(&key, &keys.bytes)?;
    let lines = bundle.bytes.split_inclusive(|&byte| byte == b'\n').count();
    tale.telling.timed("the customer exports the incident log", format!("{lines} lines"), bundle.took);

    let (ok, said) = verify(&file, &key).await?;
    ensure!(ok, "the untouched bundle did not verify: {said}");
    tale.telling.step("verified offline with the published key", said);

    let mut changed = bundle.bytes.clone();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    std::fs::write(&file, &changed)?;
    let (ok, said) = verify(&file, &key).await?;
    ensure!(!ok, "a changed byte was not noticed");
    tale.telling.step("one bit of one byte is changed", format!("detected: {said}"));

    let mut cut: Vec<&[u8]> = bundle.bytes.split_inclusive(|&byte| byte == b'\n').collect();
    cut.remove(cut.len() / 2);
    std::fs::write(&file, cut.concat())?;
    let (ok, said) = verify(&file, &key).await?;
    ensure!(!ok, "a missing line was not noticed");
    tale.telling.step("one line is taken out", format!("detected: {said}"));
    std::fs::write(&file, &bundle.bytes)?;
    Ok(())
}

async fn verify(file: &Path, key: &Path) -> anyhow::Result<(bool, String)> {
    let output = tokio::process::Command::new(programs()?.join("cardea-cloud"))
        .arg("verify-export")
        .arg(file)
        .arg("--key")
        .arg(key)
        .output()
        .await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Ok((output.status.success(), said.lines().next().unwrap_or_default().trim().to_owned()))
}
