//! What only a server can do to us: it ends sessions, goes away, and lets others in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cardea_protocol::id::{PlateId, SiteId};
use cardea_protocol::message::PlateEntry;
use futures_util::future::join_all;

use super::super::{PostgresSettings, Storage, StorageError};
use super::{site, sites};
use crate::listener::read_certificates;
use crate::storage::plates::store;
use crate::testing::postgres::{Database, PASSWORD, database};
use crate::testing::{START, memory_keys};

const END_OUR_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '{}' AND application_name = 'cardea-cloud'";

/// A database and a cloud on it.
fn started() -> Option<(Database, Storage)> {
    let database = database()?;
    let storage = Storage::connect(database.settings(), memory_keys()).unwrap();
    Some((database, storage))
}

#[tokio::test]
async fn a_session_that_was_ended_between_two_operations_is_not_noticed() {
    let Some((database, storage)) = started() else { return };
    storage.write(|tx| site(tx, "before")).await.unwrap();
    assert_eq!(database.administer(END_OUR_SESSIONS).len(), 1);
    storage.write(|tx| site(tx, "written")).await.unwrap();
    database.administer(END_OUR_SESSIONS);
    assert_eq!(sites(&storage).await, ["before", "written"]);
    database.administer(END_OUR_SESSIONS);
    storage.scrub().await.unwrap();
}

#[tokio::test]
async fn an_operation_whose_session_ends_under_it_is_done_again_from_the_start() {
    let Some((_database, storage)) = started() else { return };
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    let write = storage.write(move |tx| {
        site(tx, "house-1")?;
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            tx.query("SELECT pg_terminate_backend(pg_backend_pid())", [], |_| Ok(()))?;
        }
        Ok::<_, StorageError>(())
    });
    write.await.unwrap();
    assert_eq!((tries.load(Ordering::Relaxed), sites(&storage).await), (2, vec!["house-1".to_owned()]));
}

#[tokio::test]
async fn while_nobody_is_let_in_callers_are_told_so_and_afterwards_it_goes_on() {
    let Some((database, storage)) = started() else { return };
    database.administer("ALTER DATABASE {} ALLOW_CONNECTIONS false");
    database.administer(END_OUR_SESSIONS);
    let refused = storage.write(|tx| site(tx, "house-1")).await.unwrap_err();
    assert!(matches!(refused, StorageError::Connect { .. }) && refused.is_passing(), "{refused:?}");
    assert!(refused.to_string().contains("cannot be reached"), "{refused}");
    assert!(storage.read(|tx| tx.query("SELECT 1", [], |_| Ok(()))).await.is_err());
    database.administer("ALTER DATABASE {} ALLOW_CONNECTIONS true");
    storage.write(|tx| site(tx, "house-2")).await.unwrap();
    assert_eq!(sites(&storage).await, ["house-2"]);
}

#[tokio::test]
async fn a_conflict_with_another_program_is_tried_again_and_in_the_end_told() {
    let Some((_database, storage)) = started() else { return };
    for (conflicts, succeeds) in [(1, true), (4, true), (5, false)] {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = tries.clone();
        let write = storage.write(move |tx| {
            if counted.fetch_add(1, Ordering::Relaxed) < conflicts {
                tx.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$", [])?;
            }
            site(tx, &format!("house-{conflicts}"))
        });
        let answer = write.await;
        assert_eq!(answer.is_ok(), succeeds, "{answer:?}");
        assert_eq!(tries.load(Ordering::Relaxed), if succeeds { conflicts + 1 } else { conflicts });
        if let Err(error) = answer {
            assert!(matches!(error, StorageError::Conflict));
        }
    }
    assert_eq!(sites(&storage).await, ["house-1", "house-4"]);
}

