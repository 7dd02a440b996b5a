//! Is the state folder there, ours, and closed to others?

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::{Context, Finding};

const NAME: &str = "state folder";

pub(super) fn check(context: &Context) -> Vec<Finding> {
    let folder = context.state.path();
    let shown = folder.display();
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => vec![Finding::failure(
            NAME,
            format!("{shown} does not exist"),
            format!(
                "install -d -m 0700 -o cardea -g cardea {shown}, or systemd-tmpfiles --create with systemd/cardea.tmpfiles.conf"
            ),
        )],
        Err(error) => {
            vec![Finding::failure(NAME, format!("{shown} cannot be looked at: {error}"), "run this as the user cardea")]
        }
        Ok(found) if !found.is_dir() => {
            vec![Finding::failure(NAME, format!("{shown} is no folder"), "correct state_dir in the configuration")]
        }
        Ok(found) => {
            let mut findings = vec![open_to_others(folder, &found, 0o077)];
            // What lies in a closed folder is closed; these two are closed for themselves as well.
            let secrets = [context.state.device_key(), context.state.credential()];
            for path in secrets {
                if let Ok(found) = std::fs::metadata(&path) {
                    findings.push(open_to_others(&path, &found, 0o077));
                }
            }
            findings
        }
    }
}

/// Whether anybody else may open what is at `path`, or it is somebody else's.
fn open_to_others(path: &Path, found: &Metadata, forbidden: u32) -> Finding {
    let (mode, shown) = (found.permissions().mode() & 0o7777, path.display());
    let user = rustix::process::geteuid().as_raw();
    if mode & forbidden != 0 {
        let todo = format!("chmod go= {shown}: it holds keys and biometric data");
        return Finding::failure(NAME, format!("{shown} has mode {mode:04o}, so others can open it"), todo);
    }
    if user != 0 && found.uid() != user {
        let todo = format!("run this as the owner, or chown it: user {user} cannot use it");
        return Finding::failure(NAME, format!("{shown} belongs to user {}", found.uid()), todo);
    }
    Finding::ok(NAME, format!("{shown} is closed to others (mode {mode:04o})"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_others_can_open_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let verdict = |mode: u32| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            open_to_others(folder.path(), &std::fs::metadata(folder.path()).unwrap(), 0o077).verdict
        };
        assert_eq!(verdict(0o700), Verdict::Ok);
        assert_eq!(verdict(0o750), Verdict::Failure);
        assert_eq!(verdict(0o704), Verdict::Failure);
    }
}
