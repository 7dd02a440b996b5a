//! What a claimed controller learns over HTTPS, with its new certificate, before it first connects.

use serde::{Deserialize, Serialize};

use crate::id::{ControllerId, SiteId};

/// Path of [`Configuration`] on the API listener; the caller is known by its certificate.
pub const CONFIGURATION_PATH: &str = "/v1/controllers/self/configuration";

/// Everything a controller needs to find and to trust the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Who it is.
    pub controller: ControllerId,
    /// Where it stands.
    pub site: SiteId,
    /// `mqtts://host:port`.
    pub broker_url: String,
    /// The cloud's Ed25519 key (SPKI PEM), pinned from now on.
    pub cloud_key_pem: String,
    /// How often the cloud states freshness, milliseconds.
    pub freshness_interval_ms: u64,
}
