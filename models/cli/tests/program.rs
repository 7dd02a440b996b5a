//! The program itself: exit codes, what goes to which output, and what an end in the middle leaves.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use support::{Answer, Server};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardea-models"));
    command.args(arguments).env_remove("ORT_DYLIB_PATH").env_remove("CARDEA_MIRROR").env_remove("CARDEA_CACHE");
    // the server of a test is on this machine
    command.env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn exit_codes_and_outputs_are_for_scripts_and_people() {
    let (code, out, err) = run(&["list", "--available", "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    serde_json::from_str::<serde_json::Value>(&out).unwrap();

    let (code, out, err) = run(&["verify", "/nonexistent"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert!(out.starts_with("✗ manifest  cannot read /nonexistent/manifest.toml"), "{out}");

    let (code, out, err) = run(&["pull", "nope", "--into", "/nonexistent"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "cardea-models: no pack is called nope; known are opencv-zoo-face, ankandrew-plates\n");

    for wrong in [
        &["pull"][..],
        &["pull", "a", "--mirror", "/srv"],
        &["pull", "a", "--sha256", "a=1"],
        &["bench", "a", "--threads", "0"],
    ] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
}

/// Waits until the file has so many bytes.
fn until_there(path: &Path, bytes: u64) {
    let (_keep, pause) = mpsc::channel::<()>();
    for _ in 0..1_000 {
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes) {
            return;
        }
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
    unreachable!("{} never had {bytes} bytes", path.display());
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_program_that_is_killed_leaves_no_pack_and_goes_on_where_it_stopped() {
    // as long as the first described file, whose hash it need not have: the program is killed before it could tell
    let server = Server::start(|number, request| {
        let answer = Answer::file(request, &vec![5; 232_589], Some("\"1\""));
        answer.cut(if number == 0 { 5_000 } else { 2_000 }).silent()
    });
    let into = tempfile::tempdir().unwrap();
    let part = into.path().join(".opencv-zoo-face.pulling/face_detection_yunet_2023mar.onnx.part");
    let start = || {
        let arguments =
            ["pull", "opencv-zoo-face", "--into", into.path().to_str().unwrap(), "--mirror", &server.url("/")];
        program(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for bytes in [5_000, 7_000] {
        let child = start();
        until_there(&part, bytes);
        kill(child);
        assert!(!into.path().join("opencv-zoo-face").exists());
    }
    let requests = server.requests();
    assert_eq!(requests.iter().map(|request| request.from).collect::<Vec<_>>(), [None, Some(5_000)]);
    assert_eq!(requests[1].if_range.as_deref(), Some("\"1\""));
}
