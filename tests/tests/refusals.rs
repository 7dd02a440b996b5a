//! Programs that refuse rather than guess: an unknown key, a spoilt model, a board that does not answer.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cardea_daemon::local::{self, Status};
use cardea_hardware::sim::physics::HouseState;
use cardea_tests::look;
use cardea_tests::site::back_end::{BackEnd, Reply};
use cardea_tests::site::{self, BARRIER, DOOR, SITE, Site, Tempo, process};
use cardea_tests::story::PASSWORD;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs one of our programs to its end, which must come by itself.
async fn output(program: &str, command: &str, config: &Path) -> anyhow::Result<Output> {
    let run = tokio::process::Command::new(process::programs()?.join(program))
        .args([command, "--config"])
        .arg(config)
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, run).await;
    Ok(ended.with_context(|| format!("{program} {command} did not end with {}", config.display()))??)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn an_unknown_key_in_a_configuration_is_named_and_nothing_starts() -> anyhow::Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state");
    // A key that is misspelt, in a table, in one of many tables, and at the top.
    let misspelt = [
        ("cardead", "max_staleness_s = 3600", "max_stalenes_s"),
        ("cardead", "driver = \"modbus-tcp\"", "drivers"),
        ("cardead", "state_dir =", "state_directory"),
        ("cardea-cloud", "lifetime_s = 3600", "life_time_s"),
        ("cardea-cloud", "claim_tries = 5", "claim_trys"),
        ("cardea-cloud", "data_dir =", "data_directory"),
    ];
    for (program, right, wrong) in misspelt {
        let text = std::fs::read_to_string(examples.join(format!("{program}.example.toml")))?;
        ensure!(text.contains(right), "the example of {program} has no {right:?} to misspell");
        let line = format!("{wrong} ={}\n{right}", right.split_once('=').map_or("", |(_, value)| value));
        let line = if right.ends_with('=') { format!("{wrong} = \"x\"\n{right}") } else { line };
        let text = text.replacen(right, &line, 1);
        let text = text.replace("/var/lib/cardea-cloud", &state.display().to_string());
        let text = text.replace("/var/lib/cardea", &state.display().to_string());
        let config = folder.path().join("config.toml");
        std::fs::write(&config, text)?;
        for command in ["run", "check"] {
            let output = output(program, command, &config).await?;
            let said = said(&output);
            ensure!(!output.status.success(), "{program} {command} went on with {wrong}: {said}");
            ensure!(said.contains(wrong) && said.contains("config.toml"), "{program} {command} of {wrong}: {said}");
        }
        ensure!(!state.exists(), "{program} left something behind in {}", state.display());
    }
    Ok(())
}

/// A claimed site in a folder of its own.
async fn claimed() -> anyhow::Result<(TempDir, Site, BackEnd, BackEnd)> {
    site::prepare()?;
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("site");
    let (site, customer, operator) = Site::start_claimed(&dir, Tempo::DEMO, site::now(), PASSWORD).await?;
    Ok((folder, site, customer, operator))
}

/// A copy of the base pack with one bit of one byte of a model changed; the pack, and the model's file name.
fn spoilt_pack(folder: &Path) -> anyhow::Result<(PathBuf, &'static str)> {
    const SPOILT: &str = "plate_reader.onnx";
    let copy = folder.join("pack");
    std::fs::create_dir(&copy)?;
    for entry in std::fs::read_dir(look::base_pack())? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::copy(&path, copy.join(path.file_name().unwrap()))?;
        }
    }
    let mut bytes = std::fs::read(copy.join(SPOILT))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(copy.join(SPOILT), bytes)?;
    Ok((copy, SPOILT))
}

/// The two hashes that a complaint about a file names.
fn hashes(text: &str) -> Vec<&str> {
    let is_hash = |word: &&str| word.len() == 64 && word.bytes().all(|c| c.is_ascii_hexdigit());
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_hash).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_model_is_named_and_buttons_and_orders_still_open() -> anyhow::Result<()> {
    let (folder, mut site, customer, operator) = claimed().await?;
    site.controller()?.stop().await?;
    let (pack, spoilt) = spoilt_pack(folder.path())?;
    let config = site.controller_config();
    let text = std::fs::read_to_string(&config)?;
    let whole = look::base_pack().display().to_string();
    ensure!(text.contains(&whole), "the configuration names no pack");
    std::fs::write(&config, text.replace(&whole, &pack.display().to_string()))?;

    let checked = output("cardead", "check", &config).await?;
    let findings = said(&checked);
    assert!(!checked.status.success(), "{findings}");
    let complaint = findings.lines().find(|line| line.contains(spoilt)).with_context(|| findings.clone())?;
    let manifest = std::fs::read_to_string(pack.join("manifest.toml"))?;
    let hashes = hashes(complaint);
    assert_eq!(hashes.len(), 2, "found and expected: {complaint}");
    assert_ne!(hashes[0], hashes[1]);
    assert!(hashes.iter().any(|hash| manifest.contains(hash)), "not what the manifest says: {complaint}");

    let before = events(&customer).await?.len();
    site.start_controller()?;
    site.in_sync(&operator, PATIENCE).await?;
    new_event(&customer, before, "the want of recognition is told", |event| {
        event["type"] == "alarm" && event["alarm"] == "recognition-unavailable"
    })
    .await?;
    assert!(site.controller()?.tail().contains(spoilt), "the log does not name {spoilt}");
    opens_by_order(&site, &customer).await?;

    let edge = site.house.last_edge().await?;
    site.house.exit_button(true).await?;
    let released = |state: &HouseState| state.door.released || state.door.open;
    site.house.wait("the exit button releases the door", PATIENCE, released).await?;
    assert_eq!(site.house.pulses("lock", edge).await?, 1);
    site.house.exit_button(false).await?;
    site.stop().await
}

