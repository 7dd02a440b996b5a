//! Fetches what the store holds whenever it changes, so that the access task need not wait for the disk.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::seam::HoldingsVersion;
use crate::store::{Held, Store, StoreError};

/// Loads each new version and hands it to the access task, until `cancel` or until the store fails: then nothing can be
/// trusted to be current, and the controller has to start anew.
pub(crate) async fn follow(
    store: Store,
    mut versions: watch::Receiver<HoldingsVersion>,
    loaded: mpsc::Sender<Held>,
    cancel: CancellationToken,
) -> Result<(), StoreError> {
    versions.mark_changed();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            changed = versions.changed() => if changed.is_err() { return Ok(()) },
        }
        versions.borrow_and_update();
        let held = store.held().await?;
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            sent = loaded.send(held) => if sent.is_err() { return Ok(()) },
        }
    }
}
