//! A small fleet: everybody comes into session, hears of every change, and answers for every erasure. How fast, `make fleet` says.

#![allow(clippy::unwrap_used, reason = "tests")]

use cardea_tests::fleet::trial::{Extent, run};
use cardea_tests::site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_follows_and_answers() {
    site::prepare().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let extent = Extent { controllers: 8, plates: 3, withdrawals: 2, state: Some(folder.path().join("fleet")) };
    let report = run(&folder.path().join("site"), &extent).await.unwrap();
    assert_eq!(report.controllers, 8);
    for times in [report.storm, report.answer, report.denial, report.last_denial, report.receipt, report.last_receipt] {
        assert!(times.p50 > 0.0 && times.p50 <= times.p99 && times.p99 <= times.most, "{times:?}");
    }
    assert!(report.denial.most <= report.last_denial.most && report.cloud_mib > 0.0);
    assert_eq!(report.table().len(), 8);
}
