//! `cardea-cloud.toml`: every key with its default. Unknown keys are refused, so that a misspelt limit is never ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use cardea_access::grammar::Grammars;
use cardea_protocol::id::CustomerId;
use serde::Deserialize;

use crate::auth::roles::Role;
use crate::broker;
use crate::retention::Retention;
use crate::storage::PostgresSettings;
use crate::webhooks;

/// No access token lives longer (requirement S2), seconds.
pub const MAX_TOKEN_LIFETIME_S: u32 = 3_600;

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keys, certificates of the Cardea CA and, unless `[storage]` says otherwise, the database. Must exist or be creatable; the service's own.
    pub data_dir: PathBuf,
    /// Where it listens and what it is called.
    pub server: Server,
    /// Who may connect at all.
    pub client_ca: ClientCa,
    /// The database.
    #[serde(default)]
    pub storage: StorageSection,
    /// Access and refresh tokens.
    #[serde(default)]
    pub tokens: Tokens,
    /// Other issuers whose access tokens count here.
    #[serde(default)]
    pub issuers: Vec<ExternalIssuer>,
    /// Turning enrolment photos into templates. Without it, photos are answered with `recognition-unavailable`.
    pub recognition: Option<Recognition>,
    /// Kinds of plates in use.
    #[serde(default)]
    pub plates: Plates,
    /// The conversation with controllers.
    #[serde(default)]
    pub sync: SyncSection,
    /// Certificates for controllers.
    #[serde(default)]
    pub enrolment: Enrolment,
    /// Health for a watchdog on the same machine.
    #[serde(default)]
    pub health: Health,
    /// What acts of destruction say of who runs this cloud.
    #[serde(default)]
    pub acts: Acts,
    /// How long what is kept.
    #[serde(default)]
    pub retention: Retention,
    /// Where webhooks may lead.
    #[serde(default)]
    pub webhooks: webhooks::Settings,
    /// Another broker than the one inside this program.
    pub broker: Option<broker::external::Settings>,
}

/// Where it listens and what it is called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// HTTPS with client certificates. Port 0: any free one.
    #[serde(default = "api_listen")]
    pub api_listen: SocketAddr,
    /// HTTPS without, for the enrolment of new controllers only.
    #[serde(default = "enrol_listen")]
    pub enrol_listen: SocketAddr,
    /// MQTT with client certificates.
    #[serde(default = "broker_listen")]
    pub broker_listen: SocketAddr,
    /// DNS names and IP addresses others reach it by: in its certificate, the first one in its URLs.
    pub public_names: Vec<String>,
    /// What controllers are told to connect to, `mqtts://name:port`, where a forwarder stands before the broker; by default
    /// the first public name and the broker's port. The name must be one of `public_names`.
    pub broker_url: Option<url::Url>,
    /// PEM chain of its certificate; without it, the Cardea CA issues one.
    pub certificate: Option<PathBuf>,
    /// PEM key of that certificate.
    pub private_key: Option<PathBuf>,
    /// Whether TLS 1.2 is spoken too, with AEAD suites only; otherwise 1.3 alone.
    #[serde(default)]
    pub tls12: bool,
}

/// Health on a loopback address, in clear text and without a certificate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Where; nowhere if nothing is said.
    pub listen: Option<SocketAddr>,
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}
fn api_listen() -> SocketAddr {
    any(8443)
}
fn enrol_listen() -> SocketAddr {
    any(8444)
}
fn broker_listen() -> SocketAddr {
    any(8883)
}

/// Who may connect at all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCa {
    /// PEM files with the CA certificates whose clients (customers' back ends, the operator's staff) are let in.
    pub files: Vec<PathBuf>,
}

