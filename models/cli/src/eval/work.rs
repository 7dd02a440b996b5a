//! Many pictures on several threads, with a line about it every few seconds. Results come in the order of the pictures,
//! whichever thread was faster.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Says on standard error how far a long piece of work is.
pub(crate) struct Progress {
    what: String,
    total: usize,
    done: AtomicUsize,
    said: Mutex<Instant>,
    started: Instant,
}

impl Progress {
    /// `total` steps of `what` begin.
    pub(crate) fn new(what: impl Into<String>, total: usize) -> Self {
        let started = now();
        Self { what: what.into(), total, done: AtomicUsize::new(0), said: Mutex::new(started), started }
    }

    /// One step is done.
    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        if now.duration_since(*said) >= EVERY {
            *said = now;
            let left = now.duration_since(self.started).as_secs_f64() / done as f64 * (self.total - done) as f64;
            // progress nobody can see is no reason to stop
            let _ = writeln!(io::stderr(), "{}: {done} of {}, about {left:.0} s left", self.what, self.total);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "for progress lines; no result depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Does `job` with each of `items` on `threads` threads, each with a state that `start` makes. The first error ends it.
pub(crate) fn spread<T: Sync, S, R: Send, E: Send>(
    items: &[T],
    threads: usize,
    progress: &Progress,
    start: impl Fn() -> Result<S, E> + Sync,
    job: impl Fn(&mut S, usize, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Result<Vec<(usize, R)>, E>> = Mutex::new(Ok(Vec::with_capacity(items.len())));
    let work = || {
        let outcome = start().and_then(|mut state| {
            let mut found = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return Ok(found) };
                found.push((index, job(&mut state, index, item)?));
                progress.step();
            }
        });
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        match (outcome, results.as_mut()) {
            (Ok(found), Ok(all)) => all.extend(found),
            (Err(error), Ok(_)) => {
                next.store(items.len(), Ordering::Relaxed);
                *results = Err(error);
            }
            (_, Err(_)) => {}
        }
    };
    thread::scope(|scope| {
        let helpers = threads.min(items.len()).saturating_sub(1);
        for _ in 0..helpers {
            scope.spawn(work);
        }
        work();
    });
    let mut all = results.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_an_error_ends_it() {
        let items: Vec<u32> = (0..200).collect();
        let double = |count: &mut u32, index: usize, item: &u32| {
            *count += 1;
            if *item == 150 && index == 150 { Err(format!("{item}")) } else { Ok(item * 2) }
        };
        let run =
            |items: &[u32], threads| spread(items, threads, &Progress::new("test", items.len()), || Ok(0), double);
        assert_eq!(run(&items[..150], 3), Ok((0..150).map(|i| i * 2).collect()));
        assert_eq!(run(&items, 3), Err("150".into()));
        assert_eq!(run(&[], 3), Ok(Vec::new()));
        let start = || Err::<u32, String>("no pack".into());
        assert_eq!(spread(&items, 2, &Progress::new("test", 200), start, double), Err("no pack".into()));
    }
}
