//! `cardea-fleet`: thousands of controllers at one cloud, over mutual TLS and MQTT, on this machine.

use std::path::PathBuf;

use anyhow::Context as _;
use cardea_tests::fleet::trial::{self, Extent};
use cardea_tests::site;
use cardea_tests::story::telling::line;
use clap::Parser;

/// Connects a fleet at once, changes its site, erases residents, and tells how long that took everybody: a table, and
/// `fleet.json`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the scratch folder and fleet.json go.
    #[arg(long, default_value = "target/fleet")]
    out: PathBuf,
    #[command(flatten)]
    extent: Extent,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let outcome = tokio::select! {
        outcome = play() => outcome,
        interrupted = site::interrupted() => interrupted.and_then(|()| anyhow::bail!("interrupted")),
    };
    site::end(outcome)
}

async fn play() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    site::prepare()?;
    let scratch = arguments.out.join("site");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))?;
    }
    if let Some(state) = arguments.extent.state.as_ref().filter(|state| state.exists()) {
        anyhow::bail!("{} is there already: name a folder that is not", state.display());
    }
    let report = trial::run(&scratch, &arguments.extent).await?;
    for row in report.table() {
        line(format_args!("{row}"));
    }
    let file = arguments.out.join("fleet.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    line(format_args!("\n{}", file.display()));
    Ok(())
}