/// The database: a SQLite file, or PostgreSQL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// The SQLite file; by default `cloud.db` in the data directory.
    pub path: Option<PathBuf>,
    /// A PostgreSQL database instead, without the password: `postgresql://cardea@db.example.org/cardea`, or
    /// `postgresql:///cardea?host=/run/postgresql&user=cardea` for a server's Unix socket.
    pub url: Option<String>,
    /// File with the password of that role, open to nobody else; without it, none is given (peer authentication).
    pub password_file: Option<PathBuf>,
    /// PEM file of the CA the server's certificate is of. Without it, only a server on this machine is used.
    pub ca: Option<PathBuf>,
}

/// What acts of destruction say of who runs this cloud. What is missing is left blank, to be filled in by hand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acts {
    /// Name of whoever processes the data for the customers.
    pub processor_name: Option<String>,
    /// Its address.
    pub processor_address: Option<String>,
    /// What the information system is called.
    pub information_system: String,
}

impl Default for Acts {
    fn default() -> Self {
        Self { processor_name: None, processor_address: None, information_system: "Cardea".to_owned() }
    }
}

/// Access and refresh tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// The issuer's URL; by default `https://`, the first public name and the API's port.
    pub issuer: Option<String>,
    /// Lifetime of an access token, seconds: 1 to 3600.
    pub lifetime_s: u32,
    /// Lifetime of a login, however often it is refreshed, seconds.
    pub refresh_lifetime_s: u32,
    /// A key that signs tokens is relieved by another one at this age, days.
    pub key_max_age_days: u32,
    /// Within this time after its first use a spent refresh token still yields the same successor, seconds.
    pub refresh_retry_s: u32,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: None,
            lifetime_s: MAX_TOKEN_LIFETIME_S,
            refresh_lifetime_s: 30 * 24 * 3_600,
            key_max_age_days: 30,
            refresh_retry_s: 30,
        }
    }
}

impl Tokens {
    /// [`Tokens::key_max_age_days`] in milliseconds.
    pub fn key_max_age_ms(&self) -> i64 {
        i64::from(self.key_max_age_days) * 86_400_000
    }
}

/// Another issuer (Keycloak and the like) whose access tokens count here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalIssuer {
    /// Its URL, letter by letter as its tokens name it; its metadata are found below it.
    pub issuer: String,
    /// What its tokens for this API name as their audience.
    pub audience: String,
    /// Where its tokens say what somebody may do: a JSON pointer (RFC 6901), such as `/realm_access/roles`, to a list of
    /// names, or a text of names with spaces between.
    #[serde(default = "role_claim")]
    pub role_claim: String,
    /// Which role here is given for which of these names. Others give none.
    pub roles: BTreeMap<String, Role>,
    /// Whose accounts its tokens are of; nothing for the operator's own.
    pub customer: Option<CustomerId>,
    /// PEM file of the CAs that its HTTPS is trusted by; by default the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether a token that is bound to no client certificate is taken: it works for whoever has copied it and has any
    /// trusted certificate. One that is bound is held to it either way.
    #[serde(default)]
    pub accept_unbound: bool,
    /// Whether access tokens of the type `JWT` are taken, for issuers that do not follow RFC 9068.
    #[serde(default)]
    pub accept_plain_jwt: bool,
}

fn role_claim() -> String {
    "/roles".to_owned()
}

impl ExternalIssuer {
    fn validate(&self) -> Result<(), ConfigError> {
        let value = |key, value: &str, rule| Err(ConfigError::Value { key, value: value.to_owned(), rule });
        let plain = |url: &url::Url| url.scheme() == "https" && url.query().is_none() && url.fragment().is_none();
        if !url::Url::parse(&self.issuer).is_ok_and(|url| plain(&url)) {
            return value("issuers.issuer", &self.issuer, "an https URL without query and fragment");
        }
        if self.audience.is_empty() {
            return value("issuers.audience", "", "what its tokens for this API name as their audience");
        }
        if !self.role_claim.starts_with('/') {
            return value("issuers.role_claim", &self.role_claim, "a JSON pointer: it begins with /");
        }
        if self.roles.is_empty() {
            return value("issuers.roles", "{}", "at least one name and its role");
        }
        if !self.roles.values().all(|role| role.may_belong(self.customer.is_some())) {
            let rule = "customer is given for the roles of a customer, and for those only";
            return value("issuers.customer", self.customer.as_ref().map_or("", CustomerId::as_str), rule);
        }
        Ok(())
    }
}

