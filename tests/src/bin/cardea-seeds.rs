//! Plays seeds of the simulation until one breaks something: `cardea-seeds --seeds 100000`, or one aloud: `--seed 42`. Each core
//! plays a seed at a time.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use cardea_tests::sim::coverage::Coverage;
use cardea_tests::sim::{Ground, play};
use clap::Parser;
use tokio::time::Instant;

/// Seeds between two lines that tell how far it has come.
const TOLD_EVERY: u64 = 500;

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
    /// Go on until so many seeds have broken something.
    #[arg(long, default_value_t = 1)]
    failures: u64,
    /// How many at once; as many as there are cores unless given.
    #[arg(long)]
    threads: Option<usize>,
}

/// What all threads share.
struct Run {
    options: Options,
    ground: Ground,
    coverage: Coverage,
    begun: Instant,
    next: AtomicU64,
    played: AtomicU64,
    broken: AtomicU64,
}

impl Run {
    /// Plays until no seed is left, or too many have broken something.
    fn play(&self) -> Result<()> {
        let Options { seeds, from, seed: aloud, failures, .. } = &self.options;
        while self.broken.load(Ordering::SeqCst) < *failures {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= aloud.map_or(*seeds, |_| 1) {
                break;
            }
            let seed = aloud.unwrap_or(from + number);
            let outcome = play(&self.ground, seed, aloud.is_some(), &self.coverage)?;
            let played = self.played.fetch_add(1, Ordering::SeqCst) + 1;
            if !outcome.broken.is_empty() {
                self.broken.fetch_add(1, Ordering::SeqCst);
                let trace = if aloud.is_some() { Vec::new() } else { outcome.trace };
                println!("{}\nseed {seed} breaks: {:#?}", trace.join("\n"), outcome.broken);
                println!("again: cardea-seeds --seed {seed}");
            }
            if played.is_multiple_of(TOLD_EVERY) {
                let (broken, rate) = (self.broken.load(Ordering::SeqCst), self.rate());
                let left_min = seeds.saturating_sub(played) as f64 / rate / 60.0;
                println!("{played} of {seeds} seeds, {broken} broken, {rate:.1} a second, {left_min:.0} minutes left");
            }
        }
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.played.load(Ordering::SeqCst) as f64 / self.begun.elapsed().as_secs_f64()
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = options.seed.map_or(options.threads.unwrap_or(cores), |_| 1);
    let run = Run {
        options,
        ground: Ground::new()?,
        coverage: Coverage::default(),
        begun: Instant::now(),
        next: AtomicU64::new(0),
        played: AtomicU64::new(0),
        broken: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(|| run.play())).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread has panicked"))?)
    })?;
    let (played, broken) = (run.played.load(Ordering::SeqCst), run.broken.load(Ordering::SeqCst));
    println!("{played} seeds, {broken} broken, {:.1} a second on {threads} threads", run.rate());
    for (fault, count) in run.coverage.counts() {
        println!("{count:>10} {fault:?}");
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
