//! The storage thread: what waits in the queue, and how it is carried out. In a simulation a task of the runtime does the same.
//!
//! **Group commit.** Making a change last costs a wait for the disk, whatever its size. So all writes that wait share one
//! transaction, each within a savepoint of its own: one that fails is undone alone, and nobody is answered before the whole
//! is on the disk. A lone write is not held up to wait for company.
//!
//! **Again.** An operation is a function of the transaction and may run more than once: only the last run counts. When a
//! group cannot be committed, each of its operations is tried on its own; when the connection was lost before the commit was
//! asked for, or another program was in the way, it is tried again. Where the commit itself was lost nobody can know, and
//! the caller is told so ([`StorageError::Unsettled`]).

use tokio::sync::{mpsc, oneshot};

use super::Pace;
use super::StorageError;
use super::engine::{Access, Engine, Sqlite, Transaction};
use super::subject_keys::KeyStore;

/// Writes that share a transaction. More of them hardly save anything, and the first waits for the last.
const GROUP: usize = 256;
/// How often an operation is tried before its caller is told.
const TRIES: u32 = 5;

/// Something that waits for the storage thread.
pub(super) enum Message {
    /// An operation, alone in its transaction or in a group.
    Run(Access, Box<dyn Job>),
    /// [`Engine::scrub`], and the key store's.
    Scrub(oneshot::Sender<Result<(), StorageError>>),
}

/// An operation and whoever waits for it.
pub(super) trait Job: Send {
    /// Runs it; its result is kept until it is known to last. Answers whether it is to last.
    fn run(&mut self, tx: &Transaction<'_>) -> bool;
    /// Says what became of it. A refusal of its own stays one, whatever became of the transaction.
    fn answer(self: Box<Self>, settled: Result<(), StorageError>);
}

/// An operation as [`super::Storage`] takes it.
pub(super) struct Operation<W, T, E> {
    work: W,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<W, T, E> Operation<W, T, E> {
    pub(super) fn new(work: W, reply: oneshot::Sender<Result<T, E>>) -> Self {
        Self { work, result: None, reply }
    }
}

impl<W, T, E> Job for Operation<W, T, E>
where
    W: Fn(&Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn run(&mut self, tx: &Transaction<'_>) -> bool {
        let result = (self.work)(tx);
        let lasts = result.is_ok();
        self.result = Some(result);
        lasts
    }

    fn answer(self: Box<Self>, settled: Result<(), StorageError>) {
        let answer = match (settled, self.result) {
            (Ok(()), Some(result)) => result,
            (Err(_), Some(Err(own))) => Err(own),
            (Err(error), _) => Err(error.into()),
            (Ok(()), None) => Err(StorageError::Closed.into()),
        };
        // Nobody may be waiting any more; the work is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// Carries out what comes, until nobody can send any more: on a thread of its own.
pub(super) fn serve(engine: &dyn Engine, keys: &KeyStore, queue: &mut mpsc::UnboundedReceiver<Message>) {
    while let Some(first) = queue.blocking_recv() {
        carry_out_waiting(engine, keys, first, queue);
    }
}

/// The same as a task, at a disk whose pace is given.
pub(super) async fn serve_paced(
    engine: Sqlite,
    keys: KeyStore,
    mut queue: mpsc::UnboundedReceiver<Message>,
    mut pace: Pace,
) {
    while let Some(first) = queue.recv().await {
        let takes = pace();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        carry_out_waiting(&engine, &keys, first, &mut queue);
    }
}

/// Carries out `first` and all that waits with it.
fn carry_out_waiting(
    engine: &dyn Engine,
    keys: &KeyStore,
    first: Message,
    queue: &mut mpsc::UnboundedReceiver<Message>,
) {
    let (mut writes, mut reads, mut scrubs) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Run(Access::Write, job) => writes.push(job),
            Message::Run(Access::Read, job) => reads.push(job),
            Message::Scrub(reply) => scrubs.push(reply),
        }
        next = if writes.len() < GROUP { queue.try_recv().ok() } else { None };
    }
    carry_out(engine, keys, Access::Write, writes);
    for read in reads {
        carry_out(engine, keys, Access::Read, vec![read]);
    }
    if !scrubs.is_empty() {
        // One does for all that were waiting: what they deleted is committed.
        let done = again(engine, || engine.scrub().and_then(|()| keys.scrub()));
        for reply in scrubs {
            let _ = reply.send(done.clone());
        }
    }
}

/// Carries out operations in one transaction, or each in its own if that cannot be.
fn carry_out(engine: &dyn Engine, keys: &KeyStore, access: Access, mut jobs: Vec<Box<dyn Job>>) {
    if jobs.is_empty() {
        return;
    }
    let settled = again(engine, || attempt(engine, keys, access, &mut jobs));
    // Each alone would meet the same, one wait after the other.
    let hopeless = matches!(settled, Err(StorageError::Unsettled | StorageError::Connect { .. } | StorageError::Busy));
    if settled.is_err() && !hopeless && jobs.len() > 1 {
        for job in jobs {
            carry_out(engine, keys, access, vec![job]);
        }
        return;
    }
    for job in jobs {
        job.answer(settled.clone());
    }
}

/// Tries until it is done, or refused for a reason that stays.
fn again(engine: &dyn Engine, mut attempt: impl FnMut() -> Result<(), StorageError>) -> Result<(), StorageError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let result = attempt();
        match &result {
            Err(StorageError::Lost) if tries < TRIES => engine.reconnect()?,
            Err(StorageError::Conflict) if tries < TRIES => {}
            _ => return result,
        }
    }
}

/// One transaction. When this is an error, nothing of it lasts.
fn attempt(
    engine: &dyn Engine,
    keys: &KeyStore,
    access: Access,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), StorageError> {
    let done = engine.begin(access).and_then(|()| {
        let tx = Transaction::new(engine, keys);
        let together = jobs.len() > 1;
        // What was kept is released with the next savepoint, which saves a round trip; a commit releases the last.
        let mut savepoint = "SAVEPOINT operation";
        for job in jobs {
            if together {
                engine.batch(savepoint)?;
                savepoint = "RELEASE SAVEPOINT operation; SAVEPOINT operation";
            }
            let lasts = job.run(&tx);
            match tx.take_fault() {
                // The operation must not go on as if nothing were: whoever ignores a refusal is refused.
                Some(fault) if lasts || fault.ends_transaction() || !engine.in_transaction() => return Err(fault),
                _ if lasts => {}
                _ if together => engine.batch("ROLLBACK TO SAVEPOINT operation")?,
                _ => {
                    engine.rollback();
                    return Ok(());
                }
            }
        }
        engine.commit()
    });
    if done.is_err() {
        engine.rollback();
    }
    done
}