/// Turning enrolment photos into templates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognition {
    /// Folder of the model pack; the same embedder as the controllers'.
    pub pack: PathBuf,
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// Threads of one inference.
    #[serde(default = "one")]
    pub threads: usize,
}

fn one() -> usize {
    1
}

/// Kinds of plates in use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plates {
    /// Names of grammars of `cardea-access`; by default those of GOST R 50577.
    pub grammars: Option<Vec<String>>,
}

/// The conversation with controllers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncSection {
    /// How often each connected controller is told that its revision is current, milliseconds.
    pub freshness_interval_ms: u64,
    /// How long a call to open waits for the controller's final answer, milliseconds: at most 30000.
    pub command_wait_ms: u64,
}

impl Default for SyncSection {
    fn default() -> Self {
        Self { freshness_interval_ms: 30_000, command_wait_ms: 8_000 }
    }
}

/// Certificates for controllers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// Validity of a controller's certificate, days.
    pub certificate_days: u32,
    /// Validity of a claim code, seconds.
    pub claim_code_lifetime_s: u32,
    /// Wrong codes before a claim code is void.
    pub claim_tries: u32,
    /// For how long after its end a controller's certificate can still be renewed, days. 0: not at all.
    pub renewal_grace_days: u32,
}

impl Default for Enrolment {
    fn default() -> Self {
        Self { certificate_days: 90, claim_code_lifetime_s: 7 * 24 * 3_600, claim_tries: 5, renewal_grace_days: 90 }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("the configuration {path} is not usable: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        message: String,
    },
    /// A value outside its limits.
    #[error("{key} = {value}: {rule}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        rule: &'static str,
    },
}

impl StorageSection {
    fn validate(&self) -> Result<(), ConfigError> {
        // The URL is not repeated: a password may have been left in it.
        let wrong = |key, rule| Err(ConfigError::Value { key, value: "…".to_owned(), rule });
        match &self.url {
            Some(_) if self.path.is_some() => {
                wrong("storage.path", "give path for SQLite or url for PostgreSQL, not both")
            }
            Some(url) => match PostgresSettings::check(url, self.ca.is_some()) {
                Ok(()) => Ok(()),
                Err(error) => wrong("storage.url", error.rule()),
            },
            None if self.password_file.is_some() => {
                wrong("storage.password_file", "there is one for PostgreSQL only: give url")
            }
            None if self.ca.is_some() => wrong("storage.ca", "there is one for PostgreSQL only: give url"),
            None => Ok(()),
        }
    }
}

