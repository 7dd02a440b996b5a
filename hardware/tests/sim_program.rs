//! The program `cardea-sim` from outside: its one line, its control API, and its end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(15);

async fn start(arguments: &[&str]) -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cardea-sim"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("a line").unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// A client for plain HTTP, which needs no TLS provider of the process.
struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    fn new(base: &Value) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        Self { base: base.as_str().unwrap().into(), http }
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }

    async fn put(&self, path: &str, body: Value) -> u16 {
        self.http.put(format!("{}{path}", self.base)).json(&body).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn it_prints_where_it_is_and_can_be_controlled() {
    let (mut child, bound) = start(&["--camera", "front", "--travel-ms", "200"]).await;
    let control = Client::new(&bound["control"]);
    let state = control.get("/state").await;
    assert_eq!(state["inputs"][2], json!(true), "the boom is down");
    assert_eq!(
        state["faults"],
        json!({"anpr": {"kind": "none"}, "io": {"kind": "none"}, "front": {"kind": "none"}, "rtsp": {"kind": "none"}})
    );
    assert!(state["started_unix_ms"].as_u64().unwrap() > 0);

    assert_eq!(control.put("/inputs/0", json!({"on": true})).await, 204);
    let history = control.get("/history?after=0").await;
    assert_eq!(history["edges"][0]["name"], json!("loop"));
    assert_eq!(history["edges"][0]["on"], json!(true));
    assert_eq!(control.get("/history?after=1").await["edges"], json!([]));

    assert_eq!(control.put("/faults/front", json!({"kind": "slow", "ms": 30})).await, 204);
    assert_eq!(control.put("/faults/front", json!({"kind": "lazy"})).await, 422);
    assert_eq!(control.put("/faults/back", json!({"kind": "dead"})).await, 404);
    let parts = control.get("/parts").await;
    assert_eq!(parts["front"]["fault"], json!({"kind": "slow", "ms": 30}));
    assert_eq!(parts["io"]["faults"], json!(["slow", "dead", "silent", "garbage"]));
    assert_eq!(control.put("/parts/front/card", json!({})).await, 404, "nothing of that name can be done to a camera");
    assert_eq!(control.put("/inputs/99", json!({"on": true})).await, 404);
    assert_eq!(control.put("/door/person", json!({"present": true})).await, 204);
    assert_eq!(control.get("/state").await["door"]["person"], json!(true));

    let picture = [&[0xFF, 0xD8, 0xFF, 0xE0][..], &[7; 100]].concat();
    let put = |body: Vec<u8>| control.http.put(format!("{}/cameras/front/picture", control.base)).body(body).send();
    assert_eq!(put(picture.clone()).await.unwrap().status(), 204);
    assert_eq!(put(b"not a picture".to_vec()).await.unwrap().status(), 400);
    let cameras = Client::new(&bound["cameras"]);
    let url = format!("{}/cameras/front/snapshot.jpg", cameras.base);
    let served = cameras.http.get(url).send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "image/jpeg");
    assert_eq!(served.bytes().await.unwrap(), picture);

    assert_eq!(control.get("/scene").await, json!(null));
    let play = |body: &'static str| control.http.put(format!("{}/scene", control.base)).body(body).send();
    assert_eq!(play("[[step]]\nsay = \"hello\"").await.unwrap().status(), 204);
    let refused = play("[[step]]\ncar = { speed_kmh = 0 }").await.unwrap();
    assert_eq!(refused.status(), 400);
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["error"].as_str().unwrap().contains("step 1 of the scene: speed_kmh"), "{refused}");
    let scene = control.get("/scene").await;
    assert_eq!((&scene["steps"], &scene["collisions"]), (&json!(1), &json!([])));
    let ended = control.http.delete(format!("{}/scene", control.base)).send().await.unwrap();
    assert_eq!((ended.status().as_u16(), control.get("/scene").await), (204, json!(null)));

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status = timeout(PATIENCE, child.wait()).await.expect("an end").unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_configuration_file_is_understood_and_unknown_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("house.toml");
    let path = path.to_str().unwrap();
    std::fs::write(path, "[house.barrier]\ntravel_ms = 50\n[[camera]]\nid = \"yard\"\nfps = 2.0\n").unwrap();
    let (_child, bound) = start(&["--config", path]).await;
    let state = Client::new(&bound["control"]).get("/state").await;
    assert!(state["faults"]["yard"].is_object());

    std::fs::write(path, "[house.barrier]\ntravel_mss = 50\n").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_cardea-sim")).args(["--config", path]).output().await.unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("travel_mss"));
    assert!(refused.stdout.is_empty());
}

#[tokio::test]
async fn a_scene_given_at_the_start_is_played_and_told_on_stderr() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene.toml");
    std::fs::write(&scene, "title = \"Nobody comes\"\n[[step]]\ninput = { name = \"fire\", on = true }").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cardea-sim"))
        .args(["--scene", scene.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for words in ["Nobody comes", "input fire on"] {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap().unwrap();
        assert!(line.contains(words), "{line}");
    }

    std::fs::write(&scene, "[[step]]\nat = \"soon\"\nsay = \"x\"").unwrap();
    let arguments = ["--scene", scene.to_str().unwrap()];
    let refused = Command::new(env!("CARGO_BIN_EXE_cardea-sim")).args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("scene.toml") && said.contains("soon"), "{said}");
    assert!(refused.stdout.is_empty());
}

#[tokio::test]
async fn a_card_at_a_line_reader_is_a_line_at_the_path_that_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reader");
    let (_child, bound) = start(&["--line-reader", path.to_str().unwrap()]).await;
    assert_eq!(bound["line-reader"], json!(path));
    let control = Client::new(&bound["control"]);
    let config = format!("[[reader]]\nid = 'r'\ndriver = 'serial-line'\npath = {path:?}\nformat = 'hex'\n");
    let hardware = cardea_hardware::Hardware::open(&toml::from_str(&config).unwrap()).unwrap();
    let mut health = hardware.readers["r"].health();
    timeout(PATIENCE, health.wait_for(|health| health.is_up())).await.expect("up").unwrap();
    let mut reads = hardware.readers["r"].watch();
    for wrong in [json!({}), json!({"number": ""}), json!({"number": "a\nb"}), json!({"number": "04A1B2C3", "pin": 1})]
    {
        assert_eq!(control.put("/parts/line-reader/card", wrong).await, 400);
    }
    assert_eq!(control.put("/parts/line-reader/card", json!({"number": "04A1B2C3"})).await, 204);
    let read = timeout(PATIENCE, reads.wait_for(|reads| reads.sequence == 1)).await.expect("a card").unwrap();
    assert_eq!(read.last.as_ref().unwrap().number.expose(), "uid:04A1B2C3");
    drop(read);
    hardware.shutdown().await;
}
