//! Prints the levels of lines of a GPIO chip, and each change of one, without taking the lines over.
//!
//! ```text
//! gpio-levels /dev/gpiochip0 17 27      # 17 is driven by cardead, 27 is read by it
//! 0 17 low
//! 0 27 low
//! 4212 17 high                          # milliseconds since the start, line, level
//! ```
//!
//! For whoever doubts a wiring, and for the test on the emulated Raspberry Pi. The lines are requested "as is": they keep
//! their direction and their level, as long as this program runs. When it ends, the kernel may make inputs of them, so on a
//! Raspberry Pi start it before `cardead`, and end it after. Lines that `cardead` itself has requested, with driver
//! `gpio-cdev`, are busy.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use gpiocdev::Request;
use gpiocdev::line::{Offset, Value, Values};
use tokio::time::{Instant, interval};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let chip = args.next().context("usage: gpio-levels CHIP LINE…")?;
    let lines: Vec<Offset> = args
        .map(|line| line.parse().with_context(|| format!("{line:?} is no number of a line")))
        .collect::<Result<_, _>>()?;
    anyhow::ensure!(!lines.is_empty(), "usage: gpio-levels CHIP LINE…");
    let request = Request::builder()
        .on_chip(&chip)
        .with_consumer("gpio-levels")
        .with_lines(&lines)
        .as_is()
        .request()
        .with_context(|| format!("requesting lines {lines:?} of {chip}"))?;
    let (begun, mut ticks) = (Instant::now(), interval(EVERY));
    let mut known: Vec<Option<Value>> = vec![None; lines.len()];
    let mut levels = Values::from_offsets(&lines);
    loop {
        ticks.tick().await;
        request.values(&mut levels).with_context(|| format!("reading lines {lines:?} of {chip}"))?;
        let at_ms = begun.elapsed().as_millis();
        for (known, line) in known.iter_mut().zip(&lines) {
            let level = levels.get(*line);
            if *known != level {
                *known = level;
                println!("{at_ms} {line} {}", if level == Some(Value::Active) { "high" } else { "low" });
            }
        }
        std::io::stdout().flush()?;
    }
}