/// Both access points open on demand.
async fn opens_by_order(site: &Site, customer: &BackEnd) -> anyhow::Result<()> {
    site.house.person(true).await?;
    for point in [BARRIER, DOOR] {
        let opened = open(customer, point, &format!("by-order-{point}")).await?.expect(200)?;
        assert_eq!(opened.body["state"], "confirmed", "{}", opened.body);
    }
    site.house.person(false).await?;
    let shut = |state: &HouseState| state.barrier.position <= 0.0 && !state.door.open && !state.door.released;
    site.house.wait("both are shut again", PATIENCE, shut).await.map(|_| ())
}

async fn open(customer: &BackEnd, point: &str, key: &str) -> anyhow::Result<Reply> {
    customer.post_with(&format!("/v1/access-points/{point}/open"), ("idempotency-key", key)).await
}

/// All events of the site.
async fn events(customer: &BackEnd) -> anyhow::Result<Vec<Value>> {
    let page = customer.get(&format!("/v1/sites/{SITE}/events?limit=1000")).await?.expect(200)?.body;
    page["events"].as_array().cloned().context("no list of events")
}

/// Waits for an event past the first `after` ones.
async fn new_event(
    customer: &BackEnd,
    after: usize,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    site::poll(PATIENCE, what, async || Ok(events(customer).await?.into_iter().skip(after).find(|event| wanted(event))))
        .await
}

/// Waits until the customer sees both access points reachable, or both not and in the state `fault`.
async fn equipment(customer: &BackEnd, reachable: bool) -> anyhow::Result<()> {
    let what = if reachable { "both are reachable again" } else { "both are listed as unreachable, in fault" };
    site::poll(PATIENCE, what, async || {
        let list = customer.get(&format!("/v1/sites/{SITE}/equipment")).await?.expect(200)?.body;
        let points = list["access_points"].as_array().context("no access points")?;
        ensure!(points.len() == 2, "{list}");
        let as_wanted = |point: &Value| point["reachable"] == reachable && (reachable == (point["state"] != "fault"));
        Ok(points.iter().all(as_wanted).then_some(()))
    })
    .await
}

async fn status(site: &Site, what: &str, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
    let socket = site.dir.join("local.sock");
    site::poll(PATIENCE, what, async || Ok(Some(local::ask(&socket).await?).filter(|status| wanted(status)))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_does_not_answer_is_a_fault_comes_back_and_opens_nothing_late() -> anyhow::Result<()> {
    let (_folder, mut site, customer, operator) = claimed().await?;
    equipment(&customer, true).await?;
    for fault in ["dead", "silent", "garbage"] {
        lost_and_found(&site, &customer, fault).await.with_context(|| format!("a board that is {fault}"))?;
    }
    opens_by_order(&site, &customer).await?;
    site.in_sync(&operator, PATIENCE).await?;
    let log = site.controller()?.tail();
    assert!(!log.contains("panicked"), "{log}");
    site.stop().await
}

/// The board is lost in the way of `fault`, asked in vain, mended, and must then stand still.
async fn lost_and_found(site: &Site, customer: &BackEnd, fault: &str) -> anyhow::Result<()> {
    let seen = events(customer).await?.len();
    let edge = site.house.last_edge().await?;
    site.house.fault("io", json!({ "kind": fault })).await?;
    status(site, "the controller notices", |status| status.devices.get("io1") == Some(&Some(false))).await?;
    equipment(customer, false).await?;
    let gone =
        |event: &Value| event["type"] == "equipment" && event["equipment"] == "io1" && event["reachable"] == false;
    new_event(customer, seen, "the loss is told", gone).await?;

    // Refused, and why; the same call again is the same refusal, not another try.
    for point in [BARRIER, DOOR] {
        let key = format!("{fault}-{point}");
        let refused = open(customer, point, &key).await?.expect(200)?.body;
        ensure!(refused["state"] == "refused" && refused["reason"] == "equipment-fault", "{refused}");
        ensure!(open(customer, point, &key).await?.expect(200)?.body == refused, "the refusal has changed");
        let decided = |event: &Value| event["command_id"] == refused["command_id"] && event["granted"] == false;
        new_event(customer, seen, "the refusal is told", decided).await?;
    }
    // Somebody waits where a late opening would let them in, as would a button that is still held.
    site.house.person(true).await?;

    site.house.fault("io", json!({ "kind": "none" })).await?;
    let back =
        |event: &Value| event["type"] == "equipment" && event["equipment"] == "io1" && event["reachable"] == true;
    new_event(customer, seen, "the return is told", back).await?;
    equipment(customer, true).await?;
    // Twice the time within which an order may reach a board: whatever was kept back would have come.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let pulses = site.house.pulses("open", edge).await? + site.house.pulses("lock", edge).await?;
    ensure!(pulses == 0, "something opened by itself: {:?}", site.house.history(edge).await?);
    let state = site.house.state().await?;
    ensure!(!state.door.open && state.barrier.position <= 0.0, "{state:?}");
    site.house.person(false).await
}
