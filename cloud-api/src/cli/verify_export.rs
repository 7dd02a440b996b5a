//! `cardea-cloud verify-export`: is a bundle complete and unaltered? Needs nothing but the bundle and the public key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use cardea_cloud::export::verify;
use cardea_protocol::jws::Verifier;

use super::say;

/// DER of an Ed25519 SubjectPublicKeyInfo up to the 32 bytes of the key (RFC 8410 §4).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Check an incident bundle.
#[derive(clap::Args)]
pub(super) struct VerifyExport {
    /// The bundle.
    file: PathBuf,
    /// The cloud's public key: a PEM file, or a saved `GET /v1/signing-keys` (JSON Web Key Set).
    #[arg(long)]
    key: PathBuf,
}

impl VerifyExport {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let bundle = std::fs::read(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?;
        let mut fault = None;
        for verifier in verifiers(&self.key)? {
            match verify(&bundle, &verifier) {
                Ok(summary) => {
                    say(format_args!(
                        "sound: {} entries of site {} from {} until {}, made at {}",
                        summary.entries, summary.site_id, summary.from, summary.until, summary.made_at
                    ));
                    return Ok(ExitCode::SUCCESS);
                }
                Err(found) => fault = Some(found),
            }
        }
        match fault {
            Some(fault) => {
                say(format_args!("NOT SOUND: {fault}"));
                Ok(ExitCode::from(2))
            }
            None => bail!("{} holds no Ed25519 key", self.key.display()),
        }
    }
}

/// The keys in a PEM or JWKS file.
pub(super) fn verifiers(path: &Path) -> anyhow::Result<Vec<Verifier>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if text.trim_start().starts_with("-----BEGIN") {
        return Ok(vec![Verifier::ed25519(&text)?]);
    }
    let set: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{} is neither PEM nor a JWKS", path.display()))?;
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    keys.iter()
        .filter(|key| key["kty"] == "OKP" && key["crv"] == "Ed25519")
        .filter_map(|key| key["x"].as_str())
        .map(|x| {
            let point =
                base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(x).context("the key is not base64url")?;
            let der = [ED25519_SPKI_PREFIX.as_slice(), &point].concat();
            let base64 = base64::engine::general_purpose::STANDARD.encode(der);
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
            Ok(Verifier::ed25519(&pem)?)
        })
        .collect()
}
