//! `pull` against a real server on this machine that behaves, and one that does not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cardea_models::Pack;
use cardea_models_cli::pull::{
    Description, Digest, FetchError, Installed, Options, Origin, Progress, PullError, StageError, install,
};
use proptest::prelude::*;
use support::{Answer, Server};
use tempfile::TempDir;

/// The file that is pulled: no model, which only matters to ONNX Runtime.
fn content() -> Vec<u8> {
    (0..40_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 16).to_le_bytes()).take(100_003).collect()
}

const FILE: &str = "reader.onnx";

/// A pack of one file with what is known about it.
struct Known {
    urls: Vec<String>,
    bytes: Option<usize>,
    sha256: Option<Digest>,
}

impl Known {
    fn pinned(server: &Server) -> Self {
        Self { urls: vec![server.url("/reader.onnx")], bytes: Some(content().len()), sha256: Some(digest()) }
    }

    fn description(&self) -> Description {
        let urls = self.urls.iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(", ");
        let bytes = self.bytes.map(|bytes| format!("bytes = {bytes}")).unwrap_or_default();
        let sha256 = self.sha256.map(|hash| format!("sha256 = \"{hash}\"")).unwrap_or_default();
        let manifest = include_str!("packs/tiny.toml");
        Description::parse(&format!("[[file]]\nname = \"{FILE}\"\nurls = [{urls}]\n{bytes}\n{sha256}\n{manifest}"))
            .unwrap()
    }
}

fn digest() -> Digest {
    Digest::of_bytes(&content())
}

/// A folder to pull into, and what may be given with it.
struct Site {
    folder: TempDir,
    options: Options,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            into: folder.path().join("packs"),
            mirror: None,
            cache: None,
            offline: false,
            pins: BTreeMap::new(),
            trust_first_download: false,
            with: None,
            timeout: Duration::from_secs(20),
            runtime: None,
        };
        fs::create_dir(&options.into).unwrap();
        Self { folder, options }
    }

    fn pull(&self, known: &Known) -> Result<Installed, PullError> {
        install(&known.description(), &self.options, &mut Quiet::default())
    }

    fn pack(&self) -> PathBuf {
        self.options.into.join("tiny")
    }

    fn stage(&self) -> PathBuf {
        self.options.into.join(".tiny.pulling")
    }

    /// The pack is there, sound, and nothing else is.
    fn check(&self) {
        assert_eq!(names(&self.options.into), ["tiny"]);
        assert_eq!(names(&self.pack()), ["manifest.toml", FILE]);
        assert_eq!(fs::read(self.pack().join(FILE)).unwrap(), content());
        Pack::open(&self.pack()).unwrap();
    }

    /// No pack has appeared.
    fn check_nothing(&self) {
        assert!(!self.pack().exists());
    }
}

#[derive(Default)]
struct Quiet {
    notes: Vec<String>,
}

