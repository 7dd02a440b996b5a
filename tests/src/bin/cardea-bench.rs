//! `cardea-bench`: speed and memory, beside peers in the same run.

use std::path::PathBuf;

use cardea_tests::bench::{Summary, gallery, relay, site as system, stages};
use cardea_tests::site;
use cardea_tests::story::telling::line;
use clap::Parser;

/// Measures and writes `summary.json`: name to value, unit, peer, ratio.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where summary.json goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let outcome = tokio::select! {
        outcome = measure() => outcome,
        interrupted = site::interrupted() => interrupted.and_then(|()| anyhow::bail!("interrupted")),
    };
    site::end(outcome)
}

async fn measure() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    site::prepare()?;
    std::fs::create_dir_all(&arguments.out)?;
    let scratch = arguments.out.join("site");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    let mut summary = Summary::default();
    line(format_args!("recognition, stage by stage ..."));
    stages::run(&mut summary)?;
    line(format_args!("1:N search ..."));
    gallery::run(&mut summary)?;
    line(format_args!("relay ..."));
    relay::run(&mut summary).await?;
    line(format_args!("the whole system ..."));
    system::run(&scratch, &mut summary).await?;
    summary.table();
    let file = arguments.out.join("summary.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&summary)?)?;
    line(format_args!("\n{}", file.display()));
    Ok(())
}
