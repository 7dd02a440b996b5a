//! What is left of an erased resident, with the real programs: nothing in any file, nothing in memory, and no core dump.
//! `make forensics` does the first with a thousand residents.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::process::ExitStatusExt as _;

use cardea_tests::site::process::Process;
use cardea_tests::site::{Site, Tempo};
use cardea_tests::story::PASSWORD;
use cardea_tests::{forensics, site};

/// Half of them come and go while programs are killed.
const RESIDENTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_resident_is_left_in_files_or_memory() {
    site::prepare().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let findings = forensics::examine(&folder.path().join("examined"), RESIDENTS, 20).await.unwrap();
    assert_eq!((findings.erased, findings.locked), (RESIDENTS, RESIDENTS / 2), "{findings:?}");
    assert!(findings.kills > 0 && findings.pieces > 1_000, "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_either_program_leaves_no_dump_of_its_memory() {
    site::prepare().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut other = Process::of("/bin/sleep".as_ref(), here, &["60"], false).unwrap();
    if !other.quit().await.unwrap().core_dumped() {
        // Nothing is shown where nobody's memory is dumped.
        return;
    }
    let (mut site, _, _) = Site::start_claimed(&here.join("site"), Tempo::DEMO, site::now(), PASSWORD).await.unwrap();
    let controller = site.controller().unwrap().quit().await.unwrap();
    let cloud = site.cloud().quit().await.unwrap();
    for ended in [controller, cloud] {
        assert_eq!(ended.signal(), Some(3), "it ended otherwise: {ended}");
        assert!(!ended.core_dumped());
    }
}
