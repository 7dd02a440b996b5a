use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::future::{join, join_all};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Storage, StorageError, Transaction};
use super::{site, sites};
use crate::testing::{Scratch, memory_keys, scratch_storage};

/// Why an operation of these tests fails of its own accord.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("on purpose")]
    OnPurpose,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps the storage thread busy until the sender is used, so that what is asked for meanwhile waits together.
fn busy(storage: &Storage) -> (mpsc::Sender<()>, impl Future<Output = Result<(), StorageError>>) {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let storage = storage.clone();
    let held = async move {
        storage
            .read(move |_| {
                let _ = wait.lock().unwrap().recv();
                Ok(())
            })
            .await
    };
    (go, held)
}

/// Sends operations one by one to a storage that is busy, and lets it go on when all of them wait.
async fn together<T>(storage: &Storage, work: Vec<impl Future<Output = T>>) -> Vec<T> {
    let (go, held) = busy(storage);
    let mut held = std::pin::pin!(held);
    assert!(futures_util::poll!(held.as_mut()).is_pending());
    let mut all = std::pin::pin!(join_all(work));
    assert!(futures_util::poll!(all.as_mut()).is_pending());
    go.send(()).unwrap();
    let (held, all) = join(held, all).await;
    held.unwrap();
    all
}

#[tokio::test]
async fn of_writes_that_wait_together_one_that_fails_is_undone_alone() {
    let storage = scratch_storage();
    let work = (0..40).map(|number| {
        storage.write(move |tx| {
            site(tx, &format!("house-{number:02}"))?;
            if number % 4 == 1 { Err(Refused::OnPurpose) } else { Ok(()) }
        })
    });
    let answers = together(&storage, work.collect()).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(matches!(answer, Err(Refused::OnPurpose)), number % 4 == 1, "{number}: {answer:?}");
    }
    let kept: Vec<String> =
        (0..40).filter(|number| number % 4 != 1).map(|number| format!("house-{number:02}")).collect();
    assert_eq!(sites(&storage).await, kept);
}

#[tokio::test]
async fn one_that_the_database_refuses_is_undone_alone_even_if_it_makes_light_of_it() {
    let storage = scratch_storage();
    let twice = |careless: bool| {
        move |tx: &Transaction<'_>| {
            site(tx, &format!("twice-{careless}"))?;
            let again = site(tx, &format!("twice-{careless}"));
            if careless { Ok(()) } else { again }
        }
    };
    let (before, careful) = (storage.write(|tx| site(tx, "before")), storage.write(twice(false)));
    let (careless, after) = (storage.write(twice(true)), storage.write(|tx| site(tx, "after")));
    let all: Vec<std::pin::Pin<Box<dyn Future<Output = _>>>> =
        vec![Box::pin(before), Box::pin(careful), Box::pin(careless), Box::pin(after)];
    let answers: Vec<bool> = together(&storage, all).await.iter().map(Result::is_ok).collect();
    assert_eq!(answers, [true, false, false, true]);
    assert_eq!(sites(&storage).await, ["after", "before"]);
    assert!(storage.write(twice(true)).await.is_err(), "alone as well");
    assert_eq!(sites(&storage).await, ["after", "before"]);
}

#[tokio::test]
async fn they_share_a_transaction_and_nobody_is_answered_before_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(&folder.path().join("cloud.db"), memory_keys()).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let work = (0..20).map(|number| {
        let (seen, path) = (seen.clone(), folder.path().join("cloud.db"));
        storage.write(move |tx| {
            site(tx, &format!("house-{number:02}"))?;
            let mine: i64 = tx.query_row("SELECT count(*) FROM sites", [], |row| row.get(0))?;
            assert_eq!(mine, number + 1);
            // A stranger sees nothing of the ones before.
            let stranger = rusqlite::Connection::open(&path)?;
            let theirs: i64 = stranger.query_row("SELECT count(*) FROM sites", [], |row| row.get(0))?;
            seen.fetch_add(usize::try_from(theirs).unwrap_or(usize::MAX), Ordering::Relaxed);
            Ok::<_, StorageError>(())
        })
    });
    let answers = together(&storage, work.collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(seen.load(Ordering::Relaxed), 0, "each saw the database as it was before all of them");
    assert_eq!(sites(&storage).await.len(), 20);
}

#[tokio::test]
async fn more_than_a_group_of_writers_at_once_are_all_answered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Scratch::in_folder(folder.path()).storage;
    storage.write(|tx| site(tx, "house-1")).await.unwrap();
    let next = "UPDATE sites SET revision = revision + 1 WHERE site_id = 'house-1' RETURNING revision";
    let work = (0..600).map(|_| storage.write(move |tx| tx.query_row(next, [], |row| row.get::<i64>(0))));
    let answers: Vec<i64> = together(&storage, work.collect()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (1..=600).collect::<Vec<_>>());
}

#[tokio::test]
async fn while_another_program_holds_the_database_all_who_wait_are_told_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.db");
    let storage = Storage::open(&path, memory_keys()).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let work = ["house-1", "house-2"].map(|id| storage.write(move |tx| site(tx, id)));
    let answers = together(&storage, work.into()).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(StorageError::Busy))), "{answers:?}");
    other.execute_batch("COMMIT").unwrap();
    storage.write(|tx| site(tx, "house-3")).await.unwrap();
    assert_eq!(sites(&storage).await, ["house-3"]);
}

/// What an operation of the property does with one of a few sites.
#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u8),
    Delete(u8),
    /// Deletes, and then thinks better of it.
    Withdraw(u8),
    /// Inserts twice, which the database refuses.
    Twice(u8),
}

fn carry_out(tx: &Transaction<'_>, step: Step) -> Result<usize, Refused> {
    let delete = |id: u8| tx.execute("DELETE FROM sites WHERE site_id = ?1", [id.to_string()]);
    match step {
        Step::Insert(id) => {
            site(tx, &id.to_string())?;
            Ok(1)
        }
        Step::Delete(id) => Ok(delete(id)?),
        Step::Withdraw(id) => {
            delete(id)?;
            Err(Refused::OnPurpose)
        }
        Step::Twice(id) => {
            delete(id)?;
            site(tx, &id.to_string())?;
            Ok(site(tx, &id.to_string()).map(|()| 2)?)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn together_or_one_by_one_the_answers_and_the_rows_are_the_same(
        steps in vec(prop_oneof![
            (0..4_u8).prop_map(Step::Insert),
            (0..4_u8).prop_map(Step::Delete),
            (0..4_u8).prop_map(Step::Withdraw),
            (0..4_u8).prop_map(Step::Twice),
        ], 1..20)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (grouped, single) = runtime.block_on(async {
            let (storage, other) = (Storage::in_memory(memory_keys()).unwrap(), Storage::in_memory(memory_keys()).unwrap());
            let work = steps.iter().map(|step| { let step = *step; storage.write(move |tx| carry_out(tx, step)) });
            let told = |answer: Result<usize, Refused>| answer.map_err(|refused| refused.to_string());
            let grouped: Vec<_> = together(&storage, work.collect()).await.into_iter().map(told).collect();
            let mut single = Vec::new();
            for step in steps.clone() {
                single.push(told(other.write(move |tx| carry_out(tx, step)).await));
            }
            ((grouped, sites(&storage).await), (single, sites(&other).await))
        });
        prop_assert_eq!(grouped, single);
    }
}
