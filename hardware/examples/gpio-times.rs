//! How long the GPIO drivers take on this machine: from an order to the level on the line, and from an edge to its event.
//!
//! ```text
//! gpio-times orders gpio-rppal /dev/gpiochip0 17 300   # switches line 17 three hundred times, through the registers …
//! gpio-times orders gpio-cdev /dev/gpiochip0 17 300    # … or through the character device
//! 21.5                                                 # microseconds, one line for each order
//! gpio-times edges /dev/gpiochip0 6:0 7:20             # follows lines 6 and 7, debounced for 0 and 20 ms, until it is killed
//! 6 high 1200.4 1264.9                                 # line, level, when the driver dates it, when it was told; microseconds
//! ```
//!
//! **Orders switch whatever hangs on the line**: pull the relay's connector first. They are for a Raspberry Pi, where the line can
//! be looked at by a way that is not the driver's: the kernel's, when rppal drives it; the registers, when the kernel does.
//! Everything runs in one thread and the look is repeated whenever the driver gives way, so a time is that of the order
//! through the board's task to the line, and at most one such turn too long.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use cardea_hardware::{Hardware, HardwareConfig, Health, Reading};
use gpiocdev::Request;
use gpiocdev::line::Value;
use rppal::gpio::{Gpio, Level};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

const USAGE: &str = "usage: gpio-times orders DRIVER CHIP LINE COUNT, or gpio-times edges CHIP LINE:DEBOUNCE_MS…";
/// Between two orders.
const PAUSE: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["orders", driver, chip, line, count] => orders(driver, chip, line.parse()?, count.parse()?).await,
        ["edges", chip, ref lines @ ..] if !lines.is_empty() => edges(chip, lines).await,
        _ => anyhow::bail!(USAGE),
    }
}

async fn orders(driver: &str, chip: &str, line: u8, count: u32) -> anyhow::Result<()> {
    // Taken before the driver takes the line, and kept until after: then the line stays what the driver makes of it.
    let look = look(driver, chip, line)?;
    let board = match driver {
        "gpio-rppal" => "driver = 'gpio-rppal'".to_owned(),
        _ => cdev(chip),
    };
    let hardware = open(&format!("{board}\n[[output]]\nid = 'line'\nboard = 'header'\nchannel = {line}\n")).await?;
    let output = hardware.outputs.get("line").context("no output")?;
    for turn in 0..count {
        let on = turn % 2 == 0;
        sleep(PAUSE).await;
        let begun = Instant::now();
        let seen = async {
            while look()? != on {
                yield_now().await;
            }
            anyhow::Ok(begun.elapsed())
        };
        let (ordered, seen) = timeout(PATIENCE, async { tokio::join!(output.set(on), seen) })
            .await
            .with_context(|| format!("the level of line {line} did not follow an order"))?;
        ordered?;
        println!("{:.1}", seen?.as_secs_f64() * 1e6);
    }
    hardware.shutdown().await;
    Ok(())
}

/// Whether the line is high, by a way that is not the driver's.
fn look(driver: &str, chip: &str, line: u8) -> anyhow::Result<Box<dyn Fn() -> anyhow::Result<bool>>> {
    if driver == "gpio-cdev" {
        let pin = Gpio::new().and_then(|gpio| gpio.get(line));
        let pin = pin.with_context(|| format!("looking at pin {line} through the registers of a Raspberry Pi"))?;
        return Ok(Box::new(move || Ok(pin.read() == Level::High)));
    }
    let what = format!("looking at line {line} of {chip}");
    let mut wanted = Request::builder();
    wanted.on_chip(chip).with_consumer("gpio-times").with_line(line.into()).as_is();
    let request = wanted.request().with_context(|| what.clone())?;
    Ok(Box::new(move || Ok(request.lone_value().with_context(|| what.clone())? == Value::Active)))
}

async fn edges(chip: &str, lines: &[&str]) -> anyhow::Result<()> {
    let mut config = cdev(chip);
    for told in lines {
        let (line, debounce) = told.split_once(':').context(USAGE)?;
        config.push_str(&format!(
            "\n[[input]]\nid = '{line}'\nboard = 'header'\nchannel = {line}\ndebounce_ms = {debounce}"
        ));
    }
    let hardware = open(&config).await?;
    let begun = Instant::now();
    let mut following = JoinSet::new();
    for (line, input) in &hardware.inputs {
        following.spawn(follow(line.clone(), input.watch(), begun));
    }
    println!("ready");
    std::io::stdout().flush()?;
    following.join_all().await.into_iter().collect()
}

async fn follow(line: String, mut input: watch::Receiver<Reading>, begun: Instant) -> anyhow::Result<()> {
    input.mark_unchanged();
    loop {
        input.changed().await.context("the board has ended")?;
        let told = begun.elapsed();
        let reading = *input.borrow_and_update();
        let at = reading.at.saturating_duration_since(begun);
        let level = match reading.value {
            Some(true) => "high",
            Some(false) => "low",
            None => "unknown",
        };
        println!("{line} {level} {:.1} {:.1}", at.as_secs_f64() * 1e6, told.as_secs_f64() * 1e6);
        std::io::stdout().flush()?;
    }
}

fn cdev(chip: &str) -> String {
    format!("driver = 'gpio-cdev'\nchip = '{chip}'")
}

/// The hardware of this board, once it is up.
async fn open(rest: &str) -> anyhow::Result<Hardware> {
    let config: HardwareConfig = toml::from_str(&format!("[[board]]\nid = 'header'\n{rest}"))?;
    let hardware = Hardware::open(&config)?;
    let mut health = hardware.boards.get("header").context("no board")?.clone();
    let settled = health.wait_for(|health| !matches!(health, Health::Starting));
    match &*timeout(PATIENCE, settled).await.context("the board does not start")?? {
        Health::Down { reason } => anyhow::bail!("{reason}"),
        Health::Up | Health::Starting => {}
    }
    Ok(hardware)
}
