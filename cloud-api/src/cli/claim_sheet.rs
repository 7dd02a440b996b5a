//! `cardea-cloud claim-sheet`: what the API answered when a controller was registered, as a page to print. Needs no network, no
//! database and no key.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use cardea_cloud::claim_sheet;
use cardea_protocol::claim::ClaimTicket;
use zeroize::Zeroizing;

use super::say;

/// The longest answer that is read.
const MAX_LEN: u64 = 64 * 1024;

/// Make a claim sheet to print, as HTML, of the API's answer on standard input.
#[derive(clap::Args)]
pub(super) struct ClaimSheet {}

#[derive(serde::Deserialize)]
struct Registered {
    claim_uri: String,
    claim_expires_at: String,
}

impl ClaimSheet {
    #[expect(clippy::unused_self, reason = "commands look alike")]
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let mut answer = Zeroizing::new(String::new());
        std::io::stdin().take(MAX_LEN).read_to_string(&mut answer).context("standard input cannot be read")?;
        // What it holds is not repeated.
        let registered: Registered = serde_json::from_str(&answer).ok().context(
            "give the API's answer to a registration, or to a request for another claim code, on standard input: JSON with claim_uri and \
             claim_expires_at",
        )?;
        let ticket = ClaimTicket::read(&Zeroizing::new(registered.claim_uri))?;
        let page = Zeroizing::new(claim_sheet::page(&ticket, &registered.claim_expires_at)?);
        say(page.as_str());
        Ok(ExitCode::SUCCESS)
    }
}
