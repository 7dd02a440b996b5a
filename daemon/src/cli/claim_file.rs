//! `cardead claim --from FILE` and `--forget FILE`: a claim that waits in a file for the first start of a freshly flashed machine.
//!
//! ```toml
//! line = "cardea:claim?v=1&controller=…"    # the line of the claim sheet
//! ```
//!
//! Exit codes tell systemd's unit what to do next: 0 claimed, also if it was before; 3 the code was refused, which asking again
//! does not mend; 4 somebody has to look at it; anything else (no network yet, a clock that is not set) is tried again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use cardea_protocol::claim::ClaimTicket;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{CliError, print, print_error};
use crate::identity::claim::ClaimError;
use crate::identity::est::EstError;

/// The longest file that is read.
const MAX_LEN: u64 = 16 * 1024;
const REFUSED: u8 = 3;
const LOOK_AT_IT: u8 = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    line: String,
}

/// The claim in the file. What the file holds is not repeated.
pub(super) fn read(path: &Path) -> Result<ClaimTicket, CliError> {
    let failed = |source| CliError::Io { action: format!("read the claim {}", path.display()), source };
    let mut text = Zeroizing::new(String::with_capacity(MAX_LEN as usize));
    File::open(path).map_err(failed)?.take(MAX_LEN).read_to_string(&mut text).map_err(failed)?;
    let wrong = |why: &str| CliError::Usage(format!("{}: {why}", path.display()));
    let waiting: Waiting =
        toml::from_str(&text).map_err(|_| wrong("it must be TOML with one key, line = \"cardea:claim?…\""))?;
    ClaimTicket::read(&Zeroizing::new(waiting.line)).map_err(|error| wrong(&error.to_string()))
}

/// What is to become of the file, and of the service.
pub(super) fn conclude(
    file: &Path,
    keep: bool,
    ticket: Result<ClaimTicket, CliError>,
    outcome: Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    let controller = match ticket {
        Ok(ticket) => ticket.controller,
        Err(CliError::Io { action, source }) => return Err(CliError::Io { action, source }),
        Err(error) => {
            print_error(&error);
            return Ok(ExitCode::from(LOOK_AT_IT));
        }
    };
    let code = match outcome {
        Ok(code) => code,
        // The power went after the claim and before the file was erased.
        Err(CliError::Claim(ClaimError::Claimed(before))) if before == controller => {
            print(&format!("✓ this is {before} already\n"))?;
            ExitCode::SUCCESS
        }
        Err(error @ CliError::Claim(ClaimError::Cloud(EstError::Code))) => {
            print_error(&error);
            ExitCode::from(REFUSED)
        }
        Err(error @ CliError::Claim(ClaimError::Claimed(_))) => {
            print_error(&error);
            return Ok(ExitCode::from(LOOK_AT_IT));
        }
        Err(error) => return Err(error),
    };
    if !keep {
        erase(file)?;
    }
    Ok(code)
}

/// Erases the file once a claim has come to its end: 0 or 3, as systemd says in `EXIT_STATUS` to what runs after a service.
/// Without that, at once.
pub(super) fn forget(file: &Path) -> Result<ExitCode, CliError> {
    let ended = std::env::var("EXIT_STATUS").map_or(true, |status| status == "0" || status == REFUSED.to_string());
    if ended && file.exists() {
        erase(file)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Overwrites and removes it. What a flash chip keeps of it elsewhere is out of reach; the code is spent or void.
fn erase(file: &Path) -> Result<(), CliError> {
    let overwrite = || -> io::Result<()> {
        let mut open = OpenOptions::new().write(true).open(file)?;
        let len = usize::try_from(open.metadata()?.len()).unwrap_or_default().min(MAX_LEN as usize);
        open.write_all(&vec![0; len])?;
        open.sync_all()?;
        std::fs::remove_file(file)?;
        File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    overwrite().map_err(|source| CliError::Io {
        action: format!("erase {}: it holds a claim code that is of no more use; remove it", file.display()),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_protocol::id::ControllerId;
    use clap::Parser as _;

    const LINE: &str = "cardea:claim?v=1&controller=gate-1&site=house-1&enrol=https://a.example&api=https://b.example\
        &ca=abababababababababababababababababababababababababababababababab&code=7KQ4-M2XP-93TD-VH6R";

    fn waiting(dir: &Path, text: &str) -> std::path::PathBuf {
        let file = dir.join("cardea-claim.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    fn is(code: Result<ExitCode, CliError>, wanted: u8) {
        assert_eq!(format!("{:?}", code.unwrap()), format!("{:?}", ExitCode::from(wanted)));
    }

    #[test]
    fn the_file_goes_once_the_claim_has_come_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("line = \"{LINE}\"\n");
        let claimed = |id: &str| Err(CliError::Claim(ClaimError::Claimed(ControllerId::new(id).unwrap())));
        let refused = || Err(CliError::Claim(ClaimError::Cloud(EstError::Code)));
        for (outcome, code, stays) in [
            (Ok(ExitCode::SUCCESS), 0, false),
            (claimed("gate-1"), 0, false),
            (refused(), REFUSED, false),
            (claimed("gate-2"), LOOK_AT_IT, true),
        ] {
            let file = waiting(dir.path(), &text);
            // What else has the file open sees what is left of it.
            let mut open = File::open(&file).unwrap();
            is(conclude(&file, false, read(&file), outcome), code);
            assert_eq!(file.exists(), stays);
            let mut left = Vec::new();
            open.read_to_end(&mut left).unwrap();
            assert_eq!(left.iter().any(|byte| *byte != 0), stays);
        }
        let file = waiting(dir.path(), &text);
        is(conclude(&file, true, read(&file), Ok(ExitCode::SUCCESS)), 0);
        assert!(file.exists(), "--keep");
        let later = Err(CliError::Claim(ClaimError::Clock));
        assert!(conclude(&file, false, read(&file), later).is_err() && file.exists(), "tried again");
    }

    #[test]
    fn the_unit_calls_the_commands_there_are_and_stops_where_they_say() {
        let unit =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/cardea-claim.service")).unwrap();
        let value = |key: &str| {
            let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            values.next().unwrap_or_else(|| panic!("no {key}")).to_owned()
        };
        for key in ["ExecStart", "ExecStopPost"] {
            let command = value(key);
            super::super::Cli::try_parse_from(command.trim_start_matches('+').split_whitespace()).unwrap();
        }
        let file = value("ConditionPathExists");
        assert_eq!(value("LoadCredential"), format!("claim:{file}"));
        assert!(value("ExecStopPost").ends_with(&format!(" --forget {file}")));
        assert_eq!(value("RestartPreventExitStatus"), format!("{REFUSED} {LOOK_AT_IT}"));
    }

    #[test]
    fn what_cannot_be_read_is_left_for_somebody_to_look_at_and_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["7KQ4-M2XP-93TD-VH6R", "line = \"7KQ4-M2XP-93TD-VH6R\"", "line = 7", "line = \"x\"\nmore = 1"] {
            let file = waiting(dir.path(), text);
            let error = read(&file).unwrap_err().to_string();
            assert!(!error.contains("7KQ4"), "{error}");
            is(conclude(&file, false, read(&file), Ok(ExitCode::SUCCESS)), LOOK_AT_IT);
            assert!(file.exists());
        }
    }
}
