//! `[cloud]`: defaults of `cardead claim`. Once claimed, a controller knows the cloud by its identity, not by this.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

/// Where the cloud is and whom to trust for the first contact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CloudConfig {
    /// The API, `https://host[:port]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The enrolment service (EST), `https://host[:port]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment_url: Option<Url>,
    /// PEM file with the certificate authority of both. Nothing else is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}
