//! `list`, `verify`, `read`, `bench` and `pull` on our own pack, by the functions the program calls.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cardea_models::{Pack, PackError, Runtime};
use cardea_models_cli::pull::{Description, Digest, Options, Progress, PullError, install};
use cardea_models_cli::{OnnxRuntime, Outcome, bench, list, read, verify};
use serde_json::Value;
use support::{Answer, Server};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn base() -> PathBuf {
    root().join("models/base")
}

fn library() -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| root().join(".tools/onnxruntime/libonnxruntime.so"), PathBuf::from)
}

fn runtime() -> OnnxRuntime {
    OnnxRuntime { library: Some(library()) }
}

/// A copy of our pack that may be spoilt.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(base()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn listed(args: &list::Args) -> (Outcome, String) {
    let mut out = Vec::new();
    let outcome = list::run(args, &mut out).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

fn verified(pack: &Path, runtime: OnnxRuntime) -> (Outcome, Value) {
    let mut out = Vec::new();
    let outcome = verify::run(&verify::Args { pack: pack.into(), runtime, json: true }, &mut out).unwrap();
    (outcome, serde_json::from_slice(&out).unwrap())
}

/// What is wrong, and what to do about it.
fn failures(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["verdict"] == "failure");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings.map(|finding| (text(finding, "found"), text(finding, "todo"))).collect()
}

#[test]
fn a_folder_of_packs_is_listed_with_what_each_model_stands_for() {
    let args = list::Args { dirs: vec![base()], ..list::Args::default() };
    let (outcome, text) = listed(&args);
    assert_eq!(outcome, Outcome::Sound);
    for word in ["base", "plate-reader", "face-embedder", "demo", "MIT OR Apache-2.0", "0.001"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let (_, all) = listed(&list::Args { dirs: vec![root().join("models")], json: true, ..list::Args::default() });
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["packs"].as_array().unwrap().len(), 1);
    assert_eq!(all["packs"][0]["name"], "base");
    assert!(all["packs"][0]["models"].as_array().unwrap().len() >= 4);
}

/// What `read` says of these sample pictures, as JSON or as text.
fn read_on(names: &[&str], json: bool) -> (Outcome, String) {
    let pictures = names.iter().map(|name| root().join(".tools/samples").join(name)).collect();
    let mut out = Vec::new();
    let args = read::Args { pack: base(), pictures, threads: 1, runtime: runtime(), json };
    let outcome = read::run(&args, &mut out).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

#[test]
fn a_plate_is_read_with_its_place_and_its_probabilities() {
    let (outcome, report) = read_on(&["car-day.jpg", "car-other.jpg"], true);
    assert_eq!(outcome, Outcome::Sound);
    let report: Value = serde_json::from_str(&report).unwrap();
    for (i, text) in ["A123BC77", "A123BC777"].into_iter().enumerate() {
        let (picture, plate) = (&report["pictures"][i], &report["pictures"][i]["plates"][0]);
        assert_eq!(plate["text"], text, "{report}");
        let [width, height] = [0, 1].map(|i| picture["size"][i].as_f64().unwrap());
        for corner in plate["corners"].as_array().unwrap() {
            let (x, y) = (corner[0].as_f64().unwrap(), corner[1].as_f64().unwrap());
            assert!(x > 0.0 && x < width && y > 0.0 && y < height, "{report}");
        }
        for key in ["weakest_probability", "quality", "detection"] {
            assert!(plate[key].as_f64().is_some_and(|value| value > 0.0 && value <= 1.0), "{key}: {report}");
        }
    }
    let (_, text) = read_on(&["car-day.jpg"], false);
    assert!(text.contains("A123BC77"), "{text}");
}

#[test]
fn a_picture_without_a_plate_is_said_to_have_none() {
    let (outcome, text) = read_on(&["yard.jpg"], false);
    assert_eq!(outcome, Outcome::Unsound);
    assert!(text.contains("none found"), "{text}");
}

#[test]
fn a_pack_that_cannot_be_read_is_listed_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("broken")).unwrap();
    fs::write(folder.path().join("broken/manifest.toml"), "[pack]\nnme = \"x\"\n").unwrap();
    fs::create_dir_all(folder.path().join(".half.pulling")).unwrap();
    fs::write(folder.path().join(".half.pulling/manifest.toml"), "").unwrap();
    let (outcome, text) = listed(&list::Args { dirs: vec![folder.path().into()], ..list::Args::default() });
    assert_eq!(outcome, Outcome::Unsound);
    assert!(text.contains("broken") && text.contains("nme") && !text.contains("half"), "{text}");
}

