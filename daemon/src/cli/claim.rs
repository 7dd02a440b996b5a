//! `cardead claim`: gets this controller's identity with a one-time code.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::id::ControllerId;
use cardea_protocol::rfc3339;
use clap::Args;
use url::Url;

use super::{CliError, ConfigFile, print};
use crate::config::Config;
use crate::identity::StateDir;
use crate::identity::claim::{Claim, ClaimCode, claim};

#[derive(Debug, Args)]
pub(super) struct ClaimArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The enrolment service, https://host:port; by default [cloud] enrolment_url of the configuration
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// The API, https://host:port; by default [cloud] url of the configuration
    #[arg(long, value_name = "URL")]
    api: Option<Url>,
    /// PEM file with the certificate authority of both; by default [cloud] ca of the configuration
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The id under which the operator registered this controller
    #[arg(long, value_name = "ID")]
    controller: ControllerId,
    /// The one-time code. Better not here, where the shell's history keeps it: it is read from standard input otherwise
    #[arg(long, value_name = "CODE", env = "CARDEA_CLAIM_CODE", hide_env_values = true)]
    code: Option<String>,
    /// Give up an identity that is already here, with everything held for it
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(args: ClaimArgs) -> Result<ExitCode, CliError> {
    let config = Config::load(&args.file.config)?;
    let needed = |option: &str, key: &str| {
        CliError::Usage(format!("--{option} is missing: give it, or set {key} in [cloud] of the configuration"))
    };
    let enrolment_url = args.url.or(config.cloud.enrolment_url).ok_or_else(|| needed("url", "enrolment_url"))?;
    let api_url = args.api.or(config.cloud.url).ok_or_else(|| needed("api", "url"))?;
    let ca = args.ca.or(config.cloud.ca).ok_or_else(|| needed("ca", "ca"))?;
    let ca_pem = std::fs::read(&ca)
        .map_err(|source| CliError::Io { action: format!("read the authority {}", ca.display()), source })?;
    let code = match args.code {
        Some(code) => ClaimCode::new(&zeroize::Zeroizing::new(code)),
        None => ask_code()?,
    };
    let request = Claim { enrolment_url, api_url, ca_pem, controller: args.controller, code, replace: args.replace };
    let identity = claim(&StateDir::new(config.state_dir), &request, SystemClock.now()).await?;
    print(&format!(
        "✓ claimed as {} at site {}; the certificate is good until {}\n",
        identity.controller(),
        identity.site(),
        rfc3339::format(identity.not_after())
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn ask_code() -> Result<ClaimCode, CliError> {
    let failed = |source| CliError::Io { action: "read the claim code from standard input".to_owned(), source };
    if io::stdin().is_terminal() {
        io::stderr().write_all("claim code: ".as_bytes()).map_err(failed)?;
    }
    let mut line = zeroize::Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    if line.trim().is_empty() {
        return Err(CliError::Usage("no claim code: type it, pipe it in, or set CARDEA_CLAIM_CODE".to_owned()));
    }
    Ok(ClaimCode::new(&line))
}
