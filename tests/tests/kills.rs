//! `kill -9` of both sides at random moments. `make kills` does it a thousand times.

#![allow(clippy::unwrap_used, reason = "tests")]

use cardea_tests::kills::Extent;
use cardea_tests::{kills, site};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_committed_is_lost_and_nothing_erased_returns_whoever_is_killed() {
    site::prepare().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let extent = Extent { kills: 15, events: 1_000, within_ms: 1_500, seed: 7 };
    let figures = kills::run(&folder.path().join("killed"), extent).await.unwrap();
    assert!(figures.cloud > 0 && figures.controller > 0 && figures.events >= 1_000, "{figures:?}");
    assert!(figures.plates > 0 && figures.erased > 0, "{figures:?}");
}