#[test]
fn an_empty_folder_says_where_packs_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, text) = listed(&list::Args { dirs: vec![folder.path().into()], ..list::Args::default() });
    assert_eq!(outcome, Outcome::Sound);
    assert!(text.contains("list --available"), "{text}");
}

#[test]
fn what_can_be_pulled_is_listed_with_hashes() {
    let (_, text) = listed(&list::Args { available: true, ..list::Args::default() });
    assert!(text.contains("opencv-sface-2021dec") && text.contains("38.7 MB"), "{text}");
    let (_, text) = listed(&list::Args { available: true, json: true, ..list::Args::default() });
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all["available"][0]["files"][0]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn our_pack_is_sound() {
    let (outcome, report) = verified(&base(), runtime());
    assert_eq!(outcome, Outcome::Sound, "{report:#}");
    assert_eq!(report["sound"], true);
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["check"] == "first runs" && finding["verdict"] == "ok"));
}

#[test]
fn every_damaged_file_is_named() {
    let pack = copy();
    fs::write(pack.path().join("plate_reader.onnx"), "damaged").unwrap();
    fs::remove_file(pack.path().join("face_detector.onnx")).unwrap();
    let (outcome, report) = verified(pack.path(), runtime());
    assert_eq!(outcome, Outcome::Unsound);
    let failures = failures(&report);
    assert_eq!(failures.len(), 2, "{failures:?}");
    for file in ["plate_reader.onnx has SHA-256", "face_detector.onnx: No such file"] {
        assert!(failures.iter().any(|(found, _)| found.contains(file)), "{file}: {failures:?}");
    }
}

