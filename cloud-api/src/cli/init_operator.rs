//! `cardea-cloud init-operator`: the first account cannot come from the API, so it comes from whoever has the machine.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use cardea_cloud::auth::{hash_password, roles::Role};
use cardea_cloud::config::Config;
use cardea_cloud::server::Data;
use cardea_cloud::storage::principals::Principal;
use cardea_protocol::clock::{SharedClock, SystemClock};
use cardea_protocol::id::CustomerId;
use zeroize::Zeroizing;

use super::{by_command, say};

/// Create an account of the operator's own: the first operator, the first administrator.
#[derive(clap::Args)]
pub(super) struct InitOperator {
    /// The configuration file.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
    /// Login and OAuth client id: lower-case letters, digits and hyphens.
    #[arg(long)]
    principal: String,
    /// What it may do: `operator`, `administrator`, `security-officer`, `auditor` or `installer`.
    #[arg(long, default_value = "operator", value_parser = own_role)]
    role: Role,
    /// Subject of the operator's client certificate (RFC 4514), as `openssl x509 -subject -nameopt RFC2253` prints it.
    #[arg(long)]
    subject_dn: Option<String>,
    /// Read a password of 15 characters or more from standard input.
    #[arg(long)]
    password_stdin: bool,
}

impl InitOperator {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        ensure!(self.subject_dn.is_some() || self.password_stdin, "give --subject-dn, --password-stdin, or both");
        CustomerId::new(self.principal.as_str()).context("--principal")?;
        let config = Config::load(&self.config)?;
        let password_hash = if self.password_stdin { Some(hash_password(&read_password()?)?) } else { None };
        let clock: SharedClock = Arc::new(SystemClock);
        let data = Data::open(&config, &clock)?;
        let principal = Principal {
            principal_id: self.principal.clone(),
            customer: None,
            role: self.role,
            password_hash,
            subject_dn: self.subject_dn,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let action = by_command("init_operator", Some(self.principal.clone()));
        runtime.block_on(async {
            data.storage.register_principal(principal, clock.now()).await?;
            anyhow::Ok(data.storage.audit_done(action, "done", clock.now()).await?)
        })?;
        say(format_args!("{} account {} created", self.role.name(), self.principal));
        Ok(ExitCode::SUCCESS)
    }
}

fn own_role(name: &str) -> Result<Role, String> {
    let role = Role::from_name(name).filter(|role| role.may_belong(false));
    role.ok_or_else(|| "give a role of the operator's own: docs/reference/roles.md lists them".to_owned())
}

fn read_password() -> anyhow::Result<Zeroizing<String>> {
    let mut password = Zeroizing::new(String::new());
    std::io::stdin().read_to_string(&mut password).context("the password could not be read from standard input")?;
    let end = password.trim_end_matches(['\r', '\n']).len();
    password.truncate(end);
    Ok(password)
}
