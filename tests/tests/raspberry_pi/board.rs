//! The emulated boards, their consoles, and a hand at their pins.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::card::needed;

/// How long anything may take before the test gives up. The processor is emulated, and maybe not alone on its host.
const PATIENCE: Duration = Duration::from_mins(8);
/// Between two looks at something that will come: while the board is idle, its time is the host's.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// A Raspberry Pi 3B: four Cortex-A53, the BCM2837's GPIO. The emulated GPIO has no interrupts, and no wires.
    RaspberryPi3B,
    /// QEMU's own arm64 board: a PL061, a GPIO chip with interrupts, whose eight lines the host can move.
    Virt,
}

impl Machine {
    fn qemu(self) -> Command {
        let mut qemu = Command::new("qemu-system-aarch64");
        let console = match self {
            Self::RaspberryPi3B => {
                qemu.args(["-M", "raspi3b", "-m", "1G", "-dtb"]).arg(needed(".tools/pi/boot/bcm2837-rpi-3-b.dtb"));
                // The header's console is the second port; the first one talks to the radio.
                qemu.args(["-serial", "null", "-serial", "stdio"]);
                "ttyS1,115200"
            }
            Self::Virt => {
                qemu.args(["-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512M", "-nic", "none"]);
                qemu.args(["-serial", "stdio"]);
                "ttyAMA0"
            }
        };
        // Without /dev/gpiomem, which Debian's kernel has not, rppal opens /dev/mem; iomem=relaxed lets it have registers
        // that a driver of the kernel uses too.
        let kernel = format!("console={console} iomem=relaxed quiet loglevel=1 rdinit=/init panic=-1");
        // The board's time follows the instructions it has carried out, two nanoseconds each, and the host's while it is idle: a
        // busy host makes everything take longer, and nothing too late.
        qemu.args(["-icount", "shift=1,sleep=on", "-display", "none", "-no-reboot", "-append", &kernel])
            .arg("-kernel")
            .arg(needed(".tools/pi/boot/vmlinuz"));
        qemu
    }
}

/// A running board. Dropping it pulls its plug.
pub(crate) struct Board {
    _qemu: Child,
    keyboard: ChildStdin,
    screen: BufReader<ChildStdout>,
    commands: u32,
    transcript: String,
}

impl Board {
    /// Switches it on and waits until it takes commands.
    pub(crate) async fn boot(machine: Machine, card: &Path) -> Self {
        Self::start(machine.qemu(), card).await
    }

    /// The same, with a hand at the lines of its GPIO chip; `dir` is for the sockets through which that moves them.
    pub(crate) async fn boot_with_hand(card: &Path, dir: &Path) -> (Self, Hand) {
        let (qtest, qmp) = (dir.join("qtest"), dir.join("qmp"));
        let (for_qtest, for_qmp) = (UnixListener::bind(&qtest).unwrap(), UnixListener::bind(&qmp).unwrap());
        let mut qemu = Machine::Virt.qemu();
        qemu.args(["-accel", "tcg", "-qtest-log", "none"]);
        qemu.arg("-qtest").arg(format!("unix:{}", qtest.display())).arg("-qmp").arg(format!("unix:{}", qmp.display()));
        let board = Self::start(qemu, card);
        let hand = Hand::take(for_qtest, for_qmp);
        let (board, hand) = tokio::join!(board, hand);
        (board, hand)
    }

    async fn start(mut qemu: Command, card: &Path) -> Self {
        let mut qemu = qemu
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

/// A hand that connects lines of the chip to supply or ground, through QEMU's protocol for tests of devices
/// (`set_irq_in`, docs/devel/qtest.rst of QEMU).
pub(crate) struct Hand {
    qtest: BufReader<UnixStream>,
    chip: String,
}

impl Hand {
    async fn take(qtest: UnixListener, qmp: UnixListener) -> Self {
        let taking = async {
            let mut qmp = BufReader::new(qmp.accept().await.unwrap().0);
            line(&mut qmp).await; // the greeting
            ask(&mut qmp, r#"{"execute": "qmp_capabilities"}"#).await;
            let list = r#"{"execute": "qom-list", "arguments": {"path": "/machine/unattached"}}"#;
            let devices: serde_json::Value = serde_json::from_str(&ask(&mut qmp, list).await).unwrap();
            let chip = devices["return"].as_array().unwrap().iter().find(|device| device["type"] == "child<pl061>");
            let chip =
                format!("/machine/unattached/{}", chip.expect("the board has a PL061")["name"].as_str().unwrap());
            Self { qtest: BufReader::new(qtest.accept().await.unwrap().0), chip }
        };
        timeout(PATIENCE, taking).await.expect("QEMU did not connect")
    }

    /// Puts a line to this level.
    pub(crate) async fn set(&mut self, line: u32, high: bool) {
        self.set_all(&[(line, high)]).await;
    }

    /// Puts lines to these levels, one right after the other.
    pub(crate) async fn set_all(&mut self, levels: &[(u32, bool)]) {
        let command =
            |(at, high): &(u32, bool)| format!("set_irq_in {} unnamed-gpio-in {at} {}\n", self.chip, u8::from(*high));
        let commands: String = levels.iter().map(command).collect();
        self.qtest.write_all(commands.as_bytes()).await.unwrap();
        for _ in levels {
            let answer = line(&mut self.qtest).await;
            assert!(answer.starts_with("OK"), "{commands}: {answer}");
        }
    }
}

async fn ask(stream: &mut BufReader<UnixStream>, request: &str) -> String {
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    line(stream).await
}

async fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    answer
}
