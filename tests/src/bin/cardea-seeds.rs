//! Plays seeds of the simulation until one breaks something: `cardea-seeds --seeds 100000`, or one aloud: `--seed 42`.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::process::ExitCode;

use anyhow::Result;
use cardea_tests::sim::coverage::Coverage;
use cardea_tests::sim::{Ground, play};
use clap::Parser;
use tokio::time::Instant;

/// The options.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one, aloud.
    #[arg(long)]
    seed: Option<u64>,
    /// Go on after so many seeds that break something.
    #[arg(long, default_value_t = 1)]
    failures: u64,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let (ground, coverage) = (Ground::new()?, Coverage::default());
    let seeds = options.seed.map_or(options.from..options.from + options.seeds, |seed| seed..seed + 1);
    let (begun, mut played, mut failures) = (Instant::now(), 0_u64, 0);
    for seed in seeds {
        let outcome = play(&ground, seed, options.seed.is_some(), &coverage)?;
        played += 1;
        if !outcome.broken.is_empty() {
            failures += 1;
            if options.seed.is_none() {
                outcome.trace.iter().for_each(|line| println!("{line}"));
            }
            println!("seed {seed} breaks: {:#?}", outcome.broken);
            println!("again: cardea-seeds --seed {seed}");
            if failures >= options.failures {
                break;
            }
        }
        if played.is_multiple_of(500) {
            println!("{played} seeds, {:.1} a second", played as f64 / begun.elapsed().as_secs_f64());
        }
    }
    println!("{played} seeds, {failures} broken, {:.1} a second", played as f64 / begun.elapsed().as_secs_f64());
    for (fault, count) in coverage.counts() {
        println!("{count:>10} {fault:?}");
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
