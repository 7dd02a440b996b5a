//! `cardea-bench`: speed and memory, beside peers in the same run.

use std::path::PathBuf;

use cardea_tests::bench::{
    Summary, boards, cameras, cycles, first_sync, plates, relay, revocation, sales, search, silence, site as system,
    stages, storage, video,
};
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
    /// Recognition and search only, without the whole system
    #[arg(long)]
    recognition: bool,
    /// Relay and input boards only
    #[arg(long)]
    boards: bool,
    /// Cameras only
    #[arg(long)]
    cameras: bool,
    /// The cloud's storage only
    #[arg(long)]
    storage: bool,
    /// The cloud under load only: silent connections, and sales at a hundred controllers
    #[arg(long)]
    crowd: bool,
    /// How soon a revocation holds, and a first sync, only
    #[arg(long)]
    sync: bool,
    /// A PostgreSQL database to measure the cloud's storage on as well, such as
    /// postgresql:///scratch?host=/run/postgresql&user=me
    #[arg(long)]
    postgresql: Option<String>,
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
    let mut summary = Summary::default();
    if arguments.boards || arguments.cameras {
        if arguments.boards {
            boards::run(&mut summary).await?;
        }
        if arguments.cameras {
            look(&arguments, &mut summary).await?;
        }
        return report(&summary, &arguments);
    }
    let database = arguments.postgresql.as_deref();
    if arguments.storage {
        storage::run(&arguments.out, database, &mut summary).await?;
        return report(&summary, &arguments);
    }
    if arguments.crowd {
        crowd(&arguments, &mut summary).await?;
        return report(&summary, &arguments);
    }
    if arguments.sync {
        sync(&arguments, &mut summary).await?;
        return report(&summary, &arguments);
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        line(format_args!("load averages of this machine: {}", load.trim()));
    }
    line(format_args!("recognition, stage by stage ..."));
    stages::run(&mut summary)?;
    line(format_args!("from JPEG to text ..."));
    plates::run(&mut summary)?;
    line(format_args!("1:N search, to a million templates: a minute or two ..."));
    search::run(&mut summary)?;
    if !arguments.recognition {
        line(format_args!("100,000 cycles of a barrier with faults ..."));
        cycles::run(&mut summary)?;
        line(format_args!("relay ..."));
        relay::run(&mut summary).await?;
        boards::run(&mut summary).await?;
        look(&arguments, &mut summary).await?;
        line(format_args!("the cloud's storage ..."));
        storage::run(&arguments.out, database, &mut summary).await?;
        line(format_args!("the whole system ..."));
        system::run(&scratch(&arguments, "site")?, &mut summary).await?;
        crowd(&arguments, &mut summary).await?;
        sync(&arguments, &mut summary).await?;
    }
    report(&summary, &arguments)
}

/// A folder that does not exist yet, or no longer.
fn scratch(arguments: &Arguments, name: &str) -> anyhow::Result<PathBuf> {
    let scratch = arguments.out.join(name);
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    Ok(scratch)
}

async fn crowd(arguments: &Arguments, summary: &mut Summary) -> anyhow::Result<()> {
    line(format_args!("logins beside a thousand silent connections ..."));
    silence::run(&scratch(arguments, "silence")?, summary).await?;
    line(format_args!("sales at a hundred controllers: about two minutes ..."));
    sales::run(&scratch(arguments, "sales")?, summary).await
}

async fn sync(arguments: &Arguments, summary: &mut Summary) -> anyhow::Result<()> {
    line(format_args!("revocations at ten and at a thousand controllers: about five minutes ..."));
    revocation::run(&scratch(arguments, "revocation")?, summary).await?;
    line(format_args!("a first sync of ten thousand templates: about a minute ..."));
    first_sync::run(&scratch(arguments, "first-sync")?, summary).await
}

async fn look(arguments: &Arguments, summary: &mut Summary) -> anyhow::Result<()> {
    line(format_args!("cameras: three thousand replugs in about three minutes ..."));
    cameras::run(summary).await?;
    line(format_args!("H.264 ..."));
    video::run(&arguments.out, summary)
}

fn report(summary: &Summary, arguments: &Arguments) -> anyhow::Result<()> {
    summary.table();
    let file = arguments.out.join("summary.json");
    std::fs::write(&file, serde_json::to_vec_pretty(summary)?)?;
    line(format_args!("\n{}", file.display()));
    Ok(())
}
