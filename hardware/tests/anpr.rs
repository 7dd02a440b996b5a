//! Cameras that read plates, against the simulated one: both makes, and everybody who is not the camera.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_hardware::{
    Hardware, HardwareConfig, Health, PlateCamera, PlateEvent,
    sim::{Fault, Sim, SimConfig, SimHandle, SimLogin},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "0123456789abcdef01234567";
const PICTURE: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 7, 0xFF, 0xD9];

async fn sim() -> SimHandle {
    let login = SimLogin { username: "viewer".into(), password: "hunter2".into(), ..SimLogin::default() };
    let sim = Sim::start(SimConfig { camera_login: Some(login), ..SimConfig::default() }).await.unwrap();
    sim.set_picture("plate-cam", Bytes::from_static(PICTURE)).unwrap();
    sim
}

fn open(keys: &str) -> Hardware {
    let config: HardwareConfig = toml::from_str(&format!("[[anpr]]\nid = \"lane\"\n{keys}")).unwrap();
    Hardware::open(&config).unwrap()
}

fn pull(sim: &SimHandle, driver: &str, password: &str) -> Hardware {
    pull_with(sim, driver, password, "")
}

fn pull_with(sim: &SimHandle, driver: &str, password: &str, keys: &str) -> Hardware {
    open(&format!(
        "driver = \"{driver}\"\nurl = \"{}\"\nusername = \"viewer\"\npassword = \"{password}\"\ntimeout_ms = 2000\n{keys}",
        sim.anpr_url()
    ))
}

async fn until(camera: &Arc<dyn PlateCamera>, wanted: impl FnMut(&Health) -> bool) {
    let mut health = camera.health();
    let waited = timeout(PATIENCE, health.wait_for(wanted)).await.map(drop);
    assert!(waited.is_ok(), "{:?}", camera.health().borrow());
}

async fn next(camera: &Arc<dyn PlateCamera>) -> PlateEvent {
    timeout(PATIENCE, camera.event()).await.expect("an event")
}

