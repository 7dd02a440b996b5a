//! The configuration files of a site, as an operator and an installer would write them.

use std::path::Path;

use super::link::Link;
use super::pki::ClientCa;
use super::{BARRIER, DOOR, Site, Tempo};
use crate::look;

/// `cardea-cloud.toml`.
pub(super) fn cloud(dir: &Path, client_ca: &ClientCa, link: &Link, tempo: Tempo) -> String {
    format!(
        r#"data_dir = "{data}"

[server]
api_listen = "127.0.0.1:0"
enrol_listen = "127.0.0.1:0"
broker_listen = "127.0.0.1:0"
public_names = ["localhost", "127.0.0.1"]
broker_url = "mqtts://localhost:{broker}"   # the cable that can be pulled

[client_ca]
files = ["{client_ca}"]

[recognition]
pack = "{pack}"
onnxruntime = "{onnxruntime}"

[sync]
freshness_interval_ms = {freshness}
"#,
        data = dir.join("cloud").display(),
        broker = link.local().port(),
        client_ca = client_ca.certificate().display(),
        pack = look::base_pack().display(),
        onnxruntime = look::onnxruntime().display(),
        freshness = tempo.freshness_ms,
    )
}

/// `cardead.toml`.
pub(super) fn controller(dir: &Path, site: &Site) -> anyhow::Result<String> {
    let tempo = site.tempo();
    Ok(format!(
        r#"state_dir = "{state}"

[cloud]
url = "{api}"
enrolment_url = "{enrolment}"
ca = "{ca}"

[recognition]
pack = "{pack}"
onnxruntime = "{onnxruntime}"
allow_demo_models = true

[biometrics]
max_staleness_s = {staleness}

[local]
socket = "{socket}"

[[board]]
id = "io1"
driver = "modbus-tcp"
address = "{modbus}"
unit = 1
{lines}
[[camera]]
id = "plate-cam"
driver = "http-snapshot"
url = "{cameras}/cameras/plate-cam/snapshot.jpg"

[[camera]]
id = "face-cam"
driver = "http-mjpeg"
url = "{cameras}/cameras/face-cam/stream.mjpeg"
# what stands before a simulated camera is a still
frozen_after_s = 0

[[access_point]]
kind = "barrier"
id = "{BARRIER}"
credentials = ["plate", "remote"]
camera = "plate-cam"
open = "barrier-open"
close = "barrier-close"
loop = "barrier-loop"
open_limit = "barrier-up"
closed_limit = "barrier-down"
pulse_ms = 200
travel_ms = {travel_limit}
clear_ms = {clear}
open_timeout_s = {open_timeout}

[[access_point]]
kind = "door"
pad = "off"
id = "{DOOR}"
credentials = ["face", "remote"]
camera = "face-cam"
lock = "door-lock"
contact = "door-contact"
exit_button = "door-exit"
release_ms = 2000
held_open_s = 30
"#,
        state = dir.join("controller").display(),
        api = site.api,
        enrolment = site.enrolment,
        ca = site.cloud_ca.display(),
        pack = look::base_pack().display(),
        onnxruntime = look::onnxruntime().display(),
        staleness = tempo.face_staleness_s,
        socket = dir.join("local.sock").display(),
        modbus = site.house.modbus,
        cameras = site.house.cameras,
        lines = lines(),
        travel_limit = tempo.travel_ms + 1_500,
        clear = tempo.clear_ms,
        open_timeout = tempo.open_timeout_s,
    ))
}

/// The same configuration with remote orders only, and nothing to recognise with.
pub(super) fn without_models(controller: &str) -> String {
    let dropped = ["[recognition]", "pack =", "onnxruntime =", "camera ="];
    let kept = controller.lines().filter(|line| !dropped.iter().any(|start| line.starts_with(start)));
    let text = kept.collect::<Vec<_>>().join("\n");
    text.replace(r#""plate", "remote""#, r#""remote""#).replace(r#""face", "remote""#, r#""remote""#)
}

fn lines() -> String {
    let outputs = [("barrier-open", 0), ("barrier-close", 1), ("door-lock", 4)];
    let inputs = [("barrier-loop", 0), ("barrier-up", 1), ("barrier-down", 2), ("door-contact", 4), ("door-exit", 5)];
    let line = |kind: &str, (id, channel): &(&str, u8)| {
        format!("\n[[{kind}]]\nid = \"{id}\"\nboard = \"io1\"\nchannel = {channel}\n")
    };
    outputs.iter().map(|l| line("output", l)).chain(inputs.iter().map(|l| line("input", l))).collect()
}
