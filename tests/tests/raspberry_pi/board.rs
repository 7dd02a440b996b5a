//! The emulated Raspberry Pi, and its console.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::card::needed;

/// How long anything may take before the test gives up. The processor is emulated, and maybe not alone on its host.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks at something that will come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running Raspberry Pi 3B. Dropping it pulls its plug.
pub(crate) struct Board {
    _qemu: Child,
    keyboard: ChildStdin,
    screen: BufReader<ChildStdout>,
    commands: u32,
    transcript: String,
}

impl Board {
    /// Switches it on and waits until it takes commands.
    pub(crate) async fn boot(card: &Path) -> Self {
        let mut qemu = Command::new("qemu-system-aarch64")
            .args(["-M", "raspi3b", "-m", "1G", "-display", "none", "-no-reboot"])
            // The header's console is the second port; the first one talks to the radio.
            .args(["-serial", "null", "-serial", "stdio"])
            // Without /dev/gpiomem, which Debian's kernel has not, rppal opens /dev/mem, whose use by a driver forbids that.
            .args(["-append", "console=ttyS1,115200 iomem=relaxed quiet loglevel=1 rdinit=/init panic=-1"])
            .arg("-kernel")
            .arg(needed(".tools/pi/boot/vmlinuz"))
            .arg("-dtb")
            .arg(needed(".tools/pi/boot/bcm2837-rpi-3-b.dtb"))
            .arg("-initrd")
            .arg(card)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("qemu-system-aarch64 does not start: setup/pi installs it");
        let keyboard = qemu.stdin.take().unwrap();
        let screen = BufReader::new(qemu.stdout.take().unwrap());
        let mut board = Self { _qemu: qemu, keyboard, screen, commands: 0, transcript: String::new() };
        board.read_to("@ready").await;
        board
    }

    /// Has a line of shell carried out; its output, and its exit code.
    pub(crate) async fn try_sh(&mut self, line: &str) -> (String, i32) {
        self.commands += 1;
        let number = self.commands;
        self.keyboard.write_all(format!("{number} {line}\n").as_bytes()).await.unwrap();
        self.transcript.push_str(&format!("$ {line}\n"));
        let (output, end) = self.read_to(&format!("@end {number} ")).await;
        let code = end.trim().parse().unwrap_or_else(|_| panic!("{end:?} is no exit code\n{}", self.transcript));
        (output, code)
    }

    /// The same for a line that has to succeed.
    pub(crate) async fn sh(&mut self, line: &str) -> String {
        let (output, code) = self.try_sh(line).await;
        assert_eq!(code, 0, "{line}\n{output}");
        output
    }

    /// Repeats a line until its output is as wanted.
    pub(crate) async fn until(&mut self, what: &str, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let waiting = async {
            loop {
                last = self.try_sh(line).await.0;
                if wanted(&last) {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let met = timeout(PATIENCE, waiting).await;
        assert!(met.is_ok(), "not within {PATIENCE:?}: {what}; the last answer to {line}:\n{last}");
        last
    }

    /// Reads until a line begins with `mark`; what came before, and the rest of that line.
    async fn read_to(&mut self, mark: &str) -> (String, String) {
        let mut output = String::new();
        loop {
            let mut line = Vec::new();
            let read = timeout(PATIENCE, self.screen.read_until(b'\n', &mut line)).await;
            let ended = !matches!(read, Ok(Ok(1..)));
            let line = String::from_utf8_lossy(&line);
            self.transcript.push_str(&line);
            assert!(!ended, "the board fell silent where {mark:?} was to come; its console:\n{}", self.transcript);
            // A program may have ended without a new line.
            if let Some(at) = line.find(mark) {
                output.push_str(&line[..at]);
                return (output, line[at + mark.len()..].to_owned());
            }
            output.push_str(&line);
        }
    }
}
