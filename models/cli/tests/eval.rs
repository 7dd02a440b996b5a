//! `cardea-models eval` from the outside: drawn plates through the base pack, and public models where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use cardea_models_cli::eval::{self, Args};
use cardea_models_cli::{OnnxRuntime, Outcome};
use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn arguments(pack: PathBuf, set: &Path) -> Args {
    let library = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    Args {
        pack,
        sets: vec![set.to_owned()],
        out: None,
        docs: None,
        threads: Some(2),
        allow_list: 100,
        seed: 5,
        perturb: 0,
        held_out: None,
        commit: Some("0123abc".into()),
        onnxruntime: OnnxRuntime {
            library: library.or_else(|| Some(root().join(".tools/onnxruntime/libonnxruntime.so"))),
        },
    }
}

/// The drawn cars of the models' own tests, as a set; `rows` below its header.
fn drawn_cars(rows: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let pictures = root().join("models/tests/pictures").canonicalize().unwrap();
    std::os::unix::fs::symlink(pictures, folder.path().join("images")).unwrap();
    fs::write(folder.path().join("labels.csv"), format!("image,text,kind\n{rows}")).unwrap();
    fs::write(folder.path().join("set.toml"), "name = \"drawn cars\"\nlicence = \"MIT OR Apache-2.0\"\n").unwrap();
    folder
}

const DRAWN: &str = "day.jpg,A123BC77,day\nnight.jpg,A123BC77,night\ndirt.jpg,A123BC77,dirt\n";

fn evaluated(args: &Args) -> String {
    let mut out = Vec::new();
    assert_eq!(eval::run(args, &mut out).unwrap(), Outcome::Sound);
    String::from_utf8(out).unwrap()
}

fn complaint(args: &Args) -> String {
    let mut text = String::new();
    let error = eval::run(args, &mut Vec::new()).unwrap_err();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = next {
        text.push_str(&format!("{error}\n"));
        next = error.source();
    }
    text
}

#[test]
fn drawn_cars_give_a_report_that_names_no_plate() {
    let set = drawn_cars(DRAWN);
    let out = TempDir::new().unwrap();
    let page = out.path().join("accuracy.md");
    let args = Args {
        out: Some(out.path().join("report")),
        docs: Some(page.clone()),
        perturb: 2,
        ..arguments(root().join("models/base"), set.path())
    };
    let shown = evaluated(&args);
    let read = |name: &str| fs::read_to_string(out.path().join("report").join(name)).unwrap();
    assert_eq!(read("report.md"), shown);
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    let found = &report["sets"][0]["found"]["plates"];
    assert_eq!(found["photos"], 3);
    let names: Vec<&str> = found["sources"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["all", "kind = day", "kind = dirt", "kind = night"]);
    assert_eq!(found["sources"][1]["exact"]["events"], 1, "a plate drawn by day is read");
    assert_eq!(found["gate"]["plain"]["plates"], 3);
    assert_eq!(found["gate"]["perturbed"]["plates"], 9);
    assert_eq!(found["gate"]["perturbed"]["distinct"], 1);
    assert_eq!(found["gate"]["plain"]["false_accept"]["events"], 0);
    let curve = read("drawn-cars-thresholds.svg");
    assert!(curve.starts_with("<svg") && curve.contains("false reject"));
    let page = fs::read_to_string(page).unwrap();
    for needed in [
        "cardea-models eval",
        "0123abc",
        "## Pack base",
        "drawn cars",
        "MIT OR Apache-2.0",
        "3 photographs with 3 plates",
    ] {
        assert!(page.contains(needed), "{needed} is missing in {page}");
    }
    for text in [shown, page, read("report.json"), curve] {
        assert!(!text.contains("A123BC77"), "a plate's text is in {text}");
    }
}

#[test]
fn the_same_seed_gives_the_same_report_on_any_number_of_threads() {
    let set = drawn_cars(DRAWN);
    let json = |threads, seed| {
        let out = TempDir::new().unwrap();
        let args = Args {
            out: Some(out.path().to_owned()),
            threads: Some(threads),
            seed,
            perturb: 1,
            ..arguments(root().join("models/base"), set.path())
        };
        evaluated(&args);
        fs::read_to_string(out.path().join("report.json")).unwrap()
    };
    assert_eq!(json(1, 5), json(3, 5));
}

#[test]
fn what_is_wrong_is_said_before_any_work_begins() {
    let set = drawn_cars("day.jpg,A123BC77,day\nnoon.jpg,A123BC77,day\n");
    let wrong = complaint(&arguments(root().join("models/base"), set.path()));
    assert!(wrong.contains("labels.csv, line 3: picture") && wrong.contains("noon.jpg is missing"), "{wrong}");
    let set = drawn_cars(DRAWN);
    let nowhere = complaint(&arguments(root().join("models/nowhere"), set.path()));
    assert!(nowhere.contains("nowhere/manifest.toml"), "{nowhere}");
    let pad = TempDir::new().unwrap();
    for name in ["real_1.jpg", "fake_1.jpg"] {
        fs::copy(root().join("models/tests/pictures/day.jpg"), pad.path().join(name)).unwrap();
    }
    let missing = complaint(&arguments(root().join("models/base"), pad.path()));
    assert!(missing.contains("has no pad to use"), "{missing}");
}

/// Some pairs of LFW through public models. Runs where the optional folder of evaluation data is.
#[test]
fn public_models_verify_portraits_as_well_as_their_reference_does() {
    let shared = root().join("../shared");
    if !shared.join("models").is_dir() {
        return;
    }
    let shared = shared.canonicalize().unwrap();
    let pack = TempDir::new().unwrap();
    let manifest = fs::read_to_string(root().join("models/tests/packs/public_small.toml")).unwrap();
    for line in manifest.lines().filter_map(|line| line.strip_prefix("file = ")) {
        let name = line.trim_matches('"');
        std::os::unix::fs::symlink(shared.join("models").join(name), pack.path().join(name)).unwrap();
    }
    fs::write(pack.path().join("manifest.toml"), manifest).unwrap();
    let set = TempDir::new().unwrap();
    std::os::unix::fs::symlink(shared.join("eval/faces/lfw/images"), set.path().join("images")).unwrap();
    let pairs = fs::read_to_string(shared.join("eval/faces/lfw/pairs.csv")).unwrap();
    let some: Vec<&str> = pairs.lines().skip(1).step_by(30).collect();
    fs::write(set.path().join("pairs.csv"), format!("fold,a,b,same\n{}\n", some.join("\n"))).unwrap();
    let out = TempDir::new().unwrap();
    let args = Args { out: Some(out.path().to_owned()), ..arguments(pack.path().to_owned(), set.path()) };
    let shown = evaluated(&args);
    let report: Value = serde_json::from_str(&fs::read_to_string(out.path().join("report.json")).unwrap()).unwrap();
    let found = &report["sets"][0]["found"]["faces"];
    assert_eq!((&found["not_acquired"], found["verification"]["genuine"].as_u64()), (&Value::from(0), Some(30)));
    assert!(found["verification"]["accuracy"]["events"].as_u64() >= Some(57), "{shown}");
    assert!(!shown.contains("_0001"), "a person's name is in {shown}");
}