#[test]
fn a_file_that_is_no_model_is_found_by_its_first_run() {
    let pack = copy();
    let manifest = pack.path().join("manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let reader = pack.path().join("plate_reader.onnx");
    let former = Digest::of_file(&reader).unwrap().to_string();
    fs::write(&reader, "no model").unwrap();
    fs::write(&manifest, text.replace(&former, &Digest::of_file(&reader).unwrap().to_string())).unwrap();
    let (outcome, report) = verified(pack.path(), runtime());
    assert_eq!(outcome, Outcome::Unsound);
    let failures = failures(&report);
    assert!(failures.len() == 1 && failures[0].0.contains("plate-reader"), "{failures:?}");
}

#[test]
fn what_stands_in_the_way_of_a_first_run_is_said() {
    let (outcome, report) = verified(&base(), OnnxRuntime::default());
    assert_eq!(outcome, Outcome::Unsound);
    assert!(failures(&report)[0].1.contains("--onnxruntime"), "{report:#}");
    let (outcome, report) = verified(Path::new("/nonexistent"), runtime());
    assert_eq!(outcome, Outcome::Unsound);
    assert!(failures(&report)[0].0.contains("cannot read /nonexistent/manifest.toml"), "{report:#}");
}

#[test]
fn a_file_beside_the_pack_is_remarked_upon() {
    let pack = copy();
    fs::write(pack.path().join("old.onnx"), "x").unwrap();
    let (outcome, report) = verified(pack.path(), runtime());
    assert_eq!(outcome, Outcome::Sound);
    assert!(report.to_string().contains("does not speak of old.onnx"), "{report:#}");
}

#[test]
fn every_stage_and_both_passes_are_measured() {
    let picture = root().join("models/tests/pictures/day.jpg");
    let args =
        bench::Args { pack: base(), threads: 1, seconds: 0, picture: Some(picture), runtime: runtime(), json: true };
    let mut out = Vec::new();
    bench::run(&args, &mut out).unwrap();
    let report: Value = serde_json::from_slice(&out).unwrap();
    let stages: Vec<&str> =
        report["stages"].as_array().unwrap().iter().map(|stage| stage["role"].as_str().unwrap()).collect();
    assert_eq!(stages, ["plate-detector", "plate-reader", "face-detector", "face-embedder"]);
    for timing in report["stages"].as_array().unwrap().iter().chain(report["passes"].as_array().unwrap()) {
        let (median, p95) = (timing["median_ms"].as_f64().unwrap(), timing["p95_ms"].as_f64().unwrap());
        assert!(median > 0.0 && p95 >= median, "{timing}");
    }
    let passes: Vec<f64> =
        report["passes"].as_array().unwrap().iter().map(|pass| pass["frames_per_second"].as_f64().unwrap()).collect();
    assert!(passes.len() == 2 && passes.iter().all(|rate| *rate > 0.0), "{passes:?}");
}

struct Quiet;

impl Progress for Quiet {
    fn begin(&mut self, _file: &str, _source: &str, _bytes: Option<u64>) {}
    fn at(&mut self, _bytes: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, _text: &str) {}
}

/// Our own pack as if it were somebody's public one, served from this machine.
fn described(server: &Server, spoil: &[&str]) -> Description {
    let manifest: toml::Table = fs::read_to_string(base().join("manifest.toml")).unwrap().parse().unwrap();
    let mut text = String::new();
    let mut table = manifest.clone();
    for model in table["model"].as_array_mut().unwrap() {
        let model = model.as_table_mut().unwrap();
        let file = model["file"].as_str().unwrap().to_owned();
        let bytes = content(&file, spoil);
        let hash = Digest::of_bytes(&bytes);
        model.remove("sha256");
        let url = server.url(&format!("/{file}"));
        text.push_str(&format!(
            "[[file]]\nname = {file:?}\nurls = [{url:?}]\nbytes = {}\nsha256 = \"{hash}\"\n",
            bytes.len()
        ));
    }
    let manifest = toml::Table::from_iter([("manifest".to_owned(), toml::Value::Table(table))]);
    Description::parse(&format!("{text}{}", toml::to_string(&manifest).unwrap())).unwrap()
}

fn content(file: &str, spoil: &[&str]) -> Vec<u8> {
    if spoil.contains(&file) { b"no model".to_vec() } else { fs::read(base().join(file)).unwrap() }
}

fn server(spoil: &'static [&'static str]) -> Server {
    Server::start(move |_, request| Answer::file(request, &content(&request.path[1..], spoil), Some("\"1\"")))
}

#[test]
fn a_pulled_pack_has_run_before_it_appears_and_one_that_does_not_run_never_does() {
    let into = tempfile::tempdir().unwrap();
    let options = Options {
        into: into.path().into(),
        mirror: None,
        cache: None,
        offline: false,
        pins: BTreeMap::new(),
        trust_first_download: false,
        replace_thresholds: false,
        with: None,
        timeout: Duration::from_secs(20),
        runtime: Some(Runtime::load(&library()).unwrap()),
    };
    let good = server(&[]);
    let installed = install(&described(&good, &[]), &options, &mut Quiet).unwrap();
    assert!(installed.models_run);
    let before = fs::read(into.path().join("base/manifest.toml")).unwrap();
    assert_eq!(verified(&into.path().join("base"), runtime()).0, Outcome::Sound);

    let bad = server(&["face_embedder.onnx"]);
    let error = install(&described(&bad, &["face_embedder.onnx"]), &options, &mut Quiet).unwrap_err();
    let PullError::Verify(cause) = &error else { unreachable!("{error}") };
    assert!(matches!(**cause, PackError::Session { .. }), "{cause}");
    assert_eq!(bad.requests().len(), 1, "only the file that differs is downloaded");
    assert_eq!(fs::read(into.path().join("base/manifest.toml")).unwrap(), before);
    Pack::open(&into.path().join("base")).unwrap();
}
