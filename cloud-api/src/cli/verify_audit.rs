//! `cardea-cloud verify-audit`: is the audit complete and unaltered? Of the database that the configuration names, or of a
//! file that this command has written, which needs nothing but the public key.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cardea_cloud::audit::{self, AuditError, Fault, Noted, Summary};
use cardea_cloud::config::Config;
use cardea_cloud::server::Data;
use cardea_protocol::clock::{SharedClock, SystemClock};

use super::say;
use super::verify_export::verifiers;

/// Check the audit.
#[derive(clap::Args)]
pub(super) struct VerifyAudit {
    /// An audit that was written with `--write`, instead of a database.
    #[arg(required_unless_present = "config", conflicts_with_all = ["config", "write"], requires = "key")]
    file: Option<PathBuf>,
    /// The configuration file, for the database.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: Option<PathBuf>,
    /// The cloud's public key: a PEM file, or a saved `GET /v1/signing-keys`; of a database, its own where none is given.
    #[arg(long)]
    key: Option<PathBuf>,
    /// A head that was noted earlier, NUMBER:HASH, as this command and the log say it: the audit must still hold it.
    #[arg(long)]
    head: Option<Noted>,
    /// Once the database's audit is found sound, sign it and write it to this file.
    #[arg(long)]
    write: Option<PathBuf>,
}

impl VerifyAudit {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let found = match (&self.file, &self.config) {
            (Some(file), _) => self.of_file(file)?,
            (None, Some(config)) => self.of_database(&Config::load(config)?)?,
            (None, None) => bail!("name a file, or --config"),
        };
        Ok(match found {
            Ok(Summary { first, last, head, signed }) => {
                say(format_args!(
                    "sound: entries {first} to {last}; signed up to {signed}; to note elsewhere: {last}:{head}"
                ));
                ExitCode::SUCCESS
            }
            Err(fault) => {
                say(format_args!("NOT SOUND: {fault}"));
                ExitCode::from(2)
            }
        })
    }

    fn of_file(&self, file: &std::path::Path) -> anyhow::Result<Result<Summary, Fault>> {
        let Some(key) = &self.key else { bail!("give the cloud's public key with --key") };
        let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let mut found = None;
        for verifier in verifiers(key)? {
            let result = audit::verify(&bytes, &verifier, self.head.as_ref());
            let sound = result.is_ok();
            found = Some(result);
            if sound {
                break;
            }
        }
        found.with_context(|| format!("{} holds no Ed25519 key", key.display()))
    }

    fn of_database(&self, config: &Config) -> anyhow::Result<Result<Summary, Fault>> {
        let clock: SharedClock = Arc::new(SystemClock);
        let data = Data::open(config, &clock)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let verifier = match &self.key {
            None => data.signing.verifier()?,
            Some(key) => {
                let mut verifiers = verifiers(key)?;
                match (verifiers.pop(), verifiers.is_empty()) {
                    (Some(verifier), true) => verifier,
                    _ => bail!("{} must hold one Ed25519 key", key.display()),
                }
            }
        };
        let noted = self.head.as_ref();
        let mut found = settled(runtime.block_on(audit::check(&data.storage, &verifier, noted, |_| {})))?;
        if let (Ok(_), Some(path)) = (&found, &self.write) {
            runtime.block_on(audit::sign(&data.storage, &data.signing.signer()?, clock.now()))?;
            let mut bytes = Vec::new();
            let line = |line: &[u8]| {
                bytes.extend_from_slice(line);
                bytes.push(b'\n');
            };
            found = settled(runtime.block_on(audit::check(&data.storage, &verifier, noted, line)))?;
            let mut file =
                std::fs::File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            file.write_all(&bytes).and_then(|()| file.sync_all())?;
        }
        Ok(found)
    }
}

/// What a check has found; other failures are no finding.
fn settled(checked: Result<Summary, AuditError>) -> Result<Result<Summary, Fault>, AuditError> {
    match checked {
        Ok(summary) => Ok(Ok(summary)),
        Err(AuditError::Fault(fault)) => Ok(Err(fault)),
        Err(other) => Err(other),
    }
}
