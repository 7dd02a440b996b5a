//! `cardea-kill`: `kill -9` of a cloud and of a controller at random moments, and what they hold in the end.

use std::path::PathBuf;

use anyhow::Context as _;
use cardea_tests::kills::Extent;
use cardea_tests::kills::controller::{self, Run};
use cardea_tests::story::telling::line;
use cardea_tests::{kills, site};
use clap::{Parser, Subcommand};

/// Kills a cloud and a controller while events are pushed and changes come. Exits non-zero if anything that was committed is
/// lost, or anything that was erased is back.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the scratch folder goes; it is kept.
    #[arg(long, default_value = "target/kills")]
    out: PathBuf,
    #[command(flatten)]
    extent: Extent,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The controller that is killed.
    #[command(hide = true)]
    Controller(Run),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    // Whoever interrupts it ends its programs with it: dropped, they are killed.
    let outcome = tokio::select! {
        outcome = play() => outcome,
        interrupted = site::interrupted() => interrupted.and_then(|()| anyhow::bail!("interrupted")),
    };
    site::end(outcome)
}

async fn play() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    site::prepare()?;
    if let Some(Part::Controller(run)) = arguments.part {
        return controller::run(run).await;
    }
    if arguments.out.exists() {
        std::fs::remove_dir_all(&arguments.out).with_context(|| format!("removing {}", arguments.out.display()))?;
    }
    let figures = kills::run(&arguments.out, arguments.extent).await?;
    line(format_args!(
        "   {} kills of the cloud and {} of the controller: {} events reported as committed are all in the cloud's database \
         once, and {} that were not reported any more; {} plates and {} erasures, each as the customer was told",
        figures.cloud, figures.controller, figures.events, figures.unreported, figures.plates, figures.erased,
    ));
    Ok(())
}
