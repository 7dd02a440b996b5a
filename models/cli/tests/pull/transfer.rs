//! How bytes come: cut, resumed, refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cardea_models::Pack;
use cardea_models_cli::pull::{Digest, FetchError, Origin, PullError, StageError};
use proptest::prelude::*;

use super::support::{Answer, Server};
use super::{FILE, Known, Site, content, digest, good, reasons};

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
