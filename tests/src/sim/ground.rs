//! What every world stands on, made once: the authority, the cloud's keys, the controllers' identities, and databases with
//! nothing in them but the schema and a site. Keys are dear to make, and nothing that is looked at depends on them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use cardea_access::time::Timestamp;
use cardea_cloud::keys::{SigningKey, Vault};
use cardea_cloud::pki::Authority;
use cardea_cloud::storage::certificates::IssuedCertificate;
use cardea_daemon::identity::{StateDir, files};
use cardea_protocol::id::{ControllerId, SiteId};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::clock::START;
use super::desk;

/// Controllers in a world, at most.
pub(super) const CONTROLLERS: usize = 3;
/// How often the cloud states freshness.
pub(super) const FRESHNESS_MS: u64 = 20_000;
/// Nothing expires while a world lasts.
const CERTIFICATE_DAYS: u32 = 3_650;

/// What is shared by all worlds of a process.
pub struct Ground {
    pub(super) vault: Arc<Vault>,
    pub(super) authority: Arc<Authority>,
    pub(super) signing: SigningKey,
    pub(super) site: SiteId,
    /// A site of the same customer, without a controller.
    pub(super) abroad: SiteId,
    pub(super) controllers: Vec<Claimed>,
    _folder: tempfile::TempDir,
}

/// A controller as its claim leaves it.
#[derive(Clone)]
pub(super) struct Claimed {
    pub(super) id: ControllerId,
    pub(super) state: StateDir,
    pub(super) certificate: IssuedCertificate,
}

impl Ground {
    /// Makes keys and identities.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("no folder for keys")?;
        let authority = Arc::new(Authority::open_or_create(folder.path(), START)?);
        let signing = SigningKey::generate()?;
        let (site, abroad) = (SiteId::new("house-1")?, SiteId::new("house-2")?);
        let controllers = (0..CONTROLLERS)
            .map(|number| claimed(number, folder.path(), &authority, &signing, &site, (CERTIFICATE_DAYS, START)))
            .collect::<Result<_>>()?;
        let vault = Arc::new(Vault::from_bytes([7; 32]));
        Ok(Self { vault, authority, signing, site, abroad, controllers, _folder: folder })
    }

    /// One of its controllers, as it would be with a certificate that ends `after_ms` after the world has begun.
    pub(super) fn ending(&self, number: usize, folder: &Path, after_ms: i64) -> Result<Claimed> {
        let issued_at = START.plus_ms(after_ms - i64::from(desk::DAYS) * 24 * 3_600_000);
        claimed(number, folder, &self.authority, &self.signing, &self.site, (desk::DAYS, issued_at))
    }
}

/// Writes the files of a claimed controller.
fn claimed(
    number: usize,
    folder: &Path,
    authority: &Authority,
    signing: &SigningKey,
    site: &SiteId,
    (days, issued_at): (u32, Timestamp),
) -> Result<Claimed> {
    let id = ControllerId::new(format!("gate-{number}"))?;
    let state = StateDir::new(folder.join(id.as_str()));
    state.create()?;
    let key = KeyPair::generate()?;
    let request = CertificateParams::default().serialize_request(&key)?;
    let (chain, certificate) = authority.issue_controller(request.der(), &id, days, issued_at)?;
    let pem = format!("{}{}", key.serialize_pem(), to_pem(&chain));
    files::write_secret(&state.credential(), pem.as_bytes())?;
    files::write_secret(&state.identity().join("ca.pem"), authority.certificate_pem().as_bytes())?;
    files::write_secret(&state.identity().join("sealing.key"), &[number as u8 + 1; 32])?;
    let cloud = json!({
        "api_url": "https://cloud.invalid/",
        "configuration": {
            "controller": id,
            "site": site,
            "broker_url": "mqtts://cloud.invalid:8883",
            "cloud_key_pem": signing.public_pem(),
            "freshness_interval_ms": FRESHNESS_MS,
        },
    });
    files::write_secret(&state.identity().join("cloud.json"), cloud.to_string().as_bytes())?;
    Ok(Claimed { id, state, certificate })
}

fn to_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
