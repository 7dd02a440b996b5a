//! The socket of orders: who may open it may lock down, hold open, and say that nobody is inside.
//!
//! ```text
//! cardead posture lockdown --at gate    cardead posture normal --all    cardead passback forget --area garage
//! ```
//!
//! It is there only where the configuration names it, and its authority is the file's: mode 0660, so root and the members of
//! its group. Who ordered is written to the log by user id; the event says `local`. One order is one connection: a line of
//! JSON in, a line of JSON out. An order is carried out at once or refused; none waits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::id::AccessPointId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Listening, LocalError, PostureStatus};
use crate::seam::OrderRequest;

/// How long an order may take to arrive, and to be answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who may order something at the same time.
const CONNECTIONS: usize = 16;
/// No order is longer, in bytes.
const MAX_ORDER: u64 = 4_096;
/// No answer is longer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// What can be ordered at the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LocalOrder {
    /// Lock down, hold open, or end either.
    Posture {
        /// Where; everywhere if absent.
        access_point: Option<AccessPointId>,
        /// What.
        posture: PostureOrder,
    },
    /// Nobody counts as inside any more.
    ForgetInside {
        /// Inside which area; any if absent.
        area: Option<String>,
    },
}

/// A posture that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PostureOrder {
    /// End the order that stands; inputs and hours alone count
    Normal,
    /// Nobody enters, everybody may leave; stays across a restart
    Lockdown,
    /// Hold open; ends with a restart, a lost board or a lockdown
    FreeAccess,
}

/// What became of an order, as the program knows it.
#[derive(Debug)]
pub struct Carried {
    /// The postures after it.
    pub postures: BTreeMap<AccessPointId, PostureStatus>,
    /// How many counted as inside.
    pub forgotten: usize,
    /// Tells whether it is on the disk; `None` if there is nothing to keep.
    pub stored: Option<oneshot::Receiver<bool>>,
}

/// Why an order was not carried out. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// A name that leads nowhere.
    #[error("this controller has no access point of that name: see access_points in cardead status")]
    NoSuchAccessPoint,
    /// A name that leads nowhere.
    #[error("no access point here leads into an area of that name: see [[area]] in the configuration")]
    NoSuchArea,
    /// The equipment cannot open, and would open late.
    #[error("the equipment does not answer, so nothing was done: order it again when it does")]
    Equipment,
    /// A lockdown beats everything.
    #[error(
        "it is locked down, so nothing was done: end the lockdown first, by cardead posture normal or at its button"
    )]
    LockedDown,
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// It is in force.
    Done {
        /// The postures now.
        postures: BTreeMap<AccessPointId, PostureStatus>,
        /// How many counted as inside.
        forgotten: usize,
        /// Whether it is on the disk. If not, a restart undoes it.
        stored: bool,
    },
    /// Nothing was done.
    Refused {
        /// Why, and what to do.
        why: String,
    },
}

/// Takes orders until `cancel` and hands them to the access task. Whoever says nothing keeps nobody else waiting.
pub(crate) async fn take(listening: Listening, orders: mpsc::Sender<OrderRequest>, cancel: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listening.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let orders = orders.clone();
                tokio::spawn(async move {
                    if timeout(2 * PATIENCE, one(stream, &orders)).await.is_err() {
                        tracing::warn!(
                            "whoever wanted to order something did not say what, or did not take the answer"
                        );
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the socket of orders failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn one(stream: UnixStream, orders: &mpsc::Sender<OrderRequest>) {
    let by = stream.peer_cred().map(|peer| peer.uid()).ok();
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(MAX_ORDER));
    if !matches!(timeout(PATIENCE, reading.read_line(&mut line)).await, Ok(Ok(_))) {
        return;
    }
    let answer = match serde_json::from_str::<LocalOrder>(&line) {
        Ok(order) => {
            let answer = carry_out(order.clone(), orders).await;
            tracing::warn!(
                ?order,
                user_id = by,
                done = matches!(answer, Answer::Done { .. }),
                "an order at the controller"
            );
            answer
        }
        Err(_) => Answer::Refused { why: "this is no order that this version understands".to_owned() },
    };
    if let Ok(mut line) = serde_json::to_vec(&answer) {
        line.push(b'\n');
        // Whoever ordered may have gone.
        let _ = writing.write_all(&line).await;
        let _ = writing.shutdown().await;
    }
}

async fn carry_out(order: LocalOrder, orders: &mpsc::Sender<OrderRequest>) -> Answer {
    let refused = |why: String| Answer::Refused { why };
    let (reply, answer) = oneshot::channel();
    if !matches!(timeout(PATIENCE, orders.send(OrderRequest { order, reply })).await, Ok(Ok(()))) {
        return refused("the controller is busy, so nothing was done: order it again".to_owned());
    }
    match timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(carried))) => {
            let stored = match carried.stored {
                Some(stored) => timeout(PATIENCE, stored).await.is_ok_and(|stored| stored == Ok(true)),
                None => true,
            };
            Answer::Done { postures: carried.postures, forgotten: carried.forgotten, stored }
        }
        Ok(Ok(Err(refusal))) => refused(refusal.to_string()),
        // Nobody waits for it any more, so it is not carried out.
        Ok(Err(_)) | Err(_) => {
            refused("the controller did not answer, so nothing was done: see what cardead status says".to_owned())
        }
    }
}

/// Orders something of the program that listens at `path`.
pub async fn order(path: &Path, order: &LocalOrder) -> Result<Answer, LocalError> {
    let silent = |source| LocalError::Silent { path: path.to_owned(), source };
    let foreign = |source| LocalError::Foreign { path: path.to_owned(), source };
    let mut line = serde_json::to_vec(order).map_err(foreign)?;
    line.push(b'\n');
    let asking = async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(&line).await?;
        let mut text = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut text).await?;
        Ok(text)
    };
    let text = timeout(3 * PATIENCE, asking)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(silent)?;
    serde_json::from_slice(&text).map_err(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_connects_and_says_nothing_keeps_no_lockdown_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.sock");
        let (orders, mut taken) = mpsc::channel::<OrderRequest>(1);
        let cancel = CancellationToken::new();
        let server = tokio::spawn(take(Listening::bind(&path).await.unwrap(), orders, cancel.clone()));
        let mut silent = Vec::new();
        for _ in 1..CONNECTIONS {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let task = tokio::spawn(async move {
            let OrderRequest { order, reply } = taken.recv().await.unwrap();
            reply.send(Ok(Carried { postures: BTreeMap::new(), forgotten: 0, stored: None })).unwrap();
            order
        });
        let wanted = LocalOrder::Posture { access_point: None, posture: PostureOrder::Lockdown };
        // Less than a silent one is given.
        let answer = timeout(PATIENCE / 2, order(&path, &wanted)).await.expect("it waits for the silent").unwrap();
        assert_eq!(answer, Answer::Done { postures: BTreeMap::new(), forgotten: 0, stored: true });
        assert_eq!(task.await.unwrap(), wanted);
        cancel.cancel();
        server.await.unwrap();
    }
}
