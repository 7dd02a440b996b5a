//! What every handler shares.

use std::sync::Arc;
use std::time::Duration;

use cardea_access::grammar::Grammars;
use cardea_access::time::Timestamp;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::SiteId;
use url::Url;

use crate::auth::roles::Role;
use crate::auth::{AccessTokens, ExternalIssuers, Throttle};
use crate::config::Config;
use crate::keys::{SigningKey, Vault};
use crate::recognition::Enroller;
use crate::storage::{Storage, StorageError};
use crate::sync::Sync;

/// The running cloud, seen from the API.
pub struct App {
    /// The database.
    pub storage: Storage,
    /// The key file.
    pub vault: Arc<Vault>,
    /// The controllers' sessions.
    pub sync: Sync,
    /// Time.
    pub clock: SharedClock,
    /// The configuration.
    pub config: Config,
    /// Issues and checks access tokens.
    pub tokens: AccessTokens,
    /// Other issuers whose access tokens count.
    pub issuers: ExternalIssuers,
    /// Signs exports, and everything controllers are told.
    pub signing: SigningKey,
    /// Turns photos into templates.
    pub enroller: Arc<dyn Enroller>,
    /// Counts wrong passwords.
    pub throttle: Throttle,
    /// Kinds of plates in use.
    pub grammars: Grammars,
    /// What new controllers are told of this cloud on paper.
    pub desk: ClaimDesk,
}

/// Where controllers are claimed, and by what they know the place.
#[derive(Clone, Debug)]
pub struct ClaimDesk {
    /// The enrolment service.
    pub enrolment_url: Url,
    /// The API.
    pub api_url: Url,
    /// Fingerprint of the Cardea CA.
    pub ca_sha256: [u8; 32],
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// The sessions of a site have read a change within this.
const SCRUB_AFTER: Duration = Duration::from_millis(5);

impl App {
    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Something of the site was taken back: its controllers are told, and then what was deleted is made unreadable, whether the
    /// caller waits for that or not.
    pub async fn taken_back(&self, site: &SiteId) -> Result<(), StorageError> {
        self.sync.changed(site);
        let storage = self.storage.clone();
        let scrubbed = tokio::spawn(async move {
            // The disk is busy with it for as long as with several changes, and so is the storage: whoever is to be told reads first.
            tokio::time::sleep(SCRUB_AFTER).await;
            storage.scrub().await
        });
        scrubbed.await.unwrap_or(Err(StorageError::Closed))
    }

    /// Whether its work can be done: any cheap read tells; there is no account of this name.
    pub async fn is_ready(&self) -> Result<(), StorageError> {
        self.storage.principal(Role::Operator.name()).await.map(drop)
    }
}

/// The application as axum carries it.
#[derive(Clone, Debug)]
pub struct Shared(pub Arc<App>);

impl std::ops::Deref for Shared {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0
    }
}