#[tokio::test]
async fn two_clouds_on_one_database_lose_nothing_of_each_other() {
    let Some((database, first)) = started() else { return };
    let second = Storage::connect(database.settings(), memory_keys()).unwrap();
    first.write(|tx| site(tx, "house-1")).await.unwrap();
    // Reads, then writes what it has read: two at once would both write the same.
    let next = |tx: &crate::storage::engine::Transaction<'_>| {
        let revision: i64 = tx.query_row("SELECT revision FROM sites", [], |row| row.get(0))?;
        tx.execute("UPDATE sites SET revision = ?1", [revision + 1])?;
        Ok::<_, StorageError>(revision + 1)
    };
    let mut handed_out: Vec<i64> = join_all((0..60).map(|number| {
        let storage = if number % 2 == 0 { &first } else { &second };
        storage.write(next)
    }))
    .await
    .into_iter()
    .map(Result::unwrap)
    .collect();
    handed_out.sort_unstable();
    assert_eq!(handed_out, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_server_refuses_is_told_without_what_was_to_be_stored() {
    let Some((_database, storage)) = started() else { return };
    storage.write(|tx| site(tx, "house-1")).await.unwrap();
    let refused = storage
        .write(|tx| {
            let site = SiteId::new("house-1").unwrap();
            let entry = |id: &str| PlateEntry::new(PlateId::new(id).unwrap(), "A123BC77".to_owned());
            store(tx, &site, &entry("p-1"), START)?;
            store(tx, &site, &entry("p-2"), START)
        })
        .await
        .unwrap_err();
    let told = format!("{refused} {refused:?}");
    assert!(told.contains("23505") && told.contains("plates_site_id_plate_lookup_key"), "{told}");
    assert!(!told.contains("A123BC77"), "{told}");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_corrupt_not_a_panic() {
    let Some((_database, storage)) = started() else { return };
    let number = storage.read(|tx| tx.query_row("SELECT 'text'", [], |row| row.get::<i64>(0))).await;
    assert!(matches!(number, Err(StorageError::Corrupt("number"))));
    let unreadable = storage.read(|tx| tx.query_row("SELECT 1.5::float8", [], |row| row.get::<i64>(0))).await;
    assert!(matches!(unreadable, Err(StorageError::Corrupt("value"))));
}

#[tokio::test]
async fn over_the_network_it_takes_tls_the_right_ca_and_the_password() {
    let Some((database, _storage)) = started() else { return };
    let authorities = read_certificates(&database.certificate_file()).unwrap();
    let connect = |password: &[u8], authorities: &[_]| {
        Storage::connect(
            PostgresSettings::new(&database.network_url(), Some(password), authorities).unwrap(),
            memory_keys(),
        )
    };
    let storage = connect(PASSWORD.as_bytes(), &authorities).unwrap();
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(storage.read(move |tx| tx.query_row(encrypted, [], |row| row.get::<bool>(0))).await.unwrap());

    let refused = connect(b"a guess", &authorities).unwrap_err();
    assert!(refused.to_string().contains("password_file"), "{refused}");
    let mut stranger = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    stranger.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let stranger = stranger.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let refused = connect(PASSWORD.as_bytes(), &[stranger.der().clone()]).unwrap_err();
    assert!(refused.to_string().contains("look at url and ca"), "{refused}");
    assert!(!format!("{refused:?}").contains(PASSWORD));
}

#[tokio::test]
async fn while_a_stranger_sees_what_was_deleted_a_scrub_says_so() {
    let Some((database, storage)) = started() else { return };
    storage.write(|tx| site(tx, "house-1")).await.unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (looked, looking) = tokio::sync::oneshot::channel();
    let url = database.url();
    // As pg_dump does it.
    let stranger = std::thread::spawn(move || {
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM sites").unwrap();
        looked.send(()).unwrap();
        let _ = stopped.recv();
    });
    looking.await.unwrap();
    storage.write(|tx| tx.execute("DELETE FROM sites", [])).await.unwrap();
    assert!(matches!(storage.scrub().await, Err(StorageError::Lingering)));
    drop(stop);
    stranger.join().unwrap();
    storage.scrub().await.unwrap();
}

#[tokio::test]
async fn when_the_line_breaks_during_a_commit_the_caller_is_told_that_nobody_knows() {
    let Some((database, storage)) = started() else { return };
    database.query(
        "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER break AFTER INSERT ON customers DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION break()",
    );
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    let write = storage.write(move |tx| {
        counted.fetch_add(1, Ordering::Relaxed);
        tx.execute("INSERT INTO customers VALUES ('customer-1', 'Test', 0)", [])
    });
    let answer = write.await;
    assert!(matches!(answer, Err(StorageError::Unsettled)), "{answer:?}");
    assert_eq!(tries.load(Ordering::Relaxed), 1, "what may have been done is not done again");
    storage.write(|tx| site(tx, "house-1")).await.unwrap();
}
