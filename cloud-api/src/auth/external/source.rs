//! Where an issuer's keys come from: its metadata (OpenID Connect Discovery 1.0 §4), then its JWKS. Over HTTPS only, without
//! redirections, with limits in time and size.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use reqwest::Client;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A document must be here within this time.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document taken, bytes.
const MAX_BYTES: usize = 256 * 1_024;

/// Why an issuer's keys are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Its CA file.
    #[error("the CA file of the issuer {0} cannot be used: give a PEM file with certificates")]
    CaFile(String),
    /// The HTTP client.
    #[error("no HTTPS client could be made for the issuer {issuer}")]
    Client {
        /// Which issuer.
        issuer: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer.
    #[error("{url} cannot be fetched: check that the cloud reaches it, and that its certificate is trusted")]
    Fetch {
        /// What.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Not what it should be.
    #[error("{url} is not usable: {what}")]
    Document {
        /// What.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It was asked a moment ago.
    #[error("the issuer was asked a moment ago, without success")]
    Pause,
}

impl SourceError {
    /// With what has caused it, for the log.
    pub(super) fn chain(&self) -> String {
        let cause = match self {
            Self::Client { source, .. } | Self::Fetch { source, .. } => format!(": {source:?}"),
            _ => String::new(),
        };
        format!("{self}{cause}")
    }
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

/// An issuer's documents.
#[derive(Debug)]
pub(super) struct Source {
    http: Client,
    issuer: String,
}

impl Source {
    /// Trusts the system's CAs, or those of a file alone.
    pub(super) fn new(issuer: &str, ca_file: Option<&Path>) -> Result<Self, SourceError> {
        // The one provider; a second call only says that it is there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut client = Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent("cardea-cloud");
        if let Some(path) = ca_file {
            let unusable = || SourceError::CaFile(issuer.to_owned());
            let certificates = CertificateDer::pem_file_iter(path).map_err(|_| unusable())?;
            let certificates: Vec<reqwest::Certificate> = certificates
                .map(|der| reqwest::Certificate::from_der(&der.map_err(|_| unusable())?).map_err(|_| unusable()))
                .collect::<Result<_, _>>()?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            client = client.tls_certs_only(certificates);
        }
        let failed = |source| SourceError::Client { issuer: issuer.to_owned(), source };
        Ok(Self { http: client.build().map_err(failed)?, issuer: issuer.to_owned() })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its keys by their ids. Those without an id, and of kinds nobody here can use, are passed over.
    pub(super) async fn keys(&self) -> Result<HashMap<String, Jwk>, SourceError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let metadata: Metadata = self.fetch(&url).await?;
        if metadata.issuer != self.issuer {
            return Err(SourceError::Document { url, what: "it names another issuer" });
        }
        let jwks: Jwks = self.fetch(&metadata.jwks_uri).await?;
        let keys = jwks.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(keys.filter_map(|key| Some((key.common.key_id.clone()?, key))).collect())
    }

    async fn fetch<T: DeserializeOwned>(&self, url: &str) -> Result<T, SourceError> {
        let failed = |source| SourceError::Fetch { url: url.to_owned(), source };
        let unusable = |what| SourceError::Document { url: url.to_owned(), what };
        let sent = self.http.get(url).header("accept", "application/json").send().await;
        let mut response = sent.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(unusable("the answer is no document"));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(unusable("it is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| unusable("it is not the JSON document it should be"))
    }
}