#[tokio::test]
async fn both_makes_tell_what_passes_once() {
    for driver in ["hikvision", "dahua"] {
        let sim = sim().await;
        let hardware = pull(&sim, driver, "hunter2");
        let camera = &hardware.anpr["lane"];
        until(camera, Health::is_up).await;
        let asked = Instant::now();
        let pass = |plate: &str, id: &str| json!({"plate": plate, "id": id, "camera": "plate-cam", "confidence": 0.8});
        sim.act("anpr", "pass", pass("A123BC77", "1")).unwrap();
        let event = next(camera).await;
        assert_eq!((event.text.as_str(), event.pictures.len()), ("A123BC77", 1), "{driver}");
        assert!((event.confidence.unwrap() - 0.8).abs() < 0.01 && event.arrived_at >= asked);
        assert_eq!(event.pictures[0], PICTURE);
        sim.act("anpr", "pass", pass("A123BC77", "1")).unwrap();
        sim.act("anpr", "pass", json!({"plate": "B456CE99", "id": "2"})).unwrap();
        let event = next(camera).await;
        assert_eq!((event.text.as_str(), event.pictures.len()), ("B456CE99", 0), "{driver}: a repetition is none");
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_a_camera_that_fails_comes_back() {
    let sim = sim().await;
    let wrong = pull(&sim, "hikvision", "hunter3");
    let told = |reason: &str| reason.contains("check username and password") && !reason.contains("hunter3");
    until(&wrong.anpr["lane"], |health| matches!(health, Health::Down { reason } if told(reason))).await;
    let hardware = pull(&sim, "hikvision", "hunter2");
    let camera = &hardware.anpr["lane"];
    for (fault, expected) in [(Fault::Garbage, "XML"), (Fault::Dead, "ended"), (Fault::Silent, "within 2000 ms")] {
        until(camera, Health::is_up).await;
        sim.set_fault("anpr", fault).unwrap();
        until(camera, |health| matches!(health, Health::Down { reason } if reason.contains(expected))).await;
        sim.set_fault("anpr", Fault::None).unwrap();
    }
    until(camera, Health::is_up).await;
    sim.act("anpr", "pass", json!({"plate": "A123BC77", "id": "9"})).unwrap();
    assert_eq!(next(camera).await.text, "A123BC77");
}

#[tokio::test]
async fn what_a_camera_sends_besides_is_passed_over_and_a_stream_that_is_torn_is_opened_anew() {
    for (driver, kind) in [("hikvision", "application/json"), ("dahua", "application/xml")] {
        let sim = sim().await;
        let hardware = pull(&sim, driver, "hunter2");
        let camera = &hardware.anpr["lane"];
        until(camera, Health::is_up).await;
        let mut health = camera.health();
        health.mark_unchanged();
        let beat = "<E><eventType>videoloss</eventType><eventState>inactive</eventState></E>";
        for (kind, text) in
            [(kind, "{\"a\": 1}"), ("image/jpeg", "\0\0"), ("video/mp4", "…"), ("x/y", ""), ("text/xml", beat)]
        {
            sim.act("anpr", "part", json!({"kind": kind, "text": text})).unwrap();
        }
        sim.act("anpr", "pass", json!({"plate": "A123BC77", "id": "1", "camera": "plate-cam"})).unwrap();
        assert_eq!(next(camera).await.pictures.len(), 1);
        assert!(!health.has_changed().unwrap(), "{driver}: {:?}", health.borrow());
        // A header without end is no multipart.
        sim.act("anpr", "part", json!({"kind": "x".repeat(9_000), "text": ""})).unwrap();
        let told = "header of a part";
        until(camera, |health| matches!(health, Health::Down { reason } if reason.contains(told))).await;
        until(camera, Health::is_up).await;
        sim.act("anpr", "pass", json!({"plate": "B456CE99", "id": "2"})).unwrap();
        assert_eq!(next(camera).await.text, "B456CE99");
    }
}

#[tokio::test]
async fn only_what_is_of_this_lane_and_of_now_is_told() {
    let keys = "channel = 2\nlane = 1\ndirection = \"approach\"";
    for (driver, towards, away, date) in
        [("hikvision", "forward", "reverse", "2026-05-04T12:00:00Z"), ("dahua", "Approach", "Leave", "1777896000")]
    {
        let sim = sim().await;
        let hardware = pull_with(&sim, driver, "hunter2", keys);
        let camera = &hardware.anpr["lane"];
        until(camera, Health::is_up).await;
        let pass = |id: u32, channel: u32, lane: u32, direction: &str| {
            let plate = format!("A{id:03}BC77");
            let body = json!({"plate": plate, "id": id.to_string(), "channel": channel, "lane": lane,
                "direction": direction, "date": date});
            sim.act("anpr", "pass", body).unwrap();
        };
        pass(1, 1, 1, towards);
        pass(2, 2, 2, towards);
        pass(3, 2, 1, away);
        if driver == "hikvision" {
            sim.act("anpr", "pass", json!({"plate": "A004BC77", "id": "4", "again": true})).unwrap();
        }
        pass(5, 2, 1, towards);
        let event = next(camera).await;
        assert_eq!(event.text, "A005BC77", "{driver}");
        assert_eq!((event.dated.unix_ms, event.dated.late_ms), (Some(1_777_896_000_000), None));
        sim.act("anpr", "pass", json!({"plate": "A006BC77", "id": "6"})).unwrap();
        assert_eq!(next(camera).await.text, "A006BC77", "{driver}: what is not said is not turned away");
    }
}

/// A port that was free a moment ago.
async fn free() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn listening(allow_from: &str) -> (Hardware, String) {
    let address = free().await;
    let hardware = open(&format!(
        "driver = \"hikvision-push\"\nlisten = \"{address}\"\nallow_from = [\"{allow_from}\"]\ntoken = \"{TOKEN}\"\n\
         max_bytes = 1024\ntimeout_ms = 2000"
    ));
    until(&hardware.anpr["lane"], Health::is_up).await;
    (hardware, format!("http://{address}/anpr/"))
}

async fn post(url: &str, kind: &str, body: Vec<u8>) -> u16 {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    http.post(url).header("content-type", kind).body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_camera_may_post_and_nobody_else() {
    let sim = sim().await;
    let (hardware, url) = listening("127.0.0.1").await;
    let camera = &hardware.anpr["lane"];
    let push = |path: &str, id: &str| {
        let body = json!({"plate": "A123BC77", "id": id, "camera": "plate-cam", "url": format!("{url}{path}")});
        sim.act("anpr", "push", body).unwrap();
    };
    push(TOKEN, "1");
    let event = next(camera).await;
    assert_eq!((event.text.as_str(), event.pictures.len()), ("A123BC77", 1));
    for path in ["", "0123456789abcdef01234568", "0123456789abcdef0123456", "x/0123456789abcdef01234567"] {
        assert_eq!(post(&format!("{url}{path}"), "application/xml", b"<a/>".to_vec()).await, 401, "{path}");
    }
    push("wrong", "2");
    let mut refused = camera.refused();
    assert_eq!(*timeout(PATIENCE, refused.wait_for(|count| *count >= 5)).await.unwrap().unwrap(), 5);
    push(TOKEN, "3");
    next(camera).await;

    let (elsewhere, url) = listening("192.0.2.20").await;
    assert_eq!(post(&format!("{url}{TOKEN}"), "application/xml", b"<a/>".to_vec()).await, 401, "another address");
    assert_eq!(*elsewhere.anpr["lane"].refused().borrow(), 1);
}

#[tokio::test]
async fn what_is_no_event_is_refused_and_the_next_one_counts() {
    let (hardware, url) = listening("127.0.0.1").await;
    let camera = &hardware.anpr["lane"];
    let url = format!("{url}{TOKEN}");
    let multipart = "multipart/form-data; boundary=b";
    let part = |body: &str| format!("--b\r\nContent-Type: application/xml\r\n\r\n{body}\r\n--b--\r\n").into_bytes();
    let event = "<E><eventType>ANPR</eventType><UUID>1</UUID><ANPR><licensePlate>A123BC77</licensePlate></ANPR></E>";
    for (kind, body, expected) in [
        ("application/xml", b"<E><eventType>ANPR</eventType>".to_vec(), 400),
        ("application/xml", b"\xFF\xFE".to_vec(), 400),
        (multipart, part("<!DOCTYPE a><E/>"), 400),
        (multipart, part(&"x".repeat(3_000)), 400),
        ("multipart/form-data", part(event), 400),
        ("application/xml", vec![b'x'; 8_000], 413),
        // a boundary that is not the announced one: nothing is found in it
        ("multipart/form-data; boundary=other", part(event), 200),
    ] {
        assert_eq!(post(&url, kind, body).await, expected, "{kind}");
    }
    // A request that never ends is given up.
    let mut slow = TcpStream::connect(url.split('/').nth(2).unwrap()).await.unwrap();
    let head = format!("POST /anpr/{TOKEN} HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n<E>");
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(post(&url, multipart, part(event)).await, 200);
    assert_eq!(next(camera).await.text, "A123BC77");
    assert_eq!(post(&url, multipart, part(event)).await, 200);
    let other = event.replace("<UUID>1", "<UUID>2").replace("A123BC77", "B456CE99");
    assert_eq!(post(&url, multipart, part(&other)).await, 200);
    assert_eq!(next(camera).await.text, "B456CE99", "the same event twice is one");
    let mut answer = [0; 64];
    let length = timeout(PATIENCE, slow.read(&mut answer)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).contains("408"));
}

/// How a connection that says nothing more ends, with what it was answered.
async fn ending(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("closed in time");
    // Whether it is closed or reset makes no difference.
    drop(read);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn five_hundred_silent_connections_do_not_keep_an_event_out() {
    let (hardware, url) = listening("127.0.0.1").await;
    let address = url.split('/').nth(2).unwrap().to_owned();
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let event = "<E><eventType>ANPR</eventType><UUID>1</UUID><ANPR><licensePlate>A123BC77</licensePlate></ANPR></E>";
    // Long before the first of them would be given up.
    let url = format!("{url}{TOKEN}");
    let posted = post(&url, "application/xml", event.into());
    assert_eq!(timeout(Duration::from_millis(1_500), posted).await.expect("an answer at once"), 200);
    assert_eq!(next(&hardware.anpr["lane"]).await.text, "A123BC77");
    for socket in silent {
        assert_eq!(ending(socket).await, "");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_and_a_strangers_connection_is_closed() {
    let (hardware, url) = listening("127.0.0.1").await;
    let address = url.split('/').nth(2).unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = slow.split();
    let trickle = async {
        while writer.write_all(b"X").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        ended = timeout(PATIENCE, reader.read_to_end(&mut answer)) => assert!(ended.is_ok(), "it goes on for ever"),
        () = trickle => {}
    }
    let mut stranger = TcpStream::connect(address).await.unwrap();
    stranger.write_all(b"POST /anpr/guess HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(ending(stranger).await.starts_with("HTTP/1.1 401"));
    assert!(hardware.anpr["lane"].health().borrow().is_up());
}
