//! How to reach a PostgreSQL server: over its Unix socket, on this machine, or over TLS with a CA of the operator's.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use rustls_pki_types::CertificateDer;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::storage::StorageError;

/// A server that answers at all does so within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What was sent and is not acknowledged by then was sent into the void.
const SILENCE: Duration = Duration::from_secs(10);

/// Where the database is and how to be let in. Its `Debug` shows neither.
#[derive(Clone)]
pub struct PostgresSettings {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresSettings(…)")
    }
}

/// Why a server's address cannot be used as it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage.url: {}", self.rule())]
pub enum AddressError {
    /// Not a connection URL.
    Malformed,
    /// A password in it would be read by everyone who may read the configuration.
    Password,
    /// It would go over a network in the clear.
    NoTls,
    /// A CA that cannot be used.
    Authority,
    /// TLS over a Unix socket.
    SocketTls,
}

impl AddressError {
    /// What an address must be.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Malformed => {
                "postgresql://USER@HOST:PORT/DATABASE, or postgresql:///DATABASE?host=/FOLDER/OF/THE/SOCKET&user=USER"
            }
            Self::Password => "leave the password out, and name a file that holds it in storage.password_file",
            Self::NoTls => {
                "a server on another machine is reached over TLS only: name the CA of its certificate in storage.ca"
            }
            Self::Authority => "storage.ca holds no usable CA certificate",
            Self::SocketTls => "there is no TLS over a Unix socket: leave out storage.ca",
        }
    }
}

impl PostgresSettings {
    /// `url` as libpq writes it, without a password; `authorities` are the CAs its certificate may be of.
    pub fn new(
        url: &str,
        password: Option<&[u8]>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, AddressError> {
        let mut config = read(url, !authorities.is_empty())?;
        let tls = if authorities.is_empty() { None } else { Some(tls(authorities)?) };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("cardea-cloud");
        }
        if let Some(password) = password {
            config.password(password);
        }
        Ok(Self { config, tls })
    }

    /// Whether an address can be used, with TLS or without; connects to nothing.
    pub fn check(url: &str, with_tls: bool) -> Result<(), AddressError> {
        read(url, with_tls).map(|_| ())
    }

    pub(super) fn connect(&self) -> Result<Client, StorageError> {
        let connected = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        };
        connected.map_err(|error| {
            let hint = match error.code().map(|code| code.code()) {
                Some("28P01" | "28000") => {
                    "the server does not let this role in: look at user, password_file and its pg_hba.conf"
                }
                Some("3D000") => "the server has no such database: make it, owned by the role",
                Some("53300") => "the server has no connection left: raise its max_connections",
                Some("57P03") => "the server is starting or ending: it will be asked again",
                _ => "the server cannot be reached: see that it runs, and look at url and ca",
            };
            StorageError::Connect { hint, source: Arc::new(error) }
        })
    }
}

fn read(url: &str, with_tls: bool) -> Result<Config, AddressError> {
    let config = Config::from_str(url).map_err(|_| AddressError::Malformed)?;
    let hosts = config.get_hosts();
    if config.get_password().is_some() {
        return Err(AddressError::Password);
    }
    if hosts.is_empty() || config.get_user().is_none() || config.get_dbname().is_none() {
        return Err(AddressError::Malformed);
    }
    let here = hosts.iter().all(is_here) && config.get_hostaddrs().iter().all(|address| address.is_loopback());
    match with_tls {
        true if hosts.iter().any(|host| matches!(host, Host::Unix(_))) => Err(AddressError::SocketTls),
        false if !here => Err(AddressError::NoTls),
        _ => Ok(config),
    }
}

/// Whether what is sent to a host stays on this machine. A name other than `localhost` may come to mean another one.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    }
}

fn tls(authorities: &[CertificateDer<'static>]) -> Result<MakeRustlsConnect, AddressError> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|_| AddressError::Authority)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| AddressError::Authority)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> Option<AddressError> {
        PostgresSettings::new(url, None, &[]).err()
    }

    #[test]
    fn without_tls_nothing_leaves_the_machine() {
        for url in [
            "postgresql:///cardea?host=/run/postgresql&user=cardea",
            "postgresql://cardea@localhost/cardea",
            "postgresql://cardea@127.0.0.1:5433/cardea",
            "postgresql://cardea@[::1]/cardea",
        ] {
            assert_eq!(refused(url), None, "{url}");
        }
        for url in [
            "postgresql://cardea@db.example.org/cardea",
            "postgresql://cardea@192.0.2.1/cardea",
            "postgresql://cardea@localhost,db.example.org/cardea",
            "postgresql://cardea@localhost/cardea?hostaddr=192.0.2.1",
        ] {
            assert_eq!(refused(url), Some(AddressError::NoTls), "{url}");
        }
    }

    #[test]
    fn a_password_in_the_url_and_what_is_no_url_are_refused() {
        assert_eq!(refused("postgresql://cardea:secret@localhost/cardea"), Some(AddressError::Password));
        for url in ["mysql://localhost", "postgresql://localhost/cardea", "postgresql://cardea@localhost", ""] {
            assert_eq!(refused(url), Some(AddressError::Malformed), "{url}");
        }
    }

    #[test]
    fn neither_password_nor_address_is_shown() {
        let settings = PostgresSettings::new("postgresql://cardea@localhost/cardea", Some(b"secret"), &[]).unwrap();
        assert_eq!(format!("{settings:?}"), "PostgresSettings(…)");
    }
}
