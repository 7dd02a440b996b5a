//! What outlives a restart: freshness, the clock floor, seen commands.

use super::*;

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let _first = Store::open(&path, options()).unwrap();
    // Within one process POSIX locks do not tell two openers apart; SQLite's own bookkeeping does.
    assert!(matches!(Store::open(&path, options()), Err(StoreError::Sqlite(_))));
}

#[tokio::test]
async fn freshness_counts_only_for_what_is_applied_and_never_goes_back() {
    let site = Site::new();
    let store = Store::in_memory(options()).unwrap();
    changes(&store, &site, 0, vec![Change::Superseded; 3]).await;
    let keep = |revision, at| store.keep_freshness(Revision(revision), Timestamp(at), Monotonic(50));
    assert!(!keep(4, 1_000).await.unwrap(), "not applied yet");
    assert!(keep(3, 1_000).await.unwrap());
    assert!(!keep(3, 999).await.unwrap(), "older");
    let state = store.freshness().borrow().unwrap();
    assert_eq!(
        (state.revision, state.statement_at, state.received),
        (Revision(3), Timestamp(1_000), Some(Monotonic(50)))
    );
    assert_eq!(store.clock_floor(), Timestamp(1_000));
    store.raise_clock_floor(Timestamp(500)).await.unwrap();
    assert_eq!(store.clock_floor(), Timestamp(1_000));
}

#[tokio::test]
async fn freshness_outlives_the_program_but_its_instant_not_the_boot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let store = Store::open(&path, options()).unwrap();
    store.keep_freshness(Revision(0), Timestamp(7_000), Monotonic(50)).await.unwrap();
    store.raise_clock_floor(Timestamp(9_000)).await.unwrap();
    close(store).await;
    let store = Store::open(&path, options()).unwrap();
    assert_eq!(store.freshness().borrow().unwrap().received, Some(Monotonic(50)));
    close(store).await;
    let store = Store::open(&path, StoreOptions { machine_boot: Some("boot-b".to_owned()), ..options() }).unwrap();
    let state = store.freshness().borrow().unwrap();
    assert_eq!((state.statement_at, state.received), (Timestamp(7_000), None));
    assert_eq!(store.clock_floor(), Timestamp(9_000));
}

#[tokio::test]
async fn a_command_is_new_once_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let store = Store::open(&path, options()).unwrap();
    let command = CommandId::new("c-1").unwrap();
    let record = |store: &Store, now: i64| {
        let (store, command) = (store.clone(), command.clone());
        async move { store.record_command(&command, Timestamp(5_000), Timestamp(now)).await.unwrap() }
    };
    assert!(record(&store, 1_000).await);
    assert!(!record(&store, 1_001).await);
    close(store).await;
    let store = Store::open(&path, options()).unwrap();
    assert!(!record(&store, 2_000).await);
    assert!(!record(&store, 5_000 + 23 * 3_600_000).await, "remembered long after it expired");
}
