//! `cardea-cloud verify-audit` on a database and on a file.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::{Ca, config_text};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cardea-cloud"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn account(config: &Path, name: &str) {
    let mut init = program()
        .args(["init-operator", "--password-stdin", "--principal", name, "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    init.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    assert!(init.wait().unwrap().success());
}

#[test]
fn the_audit_is_verified_in_the_database_and_in_a_file_and_what_was_done_to_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cloud.toml");
    std::fs::write(&config, config_text(folder.path(), &Ca::new("Clients"), false)).unwrap();
    account(&config, "first");
    account(&config, "second");
    let (file, key) = (folder.path().join("audit.jsonl"), folder.path().join("key.pem"));
    let database =
        |more: &[&str]| program().arg("verify-audit").arg("--config").arg(&config).args(more).output().unwrap();
    let good = database(&["--write", file.to_str().unwrap()]);
    assert!(good.status.success() && text(&good).contains("sound: entries 1 to 2; signed up to 2"), "{}", text(&good));
    let noted = String::from_utf8_lossy(&good.stdout).trim().rsplit(' ').next().unwrap().to_owned();
    assert!(database(&["--head", &noted]).status.success(), "{noted}");

    let public = cardea_cloud::keys::SigningKey::open_or_create(&folder.path().join("data/keys/signing.key")).unwrap();
    std::fs::write(&key, public.public_pem()).unwrap();
    let of_file = || program().arg("verify-audit").arg(&file).arg("--key").arg(&key).output().unwrap();
    assert!(of_file().status.success(), "{}", text(&of_file()));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, String::from_utf8(bytes).unwrap().replace("second", "nobody")).unwrap();
    assert_eq!(of_file().status.code(), Some(2));
    assert!(text(&of_file()).contains("NOT SOUND"), "{}", text(&of_file()));

    let changed = rusqlite::Connection::open(folder.path().join("data/cloud.db")).unwrap();
    assert!(changed.execute("UPDATE audit SET target = 'nobody' WHERE entry = 2", []).is_err());
    changed
        .execute_batch("DROP TRIGGER audit_is_not_changed; UPDATE audit SET target = 'nobody' WHERE entry = 2")
        .unwrap();
    drop(changed);
    let bad = database(&[]);
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad));
    assert!(text(&bad).contains("NOT SOUND: entry 2 was altered"), "{}", text(&bad));
}