impl Progress for Quiet {
    fn begin(&mut self, _file: &str, _source: &str, _bytes: Option<u64>) {}
    fn at(&mut self, _bytes: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Why each address failed.
fn reasons(error: PullError) -> Vec<FetchError> {
    match error {
        PullError::NoSource { tried, .. } => tried.into_iter().map(|(_, error)| error).collect(),
        other => panic!("another error: {other}"),
    }
}

fn good() -> Server {
    let content = content();
    Server::start(move |_, request| Answer::file(request, &content, Some("\"1\"")))
}

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_connection_cut_at_any_byte_is_taken_up_there(cut in 1_usize..100_002, etag in any::<bool>()) {
        let (body, etag) = (content(), etag.then_some("\"1\""));
        let server = Server::start(move |number, request| {
            let answer = Answer::file(request, &body, etag);
            if number == 0 { answer.cut(cut) } else { answer }
        });
        let site = Site::new();
        site.pull(&Known::pinned(&server)).unwrap();
        site.check();
        let asked = server.requests();
        prop_assert_eq!(asked.len(), 2);
        prop_assert_eq!(asked[1].from, Some(cut));
        prop_assert_eq!(asked[1].if_range.as_deref(), etag);
    }

    #[test]
    fn a_run_cut_at_any_byte_is_taken_up_by_the_next(cut in 1_usize..100_002) {
        let (body, healed) = (content(), Arc::new(AtomicBool::new(false)));
        let well = healed.clone();
        let server = Server::start(move |number, request| match number {
            0 => Answer::file(request, &body, Some("\"1\"")).cut(cut),
            _ if well.load(Ordering::SeqCst) => Answer::file(request, &body, Some("\"1\"")),
            _ => Answer::status(503),
        });
        let (site, known) = (Site::new(), Known::pinned(&server));
        let failed = reasons(site.pull(&known).unwrap_err());
        prop_assert!(matches!(failed[..], [FetchError::Status(503)]), "{failed:?}");
        site.check_nothing();
        healed.store(true, Ordering::SeqCst);
        site.pull(&known).unwrap();
        site.check();
        prop_assert_eq!(server.requests()[2].from, Some(cut));
    }
}

#[test]
fn a_server_that_ignores_ranges_starts_anew() {
    let body = content();
    let server = Server::start(move |number, _| {
        let answer = Answer::whole(&body);
        if number == 0 { answer.cut(5_000) } else { answer }
    });
    let site = Site::new();
    site.pull(&Known::pinned(&server)).unwrap();
    site.check();
    assert_eq!(server.requests()[1].from, Some(5_000));
}

#[test]
fn a_server_that_answers_with_another_part_is_asked_for_all() {
    let body = content();
    let server = Server::start(move |number, request| match number {
        0 => Answer::whole(&body).cut(5_000),
        1 => Answer::file(request, &body, None).header("Content-Range", "bytes 4999-100002/100003"),
        _ => Answer::file(request, &body, None),
    });
    let site = Site::new();
    site.pull(&Known::pinned(&server)).unwrap();
    site.check();
    assert_eq!(server.requests().iter().map(|request| request.from).collect::<Vec<_>>(), [None, Some(5_000), None]);
}

#[test]
fn pieces_of_two_versions_are_not_put_together() {
    let (old, new) = (vec![7; 100_003], content());
    let server = Server::start(move |number, request| match number {
        0 => Answer::file(request, &old, Some("\"old\"")).cut(5_000),
        _ => Answer::file(request, &new, Some("\"new\"")),
    });
    let site = Site::new();
    site.pull(&Known::pinned(&server)).unwrap();
    site.check();
    assert_eq!(server.requests().len(), 2, "the changed file came whole with the second answer");
}

#[test]
fn a_wrong_first_piece_costs_one_more_download_and_no_more() {
    let (server, site) = (good(), Site::new());
    let known = Known::pinned(&server);
    fs::create_dir(site.stage()).unwrap();
    fs::write(site.stage().join(format!("{FILE}.part")), [9; 1_000]).unwrap();
    site.pull(&known).unwrap();
    site.check();
    assert_eq!(server.requests().iter().map(|request| request.from).collect::<Vec<_>>(), [Some(1_000), None]);
}

#[test]
fn another_file_is_refused_and_what_was_there_stays() {
    let (server, site) = (good(), Site::new());
    site.pull(&Known::pinned(&server)).unwrap();
    let wrong = Server::start(|_, _| Answer::whole(&vec![1; 100_003]));
    let known = Known { sha256: Some(Digest::of_bytes(b"another")), ..Known::pinned(&wrong) };
    let failed = reasons(site.pull(&known).unwrap_err());
    assert!(matches!(failed[..], [FetchError::OtherHash { .. }]), "{failed:?}");
    assert_eq!(wrong.requests().len(), 1);
    assert_eq!(fs::read(site.pack().join(FILE)).unwrap(), content());
    Pack::open(&site.pack()).unwrap();
}

#[test]
fn a_server_cannot_fill_the_disk() {
    let site = Site::new();
    let body = [content(), content()].concat();
    let unmeasured = body.clone();
    for (server, expected) in [
        (Server::start(move |_, _| Answer::unmeasured(&unmeasured)), "it sends more than 100003 bytes"),
        (Server::start(move |_, _| Answer::whole(&body)), "it offers 200006 bytes"),
    ] {
        let failed = reasons(site.pull(&Known::pinned(&server)).unwrap_err());
        assert!(failed[0].to_string().starts_with(expected), "{failed:?}");
        site.check_nothing();
        assert!(!site.stage().exists(), "what was refused is left on the disk");
    }
}

#[test]
fn a_file_that_is_too_short_is_not_taken() {
    let body = content();
    let server = Server::start(move |_, _| Answer::unmeasured(&body[..60_000]));
    let site = Site::new();
    let failed = reasons(site.pull(&Known::pinned(&server)).unwrap_err());
    assert!(matches!(failed[..], [FetchError::Short { bytes: 60_000, expected: Some(100_003) }]), "{failed:?}");
    site.check_nothing();
}

#[test]
fn a_missing_file_says_which_server_said_what() {
    let (one, two) = (Server::start(|_, _| Answer::status(404)), Server::start(|_, _| Answer::status(403)));
    let site = Site::new();
    let urls = vec![one.url("/reader.onnx"), two.url("/x")];
    let text = site.pull(&Known { urls, ..Known::pinned(&one) }).unwrap_err().to_string();
    assert!(text.contains(&format!("{}: the server answered 404 Not Found", one.url("/reader.onnx"))), "{text}");
    assert!(text.contains(&format!("{}: the server answered 403 Forbidden", two.url("/x"))), "{text}");
}

#[test]
fn an_unreachable_server_is_called_that() {
    let gone = Server::start(|_, _| Answer::status(404)).url("/reader.onnx");
    let site = Site::new();
    let known = Known { urls: vec![gone], bytes: None, sha256: Some(digest()) };
    let text = site.pull(&known).unwrap_err().to_string();
    assert!(text.contains("no connection"), "{text}");
}

#[test]
fn redirections_are_followed_but_not_in_circles_nor_to_files() {
    let body = content();
    let server = Server::start(move |_, request| match request.path.as_str() {
        "/reader.onnx" => Answer::to("/elsewhere"),
        "/elsewhere" => Answer::file(request, &body, None),
        "/file" => Answer::to("file:///etc/passwd"),
        "/ftp" => Answer::to("ftp://127.0.0.1/reader.onnx"),
        _ => Answer::to("/circle"),
    });
    let site = Site::new();
    site.pull(&Known::pinned(&server)).unwrap();
    site.check();
    for (path, reason) in [
        ("/circle", "more than 5 redirections in a row"),
        ("/ftp", "a redirection to ftp://127.0.0.1/reader.onnx, which is not https"),
        ("/file", "the server answered 302 Found"),
    ] {
        let site = Site::new();
        let failed = reasons(site.pull(&Known { urls: vec![server.url(path)], ..Known::pinned(&server) }).unwrap_err());
        assert_eq!(failed.iter().map(FetchError::to_string).collect::<Vec<_>>(), [reason]);
        site.check_nothing();
    }
}

#[test]
fn a_silent_server_is_given_up_and_the_next_one_goes_on_where_it_stopped() {
    let (first, body) = (content(), content());
    let silent = Server::start(move |number, request| match number {
        0 => Answer::file(request, &first, None).cut(5_000).silent(),
        _ => Answer::status(503).silent(),
    });
    let next = Server::start(move |_, request| Answer::file(request, &body, None));
    let mut site = Site::new();
    site.options.timeout = Duration::from_millis(250);
    let urls = vec![silent.url("/a"), next.url("/b")];
    let installed = site.pull(&Known { urls, ..Known::pinned(&next) }).unwrap();
    site.check();
    assert_eq!(installed.files[0].origin, Origin::Address(next.url("/b")));
    assert_eq!(next.requests()[0].from, Some(5_000));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let silent = Server::start(|_, _| Answer::unmeasured(&[]).silent());
    let mut site = Site::new();
    site.options.timeout = Duration::from_millis(250);
    let failed = reasons(site.pull(&Known::pinned(&silent)).unwrap_err());
    assert!(matches!(failed[..], [FetchError::Silent { .. }]), "{failed:?}");
    assert_eq!(failed[0].to_string(), "nothing came for 0.25 s");
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
fn pieces_nobody_can_vouch_for_are_thrown_away() {
    let body = content();
    let server = Server::start(move |number, request| {
        let answer = Answer::file(request, &body, None);
        if number == 0 { answer.cut(5_000) } else { answer }
    });
    let mut site = Site::new();
    site.options.mirror = Some(server.url("/").parse().unwrap());
    site.options.trust_first_download = true;
    site.pull(&Known { urls: vec!["https://127.0.0.1:1/a".into()], bytes: None, sha256: None }).unwrap();
    site.check();
    assert_eq!(server.requests().iter().map(|request| request.from).collect::<Vec<_>>(), [None, None]);
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
fn a_full_disk_is_said_and_no_other_server_is_bothered() {
    let (server, site) = (good(), Site::new());
    fs::create_dir(site.stage()).unwrap();
    symlink("/dev/full", site.stage().join(format!("{FILE}.part"))).unwrap();
    let urls = vec![server.url("/a"), server.url("/b")];
    let error = site.pull(&Known { urls, ..Known::pinned(&server) }).unwrap_err();
    assert!(matches!(error, PullError::Stage(StageError::Io { .. })), "{error}");
    assert!(error.to_string().contains("it is full"), "{error}");
    assert!(server.requests().len() <= 1);
    site.check_nothing();
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
