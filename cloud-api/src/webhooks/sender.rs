//! One attempt: the request, and what its answer means.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::ConfigError;
use crate::listener::{self, TlsError};
use crate::webhooks::guard::{AddressRefused, Guard, UrlRefused};
use crate::webhooks::{Outcome, Settings};

/// An attempt that takes longer has failed.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`: seconds since the Unix epoch.
    pub timestamp_s: i64,
    /// `webhook-signature`.
    pub signatures: String,
    /// JSON.
    pub body: String,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Success or not.
    pub outcome: Outcome,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
}

/// Makes an attempt.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends it once and says what came of it.
    async fn post(&self, message: Outgoing) -> Answer;
}

/// Knows the addresses of a name.
#[async_trait]
pub trait Names: Send + Sync {
    /// All of them.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names of this machine's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// `webhooks.allow`.
    #[error(transparent)]
    Allow(#[from] ConfigError),
    /// `webhooks.ca`.
    #[error("webhooks.ca cannot be used: give a PEM file with certificates")]
    Ca(#[source] TlsError),
    /// A certificate in it.
    #[error("webhooks.ca holds a certificate that cannot be used")]
    Certificate(#[source] reqwest::Error),
    /// The HTTP client.
    #[error("no HTTPS client could be made for webhooks: check that this system has CA certificates")]
    Client(#[source] reqwest::Error),
}

/// Attempts over HTTPS: no proxy, no redirection, and to addresses the guard has judged alone.
pub struct Https {
    http: Client,
    guard: Arc<Guard>,
}

impl std::fmt::Debug for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Https")
    }
}

impl Https {
    /// Trusts the system's CAs, and those the settings name.
    pub fn new(settings: &Settings, names: Arc<dyn Names>) -> Result<Self, SenderError> {
        Self::patient(settings, names, TIMEOUT)
    }

    fn patient(settings: &Settings, names: Arc<dyn Names>, timeout: Duration) -> Result<Self, SenderError> {
        // The one provider; a second call only says that it is there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let guard = Arc::new(settings.guard()?);
        let mut client = Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(timeout)
            // Each attempt has a connection of its own, to an address judged for it.
            .pool_max_idle_per_host(0)
            .user_agent("cardea-cloud")
            .dns_resolver(Arc::new(JudgedNames { guard: guard.clone(), names }));
        if let Some(path) = &settings.ca {
            let certificates = listener::read_certificates(path).map_err(SenderError::Ca)?;
            let certificates = certificates.iter().map(|der| reqwest::Certificate::from_der(der));
            let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(SenderError::Certificate)?;
            client = client.tls_certs_merge(certificates);
        }
        Ok(Self { http: client.build().map_err(SenderError::Client)?, guard })
    }
}

#[async_trait]
impl Post for Https {
    async fn post(&self, message: Outgoing) -> Answer {
        // An address in the URL itself is asked of no resolver.
        let url = match self.guard.judge_url(&message.url) {
            Ok(url) => url,
            Err(UrlRefused::Address) => return Answer { outcome: Outcome::AddressNotAllowed, status: None },
            Err(_) => return Answer { outcome: Outcome::Unreachable, status: None },
        };
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp_s)
            .header("webhook-signature", message.signatures)
            .body(message.body);
        match request.send().await {
            // The body of an answer is not read: whatever it is, it says nothing to this cloud.
            Ok(answer) => {
                let status = answer.status().as_u16();
                Answer { outcome: Outcome::of_status(status), status: Some(status) }
            }
            Err(error) => Answer { outcome: outcome_of(&error), status: None },
        }
    }
}

fn outcome_of(error: &reqwest::Error) -> Outcome {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<AddressRefused>() {
            return Outcome::AddressNotAllowed;
        }
        cause = error.source();
    }
    if error.is_timeout() { Outcome::TimedOut } else { Outcome::Unreachable }
}

/// Where no HTTPS client could be made: nobody can be reached.
#[derive(Clone, Copy, Debug)]
pub struct NoWayOut;

#[async_trait]
impl Post for NoWayOut {
    async fn post(&self, _: Outgoing) -> Answer {
        Answer { outcome: Outcome::Unreachable, status: None }
    }
}

/// Names whose addresses the guard has judged: the connection is to one of these.
struct JudgedNames {
    guard: Arc<Guard>,
    names: Arc<dyn Names>,
}

impl Resolve for JudgedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, names) = (self.guard.clone(), self.names.clone());
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await?;
            guard.judge_all(name.as_str(), &addresses)?;
            // Port 0: that of the URL.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests;
