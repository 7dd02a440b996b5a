//! The program's tasks by name. None of them ends before the program does; one that does, ends the program.

use std::collections::HashMap;
use std::fmt::Display;

use tokio::task::{Id, JoinSet};

/// Running tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: HashMap<Id, String>,
}

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub task: String,
    /// What was wrong; `None` if it ended in order.
    pub fault: Option<String>,
}

impl Tasks {
    /// Starts `work` under `name`.
    pub fn spawn<E: Display>(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.set.spawn(async move { work.await.map_err(|error| error.to_string()) });
        self.names.insert(handle.id(), name.into());
    }

    /// Starts `work`, which cannot fail, under `name`.
    pub fn spawn_infallible(&mut self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, async move {
            work.await;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Waits for the next task to end; `None` when there is none left.
    pub async fn next(&mut self) -> Option<Ended> {
        let (id, fault) = match self.set.join_next_with_id().await? {
            Ok((id, result)) => (id, result.err()),
            // The message of a panic has been printed where it happened.
            Err(error) => {
                (error.id(), Some(if error.is_panic() { "it panicked" } else { "it was aborted" }.to_owned()))
            }
        };
        Some(Ended { task: self.names.remove(&id).unwrap_or_default(), fault })
    }

    /// The names of those that still run.
    pub fn names(&self) -> Vec<&str> {
        self.names.values().map(String::as_str).collect()
    }

    /// Ends all tasks where they stand.
    pub async fn abort(&mut self) {
        self.set.shutdown().await;
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_end_has_a_name_and_a_fault_if_there_was_one() {
        let mut tasks = Tasks::default();
        tasks.spawn_infallible("panics", async { panic!("on purpose") });
        assert_eq!(tasks.next().await, Some(Ended { task: "panics".into(), fault: Some("it panicked".into()) }));
        tasks.spawn("fails", async { Err("no disk") });
        assert_eq!(tasks.next().await, Some(Ended { task: "fails".into(), fault: Some("no disk".into()) }));
        tasks.spawn_infallible("ends", async {});
        assert_eq!(tasks.next().await, Some(Ended { task: "ends".into(), fault: None }));
        assert_eq!(tasks.next().await, None);
        tasks.spawn_infallible("stays", std::future::pending());
        assert_eq!(tasks.names(), ["stays"]);
        tasks.abort().await;
        assert!(tasks.names().is_empty());
    }
}
