//! Where files come from and where the pack goes: publisher, mirror, cache, another pack, the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cardea_models::Pack;
use cardea_models_cli::pull::{Digest, FetchError, Origin, PullError, StageError, install};

use super::support::{Answer, Server};
use super::{FILE, Known, Quiet, Site, content, digest, good, names, reasons};

#[test]
fn a_pack_is_downloaded_and_appears_whole() {
    let (server, site) = (good(), Site::new());
    let installed = site.pull(&Known::pinned(&server)).unwrap();
    site.check();
    assert_eq!(installed.path, site.pack());
    assert_eq!(installed.files[0].origin, Origin::Address(server.url("/reader.onnx")));
    assert!(!installed.files[0].on_trust);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_file_that_is_here_is_not_downloaded_again() {
    let (server, site) = (good(), Site::new());
    let known = Known::pinned(&server);
    site.pull(&known).unwrap();
    let written = fs::metadata(site.pack()).unwrap().modified().unwrap();
    assert_eq!(site.pull(&known).unwrap().files[0].origin, Origin::Installed);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(fs::metadata(site.pack()).unwrap().modified().unwrap(), written, "a pack in use was moved for nothing");
    site.check();
}

#[test]
fn a_damaged_pack_is_mended() {
    let (server, site) = (good(), Site::new());
    let known = Known::pinned(&server);
    site.pull(&known).unwrap();
    fs::write(site.pack().join(FILE), "damaged").unwrap();
    site.pull(&known).unwrap();
    site.check();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_mirror_is_asked_first_and_the_publisher_after_it() {
    let (mirror, publisher) = (good(), good());
    let mut site = Site::new();
    site.options.mirror = Some(mirror.url("/packs").parse().unwrap());
    site.pull(&Known::pinned(&publisher)).unwrap();
    site.check();
    assert_eq!(mirror.requests()[0].path, "/packs/reader.onnx");
    assert_eq!(publisher.requests().len(), 0);

    let empty = Server::start(|_, _| Answer::status(404));
    let mut site = Site::new();
    site.options.mirror = Some(empty.url("/").parse().unwrap());
    site.pull(&Known::pinned(&publisher)).unwrap();
    site.check();
    assert_eq!((empty.requests().len(), publisher.requests().len()), (1, 1));
}

#[test]
fn a_mirror_with_another_file_is_passed_over() {
    let bad = Server::start(|_, _| Answer::whole(&vec![1; 100_003]));
    let (publisher, mut site) = (good(), Site::new());
    site.options.mirror = Some(bad.url("/").parse().unwrap());
    site.pull(&Known::pinned(&publisher)).unwrap();
    site.check();
}

#[test]
fn a_cache_gets_what_is_downloaded_and_serves_without_a_network() {
    let (server, mut site) = (good(), Site::new());
    let cache = site.folder.path().join("cache");
    site.options.cache = Some(cache.clone());
    let known = Known::pinned(&server);
    site.pull(&known).unwrap();
    assert_eq!(names(&cache), [FILE]);

    let mut far = Site::new();
    far.options.offline = true;
    assert!(matches!(far.pull(&known), Err(PullError::Offline { .. })));
    far.options.cache = Some(cache.clone());
    assert_eq!(far.pull(&known).unwrap().files[0].origin, Origin::Cache);
    far.check();
    assert_eq!(server.requests().len(), 1);

    fs::write(cache.join(FILE), "another").unwrap();
    let mut far = Site::new();
    far.options.cache = Some(cache.clone());
    let mut quiet = Quiet::default();
    install(&known.description(), &far.options, &mut quiet).unwrap();
    far.check();
    assert!(quiet.notes[0].contains("is not used"), "{:?}", quiet.notes);
    assert_eq!(fs::read(cache.join(FILE)).unwrap(), content(), "the good file takes the bad one's place");
}

#[test]
fn a_file_nobody_states_a_hash_of_is_not_taken_silently() {
    let (server, mut site) = (good(), Site::new());
    site.options.mirror = Some(server.url("/").parse().unwrap());
    let known = Known { urls: vec!["https://127.0.0.1:1/a".into()], bytes: None, sha256: None };
    let error = site.pull(&known).unwrap_err();
    assert!(matches!(error, PullError::NoHash { .. }), "{error}");
    assert!(error.to_string().contains("--trust-first-download"), "{error}");
    assert_eq!(server.requests().len(), 0, "nothing is downloaded that would be refused");

    site.options.pins.insert(FILE.into(), digest());
    assert!(!site.pull(&known).unwrap().files[0].on_trust);
    site.check();
}

#[test]
fn a_first_download_on_trust_binds_the_later_ones() {
    let (server, mut site) = (good(), Site::new());
    site.options.mirror = Some(server.url("/").parse().unwrap());
    site.options.trust_first_download = true;
    let known = Known { urls: vec!["https://127.0.0.1:1/a".into()], bytes: None, sha256: None };
    let installed = site.pull(&known).unwrap();
    assert!(installed.files[0].on_trust);
    assert_eq!(installed.files[0].sha256, digest());
    site.check();
    assert_eq!(site.pull(&known).unwrap().files[0].origin, Origin::Installed);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_tightened_threshold_is_not_undone_unnoticed() {
    let (server, mut site) = (good(), Site::new());
    let known = Known { urls: vec![server.url("/a")], bytes: None, sha256: Some(digest()) };
    site.pull(&known).unwrap();
    let path = site.pack().join("manifest.toml");
    let text = fs::read_to_string(&path).unwrap();
    let value = text.lines().find(|line| line.starts_with("value = ")).unwrap().to_owned();
    let tightened = text.replacen(&value, "value = 0.987", 1);
    fs::write(&path, &tightened).unwrap();
    let error = site.pull(&known).unwrap_err();
    assert!(matches!(error, PullError::Thresholds { .. }), "{error}");
    assert!(error.to_string().contains("0.987") && error.to_string().contains("--replace-thresholds"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), tightened);
    site.options.replace_thresholds = true;
    site.pull(&known).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn half_a_file_nobody_can_measure_is_not_taken_for_the_whole() {
    let server = Server::start(|_, _| Answer::unmeasured(&content()[..60_000]));
    let mut site = Site::new();
    site.options.mirror = Some(server.url("/").parse().unwrap());
    site.options.trust_first_download = true;
    let known = Known { urls: vec!["https://127.0.0.1:1/a".into()], bytes: None, sha256: None };
    let failed = reasons(site.pull(&known).unwrap_err());
    assert!(matches!(failed[0], FetchError::Unmeasured), "{failed:?}");
    site.check_nothing();
}

#[test]
fn pins_must_fit_the_description() {
    let (server, mut site) = (good(), Site::new());
    site.options.pins.insert(FILE.into(), Digest::of_bytes(b"another"));
    assert!(matches!(site.pull(&Known::pinned(&server)), Err(PullError::OtherPin { .. })));
    site.options.pins = BTreeMap::from([("reader.onx".into(), digest())]);
    assert!(matches!(site.pull(&Known::pinned(&server)), Err(PullError::StrayPin { .. })));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_run_that_brought_nothing_leaves_nothing() {
    let server = Server::start(|_, _| Answer::status(404));
    let site = Site::new();
    site.pull(&Known::pinned(&server)).unwrap_err();
    assert_eq!(names(&site.options.into), Vec::<String>::new());
}

#[test]
fn another_pack_fills_the_roles_that_are_left() {
    let (server, mut site) = (good(), Site::new());
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../base");
    site.options.with = Some(base);
    let known = Known::pinned(&server);
    let installed = site.pull(&known).unwrap();
    let manifest = Pack::open(&site.pack()).unwrap();
    let roles: Vec<String> = manifest.models.iter().map(|model| model.role.to_string()).collect();
    assert_eq!(roles, ["plate-reader", "plate-detector", "face-detector", "face-embedder"]);
    assert_eq!(manifest.models[0].file, FILE, "its own reader stays");
    assert_eq!(manifest.pack.licence, "(MIT) AND (MIT OR Apache-2.0)");
    assert_eq!(installed.files[1].origin, Origin::Companion("base".into()));
    let again = site.pull(&known).unwrap();
    assert!(again.files.iter().all(|file| file.origin == Origin::Installed), "{:?}", again.files);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_pack_that_cannot_fill_roles_is_refused_before_a_download() {
    let (server, mut site) = (good(), Site::new());
    site.options.with = Some(site.folder.path().into());
    assert!(matches!(site.pull(&Known::pinned(&server)), Err(PullError::Companion(_))));
    let twin = Site::new();
    twin.pull(&Known::pinned(&server)).unwrap();
    let manifest = fs::read_to_string(twin.pack().join("manifest.toml")).unwrap();
    let detector = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../base/manifest.toml")).unwrap();
    let table: toml::Table = detector.parse().unwrap();
    let mut model = table["model"][0].as_table().unwrap().clone();
    model.insert("file".into(), FILE.into());
    model.insert("sha256".into(), digest().to_string().into());
    let pack = manifest.split("[[model]]").next().unwrap();
    let models = toml::Table::from_iter([("model".to_owned(), toml::Value::Array(vec![toml::Value::Table(model)]))]);
    fs::write(twin.pack().join("manifest.toml"), format!("{pack}\n{}", toml::to_string(&models).unwrap())).unwrap();
    site.options.with = Some(twin.pack());
    let error = site.pull(&Known::pinned(&server)).unwrap_err();
    assert!(matches!(error, PullError::Clash { .. }), "{error}");
    assert_eq!(server.requests().len(), 1, "nothing is downloaded that would be refused");
}

#[test]
fn a_folder_that_is_no_such_pack_is_left_alone() {
    let (server, site) = (good(), Site::new());
    fs::create_dir(site.pack()).unwrap();
    fs::write(site.pack().join("photo.jpg"), "mine").unwrap();
    assert!(matches!(site.pull(&Known::pinned(&server)), Err(PullError::Stage(StageError::Foreign { .. }))));
    assert_eq!(names(&site.pack()), ["photo.jpg"]);
    assert_eq!(server.requests().len(), 0);
}
