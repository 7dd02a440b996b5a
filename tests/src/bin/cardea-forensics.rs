//! `cardea-forensics`: many residents erased while programs are killed, and a search for what is left of them.

use std::path::PathBuf;

use anyhow::Context as _;
use cardea_tests::story::telling::line;
use cardea_tests::{forensics, site};
use clap::Parser;

/// Enrols and erases residents with the real programs, kills those in between, and searches files and memory. Exits non-zero
/// if anything of anybody is left.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the scratch folder goes; it is kept.
    #[arg(long, default_value = "target/forensics")]
    out: PathBuf,
    /// How many residents.
    #[arg(long, default_value_t = 1_000)]
    residents: usize,
    /// Chooses who is killed, and when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    // Whoever interrupts it ends its programs with it: dropped, they are killed.
    let outcome = tokio::select! {
        outcome = examine() => outcome,
        interrupted = site::interrupted() => interrupted.and_then(|()| anyhow::bail!("interrupted")),
    };
    site::end(outcome)
}

async fn examine() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    site::prepare()?;
    if arguments.out.exists() {
        std::fs::remove_dir_all(&arguments.out).with_context(|| format!("removing {}", arguments.out.display()))?;
    }
    let findings = forensics::examine(&arguments.out, arguments.residents, arguments.seed).await?;
    line(format_args!(
        "   {} residents enrolled and erased, {} kills; {} pieces of what they left looked for in {} KiB of files and \
         {} MiB of memory: none found",
        findings.erased,
        findings.kills,
        findings.pieces,
        findings.file_bytes / 1_024,
        findings.memory_bytes / 1_048_576,
    ));
    for (program, kinds) in &findings.noise {
        line(format_args!("   left in the memory of {program}, encrypted, in pieces: {kinds:?}"));
    }
    line(format_args!("   {} templates in a backup from before open with no key that is left", findings.locked));
    Ok(())
}
