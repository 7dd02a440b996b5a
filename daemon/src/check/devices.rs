//! Are the GPIO chips and serial adapters there, and may this user open them?

use std::io;
use std::path::Path;

use cardea_hardware::config::{BoardConfig, ReaderConfig};
use rustix::fs::Access;

use super::{Context, Finding};

const NAME: &str = "device file";

pub(super) fn check(context: &Context) -> Vec<Finding> {
    let boards = context.config.boards.iter().filter_map(device);
    let readers = context.config.readers.iter().filter_map(reader_device);
    boards.chain(readers).map(|(path, group)| judge(path, group)).collect()
}

/// The registers of a Raspberry Pi's GPIO: up to the Pi 4, and of the Pi 5.
const GPIOMEM: [&str; 2] = ["/dev/gpiomem", "/dev/gpiomem0"];
/// All physical memory: rppal's last resort.
const MEM: &str = "/dev/mem";

/// The device file of a board, and the group whose members may open it.
fn device(board: &BoardConfig) -> Option<(&Path, &'static str)> {
    match board {
        BoardConfig::GpioCdev(board) => Some((&board.chip, "gpio")),
        BoardConfig::GpioRppal(_) => Some((registers(), "gpio")),
        BoardConfig::SerialLcus(board) => Some((&board.path, "dialout")),
        BoardConfig::ModbusRtu(board) => Some((&board.path, "dialout")),
        BoardConfig::ModbusTcp(_) => None,
    }
}

/// The same of a card reader.
fn reader_device(reader: &ReaderConfig) -> Option<(&Path, &'static str)> {
    match reader {
        ReaderConfig::Wiegand(reader) => Some((&reader.chip, "gpio")),
        ReaderConfig::Osdp(reader) => Some((&reader.path, "dialout")),
        ReaderConfig::SerialLine(reader) => Some((&reader.path, "dialout")),
        ReaderConfig::WiegandSim(_) => None,
    }
}

/// The file through which rppal reaches the registers.
fn registers() -> &'static Path {
    let there = GPIOMEM.into_iter().map(Path::new).find(|path| path.exists());
    there.unwrap_or(Path::new(if Path::new(MEM).exists() { MEM } else { GPIOMEM[0] }))
}

fn judge(path: &Path, group: &str) -> Finding {
    let shown = path.display();
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).map_err(io::Error::from) {
        result if path == Path::new(MEM) => {
            let may = if result.is_ok() { "may be opened" } else { "may not be opened" };
            let todo =
                "use driver gpio-cdev with /dev/gpiochip0, or the kernel of Raspberry Pi OS, which has /dev/gpiomem";
            let found =
                format!("there is no {}; {MEM}, all of the memory, {may} in its place, as root only", GPIOMEM[0]);
            if result.is_ok() { Finding::warning(NAME, found, todo) } else { Finding::failure(NAME, found, todo) }
        }
        Ok(()) => Finding::ok(NAME, format!("{shown} is there and may be opened")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let todo =
                "plug the board in, or correct its path; ls /dev/gpiochip* /dev/serial/by-id/ shows what there is";
            Finding::failure(NAME, format!("{shown} does not exist"), todo)
        }
        Err(error) => {
            let todo = format!("put the user into the group: usermod -aG {group} cardea, and start anew");
            Finding::failure(NAME, format!("{shown} may not be opened: {error}"), todo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_missing_device_is_a_failure_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let gone = judge(&folder.path().join("gpiochip9"), "gpio");
        assert_eq!(gone.verdict, Verdict::Failure);
        assert!(gone.todo.unwrap().contains("plug"));
        assert_eq!(judge(Path::new("/dev/null"), "gpio").verdict, Verdict::Ok);
        // whether it is there and may be opened, or not: it is never simply in order
        assert_ne!(judge(Path::new(MEM), "gpio").verdict, Verdict::Ok);
    }
}
