//! `cardea-demo`: plays the main job with real programs, and leaves `target/demo/report.html`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cardea_tests::story::telling::line;
use cardea_tests::{report, site, story};
use clap::Parser;

/// Plays the main job: one cloud, one controller, one simulated house, nine chapters. Exits non-zero unless every step
/// goes as told.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the report and the site's scratch folder go.
    #[arg(long, default_value = "target/demo")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    // Whoever interrupts the story ends its programs with it: dropped, they are killed.
    let outcome = tokio::select! {
        outcome = play() => outcome,
        interrupted = site::interrupted() => interrupted.and_then(|()| bail!("interrupted")),
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
    let telling = story::tell(&scratch, site::now()).await?;
    let report_file = arguments.out.join("report.html");
    std::fs::write(&report_file, report::html(&telling))?;
    telling.summary();
    line(format_args!("\n   pictures, timeline and latencies: {}", absolute(&report_file).display()));
    anyhow::ensure!(
        telling.as_told(),
        "the story did not go as told; logs of the programs are in {}",
        scratch.display()
    );
    line(format_args!("   everything happened as told."));
    Ok(())
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