impl Config {
    /// Reads and checks a file; relative paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text).map_err(|error| match error {
            ConfigError::Parse { message, .. } => ConfigError::Parse { path: path.to_owned(), message },
            other => other,
        })?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Parses and checks a text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|error| ConfigError::Parse { path: PathBuf::new(), message: error.to_string() })?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let value = |key, value: String, rule| Err(ConfigError::Value { key, value, rule });
        let tokens = &self.tokens;
        if !(1..=MAX_TOKEN_LIFETIME_S).contains(&tokens.lifetime_s) {
            return value(
                "tokens.lifetime_s",
                tokens.lifetime_s.to_string(),
                "an access token lives 1 to 3600 seconds",
            );
        }
        if tokens.refresh_retry_s > 300 {
            return value("tokens.refresh_retry_s", tokens.refresh_retry_s.to_string(), "at most 300 seconds");
        }
        if !(1..=366).contains(&tokens.key_max_age_days) {
            return value("tokens.key_max_age_days", tokens.key_max_age_days.to_string(), "1 to 366 days");
        }
        let mut named = BTreeSet::new();
        for issuer in &self.issuers {
            issuer.validate()?;
            if !named.insert(&issuer.issuer) || tokens.issuer.as_ref() == Some(&issuer.issuer) {
                return value("issuers.issuer", issuer.issuer.clone(), "each issuer once, and not this one itself");
            }
        }
        if self.server.public_names.is_empty() {
            return value("server.public_names", "[]".to_owned(), "give at least one DNS name or IP address");
        }
        self.storage.validate()?;
        if self.server.certificate.is_some() != self.server.private_key.is_some() {
            return value(
                "server.certificate",
                String::new(),
                "certificate and private_key are given together or not at all",
            );
        }
        if let Some(listen) = self.health.listen.filter(|listen| !listen.ip().is_loopback()) {
            return value("health.listen", listen.to_string(), "a loopback address: it is served in clear text");
        }
        if !(100..=30_000).contains(&self.sync.command_wait_ms) {
            return value("sync.command_wait_ms", self.sync.command_wait_ms.to_string(), "100 to 30000 milliseconds");
        }
        if self.sync.freshness_interval_ms < 100 {
            return value("sync.freshness_interval_ms", self.sync.freshness_interval_ms.to_string(), "at least 100");
        }
        if !(1..=825).contains(&self.enrolment.certificate_days) {
            return value("enrolment.certificate_days", self.enrolment.certificate_days.to_string(), "1 to 825 days");
        }
        if self.enrolment.renewal_grace_days > 3_650 {
            let days = self.enrolment.renewal_grace_days.to_string();
            return value("enrolment.renewal_grace_days", days, "0 to 3650 days");
        }
        self.retention.validate()?;
        self.webhooks.validate()?;
        self.broker.as_ref().map_or(Ok(()), broker::external::Settings::validate)?;
        self.grammars().map(|_| ())
    }

    /// The grammars plates are checked under.
    pub fn grammars(&self) -> Result<Grammars, ConfigError> {
        let Some(names) = &self.plates.grammars else { return Ok(Grammars::default()) };
        let grammars = names
            .iter()
            .map(|name| {
                name.parse().map_err(|_| ConfigError::Value {
                    key: "plates.grammars",
                    value: name.clone(),
                    rule: "not a known grammar",
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Grammars::new(grammars))
    }

    fn resolve(&mut self, folder: &Path) {
        let mut paths = vec![&mut self.data_dir];
        paths.extend(self.client_ca.files.iter_mut());
        paths.extend(self.server.certificate.iter_mut());
        paths.extend(self.server.private_key.iter_mut());
        let StorageSection { path, url: _, password_file, ca } = &mut self.storage;
        paths.extend([path, password_file, ca].into_iter().flatten());
        paths.extend(self.issuers.iter_mut().filter_map(|issuer| issuer.ca_file.as_mut()));
        if let Some(recognition) = &mut self.recognition {
            paths.extend([&mut recognition.pack, &mut recognition.onnxruntime]);
        }
        paths.extend(self.webhooks.ca.as_mut());
        paths.extend(self.broker.iter_mut().flat_map(broker::external::Settings::paths_mut));
        for path in paths {
            *path = folder.join(&*path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "data_dir = 'd'\n[server]\npublic_names = ['localhost']\n[client_ca]\nfiles = ['ca.pem']\n";

    #[test]
    fn the_smallest_configuration_has_safe_defaults() {
        let config = Config::parse(SMALLEST).unwrap();
        assert_eq!(config.tokens.lifetime_s, MAX_TOKEN_LIFETIME_S);
        assert_eq!(config.server.api_listen.port(), 8443);
    }

    #[test]
    fn health_is_told_on_this_machine_alone() {
        for (listen, good) in
            [("127.0.0.1:8081", true), ("[::1]:8081", true), ("0.0.0.0:8081", false), ("10.0.0.1:80", false)]
        {
            let parsed = Config::parse(&format!("{SMALLEST}[health]\nlisten = '{listen}'\n"));
            assert_eq!(parsed.is_ok(), good, "{listen}");
        }
    }

    #[test]
    fn another_broker_is_reached_by_tls_or_not_at_all() {
        for (url, good) in [
            ("mqtts://mqtt.example.org:8883", true),
            ("mqtts://[::1]", true),
            ("mqtt://mqtt.example.org:1883", false),
            ("https://mqtt.example.org", false),
            ("mqtts:", false),
        ] {
            let parsed = Config::parse(&format!("{SMALLEST}[broker]\nurl = '{url}'\n"));
            assert_eq!(parsed.is_ok(), good, "{url}");
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Config::parse(&format!("{SMALLEST}[tokens]\nlifetime = 5\n")).unwrap_err().to_string();
        assert!(error.contains("unknown field `lifetime`"), "{error}");
    }

    #[test]
    fn a_token_never_lives_longer_than_an_hour() {
        for lifetime in [0, 3_601, 86_400] {
            let error = Config::parse(&format!("{SMALLEST}[tokens]\nlifetime_s = {lifetime}\n")).unwrap_err();
            assert!(matches!(error, ConfigError::Value { key: "tokens.lifetime_s", .. }));
        }
    }

    #[test]
    fn a_database_is_a_file_or_a_server_and_never_a_server_in_the_clear() {
        let refused = |section: &str| match Config::parse(&format!("{SMALLEST}[storage]\n{section}")) {
            Ok(_) => None,
            Err(ConfigError::Value { key, value, .. }) => {
                assert!(!value.contains("secret"));
                Some(key)
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(refused("path = 'other.db'"), None);
        assert_eq!(refused("url = 'postgresql:///cardea?host=/run/postgresql&user=cardea'"), None);
        assert_eq!(refused("url = 'postgresql://cardea@db.example.org/cardea'\nca = 'ca.pem'"), None);
        assert_eq!(refused("url = 'postgresql://cardea@db.example.org/cardea'"), Some("storage.url"));
        assert_eq!(refused("url = 'postgresql://cardea:secret@localhost/cardea'"), Some("storage.url"));
        assert_eq!(refused("path = 'a.db'\nurl = 'postgresql://cardea@localhost/cardea'"), Some("storage.path"));
        assert_eq!(refused("password_file = 'p'"), Some("storage.password_file"));
        assert_eq!(refused("ca = 'ca.pem'"), Some("storage.ca"));
    }

    #[test]
    fn an_issuer_says_what_its_tokens_may_do_and_whose_they_are() {
        let good = "[[issuers]]\nissuer = 'https://idp.example.org'\naudience = 'cardea'\ncustomer = 'birch'\n\
            [issuers.roles]\nadmin = 'customer-integration'\n";
        let issuers = Config::parse(&format!("{SMALLEST}{good}")).unwrap().issuers;
        assert!(!issuers[0].accept_unbound && !issuers[0].accept_plain_jwt && issuers[0].role_claim == "/roles");
        for (from, to, key) in [
            ("https:", "http:", "issuers.issuer"),
            ("example.org", "example.org?x", "issuers.issuer"),
            ("'cardea'", "''", "issuers.audience"),
            ("customer = 'birch'\n", "", "issuers.customer"),
            ("'customer-integration'", "'operator'", "issuers.customer"),
            ("admin = 'customer-integration'\n", "", "issuers.roles"),
            ("customer = 'birch'", "customer = 'birch'\nrole_claim = 'roles'", "issuers.role_claim"),
        ] {
            let error = Config::parse(&format!("{SMALLEST}{}", good.replace(from, to))).unwrap_err();
            assert!(matches!(error, ConfigError::Value { key: named, .. } if named == key), "{to}: {error}");
        }
        assert!(Config::parse(&format!("{SMALLEST}{good}{good}")).is_err());
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, SMALLEST).unwrap();
        assert_eq!(Config::load(&path).unwrap().data_dir, folder.path().join("d"));
    }
}
