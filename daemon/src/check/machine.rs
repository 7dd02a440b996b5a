//! What machine is this, and can the drivers of its boards work on it?

use std::fs;
use std::path::Path;

use cardea_hardware::config::BoardConfig;

use super::{Context, Finding};

const NAME: &str = "machine";
/// Where the kernel names a board that boots by a device tree (Devicetree Specification, section 3.2, `model`).
const DEVICE_TREE: &str = "/proc/device-tree/model";
/// Where it names a PC, by its SMBIOS tables.
const DMI: [&str; 2] = ["/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"];

pub(super) fn check(context: &Context) -> Vec<Finding> {
    let model = tell(Path::new(DEVICE_TREE)).or_else(|| {
        let words: Vec<String> = DMI.iter().filter_map(|path| tell(Path::new(path))).collect();
        (!words.is_empty()).then(|| words.join(" "))
    });
    vec![judge(model.as_deref(), &context.config.boards)]
}

/// What a file of the kernel says, without the zero byte that ends it in a device tree.
fn tell(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

fn judge(model: Option<&str>, boards: &[BoardConfig]) -> Finding {
    let named = model.unwrap_or("a machine whose kernel does not name it");
    let found = format!("this is {} ({})", named, std::env::consts::ARCH);
    let rppal = boards.iter().find(|board| matches!(board, BoardConfig::GpioRppal(_)));
    match rppal {
        Some(board) if !named.starts_with("Raspberry Pi") => {
            let todo = format!(
                "driver gpio-rppal of board {:?} drives the header of a Raspberry Pi only; elsewhere use driver gpio-cdev",
                board.id()
            );
            Finding::failure(NAME, found, todo)
        }
        _ => Finding::ok(NAME, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn header() -> Vec<BoardConfig> {
        #[derive(serde::Deserialize)]
        struct Boards {
            board: Vec<BoardConfig>,
        }
        toml::from_str::<Boards>("[[board]]\nid = \"header\"\ndriver = \"gpio-rppal\"\n").unwrap().board
    }

    #[test]
    fn the_registers_of_a_raspberry_pi_are_for_a_raspberry_pi() {
        let pi = judge(Some("Raspberry Pi 3 Model B"), &header());
        assert_eq!(pi.verdict, Verdict::Ok);
        assert!(pi.found.contains("Raspberry Pi 3 Model B"), "{pi:?}");
        for other in [Some("Radxa ROCK 3A"), None] {
            let wrong = judge(other, &header());
            assert_eq!(wrong.verdict, Verdict::Failure);
            assert!(wrong.todo.unwrap().contains("gpio-cdev"));
            assert_eq!(judge(other, &[]).verdict, Verdict::Ok);
        }
    }

    #[test]
    fn the_zero_byte_of_a_device_tree_is_no_part_of_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model");
        fs::write(&file, b"Raspberry Pi 4 Model B Rev 1.5\0").unwrap();
        assert_eq!(tell(&file).as_deref(), Some("Raspberry Pi 4 Model B Rev 1.5"));
        fs::write(&file, b"\0").unwrap();
        assert_eq!(tell(&file), None);
        assert_eq!(tell(&folder.path().join("none")), None);
    }
}
