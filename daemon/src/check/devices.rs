//! Are the GPIO chips and serial adapters there, and may this user open them?

use std::io;
use std::path::Path;

use cardea_hardware::config::BoardConfig;
use rustix::fs::Access;

use super::{Context, Finding};

const NAME: &str = "device file";

pub(super) fn check(context: &Context) -> Vec<Finding> {
    context.config.boards.iter().filter_map(|board| device(board).map(|(path, group)| judge(path, group))).collect()
}

/// The device file of a board, and the group whose members may open it.
fn device(board: &BoardConfig) -> Option<(&Path, &'static str)> {
    match board {
        BoardConfig::GpioCdev(board) => Some((&board.chip, "gpio")),
        BoardConfig::GpioRppal(_) => Some((Path::new("/dev/gpiomem"), "gpio")),
        BoardConfig::SerialLcus(board) => Some((&board.path, "dialout")),
        BoardConfig::ModbusRtu(board) => Some((&board.path, "dialout")),
        BoardConfig::ModbusTcp(_) => None,
    }
}

fn judge(path: &Path, group: &str) -> Finding {
    let shown = path.display();
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).map_err(io::Error::from) {
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
    }
}
