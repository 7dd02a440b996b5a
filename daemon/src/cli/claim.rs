//! `cardead claim`: gets this controller's identity with a one-time code, or with the line of a claim sheet, which says where to
//! go as well and whom to trust there.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cardea_protocol::claim::{ClaimTicket, SCHEME};
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::id::ControllerId;
use cardea_protocol::rfc3339;
use clap::Args;
use url::Url;
use zeroize::Zeroizing;

use super::{CliError, ConfigFile, claim_file, print};
use crate::config::{CloudConfig, Config};
use crate::identity::claim::{Claim, ClaimCode, claim};
use crate::identity::{StateDir, bootstrap};

/// The longest line that is read.
const MAX_LINE: u64 = 4_096;

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
    /// The id under which the operator registered this controller; with the line of a claim sheet it is in there
    #[arg(long, value_name = "ID")]
    controller: Option<ControllerId>,
    /// The one-time code, or the whole line of the claim sheet. Better not here, where the shell's history keeps it: it is read from
    /// standard input otherwise
    #[arg(long, value_name = "CODE", env = "CARDEA_CLAIM_CODE", hide_env_values = true)]
    code: Option<String>,
    /// Claim with the line in this TOML file, and erase the file when that has come to its end
    #[arg(long, value_name = "FILE", conflicts_with = "controller")]
    from: Option<PathBuf>,
    /// Leave the file of --from where it is
    #[arg(long, requires = "from")]
    keep: bool,
    /// Claim nothing: erase this file, unless EXIT_STATUS says that the claim is to be tried again (for systemd's ExecStopPost)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "controller", "replace"])]
    forget: Option<PathBuf>,
    /// Give up an identity that is already here, with everything held for it
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(args: ClaimArgs) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.forget {
        return claim_file::forget(file);
    }
    let config = Config::load(&args.file.config)?;
    if let Some(file) = args.from.clone() {
        let (keep, ticket) = (args.keep, claim_file::read(&file));
        let outcome = match claim_file::read(&file) {
            Ok(ticket) => keep_claim(&config, by_sheet(args, ticket).await).await,
            Err(error) => Err(error),
        };
        return claim_file::conclude(&file, keep, ticket, outcome);
    }
    let typed = match &args.code {
        Some(code) => Zeroizing::new(code.clone()),
        None => ask(args.controller.is_none())?,
    };
    let cloud = config.cloud.clone();
    let request = if typed.trim_start().to_ascii_lowercase().starts_with(SCHEME) {
        let ticket = ClaimTicket::read(&typed).map_err(|error| CliError::Usage(error.to_string()))?;
        by_sheet(args, ticket).await
    } else {
        by_code(args, cloud, &typed)
    };
    keep_claim(&config, request).await
}

/// Makes the claim, and says what came of it.
async fn keep_claim(config: &Config, request: Result<Claim, CliError>) -> Result<ExitCode, CliError> {
    let identity = claim(&StateDir::new(&config.state_dir), &request?, SystemClock.now()).await?;
    print(&format!(
        "✓ claimed as {} at site {}; the certificate is good until {}\n",
        identity.controller(),
        identity.site(),
        rfc3339::format(identity.not_after())
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// With the line of a sheet, which says everything: options correct it, the configuration does not.
async fn by_sheet(args: ClaimArgs, ticket: ClaimTicket) -> Result<Claim, CliError> {
    if let Some(other) = args.controller.filter(|given| *given != ticket.controller) {
        let sheet = ticket.controller;
        return Err(CliError::Usage(format!("this is the claim sheet of {sheet}, and --controller says {other}")));
    }
    let enrolment_url = args.url.unwrap_or(ticket.enrolment_url);
    let ca_pem = match args.ca {
        Some(ca) => read_authority(&ca)?,
        None => bootstrap::authority(&enrolment_url, &ticket.ca_sha256).await?,
    };
    Ok(Claim {
        enrolment_url,
        api_url: args.api.unwrap_or(ticket.api_url),
        ca_pem,
        controller: ticket.controller,
        code: ClaimCode::new(&ticket.code),
        replace: args.replace,
    })
}

fn by_code(args: ClaimArgs, cloud: CloudConfig, code: &str) -> Result<Claim, CliError> {
    let needed = |option: &str, key: &str| {
        CliError::Usage(format!("--{option} is missing: give it, or set {key} in [cloud] of the configuration"))
    };
    let controller = args.controller.ok_or_else(|| {
        CliError::Usage(
            "--controller is missing: give it with a code, or the whole line of a claim sheet instead".to_owned(),
        )
    })?;
    let enrolment_url = args.url.or(cloud.enrolment_url).ok_or_else(|| needed("url", "enrolment_url"))?;
    let api_url = args.api.or(cloud.url).ok_or_else(|| needed("api", "url"))?;
    let ca = args.ca.or(cloud.ca).ok_or_else(|| needed("ca", "ca"))?;
    let ca_pem = read_authority(&ca)?;
    Ok(Claim { enrolment_url, api_url, ca_pem, controller, code: ClaimCode::new(code), replace: args.replace })
}

fn read_authority(ca: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(ca).map_err(|source| CliError::Io { action: format!("read the authority {}", ca.display()), source })
}

/// One line from the keyboard or a scanner.
fn ask(sheet: bool) -> Result<Zeroizing<String>, CliError> {
    let failed = |source| CliError::Io { action: "read the claim code from standard input".to_owned(), source };
    if io::stdin().is_terminal() {
        let question = if sheet { "scan the claim sheet, or type its line: " } else { "claim code: " };
        io::stderr().write_all(question.as_bytes()).map_err(failed)?;
    }
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().take(MAX_LINE).read_line(&mut line).map_err(failed)?;
    if line.trim().is_empty() {
        return Err(CliError::Usage("no claim code: type it, pipe it in, or set CARDEA_CLAIM_CODE".to_owned()));
    }
    Ok(line)
}
