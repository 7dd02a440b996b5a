//! Certificates: what the broker makes of them, and where they are renewed. TLS and HTTP are imitated in a few lines; what is
//! asked is the real storage and the real authority.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cardea_access::time::Timestamp;
use cardea_cloud::pki::{Authority, Peer};
use cardea_cloud::storage::Storage;
use cardea_daemon::identity::est::EstError;
use cardea_daemon::identity::renew::RenewError;
use cardea_daemon::identity::{Identity, StateDir};
use cardea_daemon::sync::network::LinkError;
use cardea_protocol::clock::SharedClock;
use rand::Rng as _;
use rustls::{AlertDescription, Error as TlsError};

use super::coverage::Fault;
use super::network::Net;

/// How long certificates last that are issued.
pub(super) const DAYS: u32 = 1;
/// For how long after its end a certificate can be renewed, as the cloud has it unless told otherwise.
const GRACE_DAYS: u32 = 90;
const DAY_MS: i64 = 24 * 3_600_000;
/// How long a request is tried for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where certificates are looked up and renewed, while the cloud runs.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) storage: Storage,
    pub(super) authority: Arc<Authority>,
    pub(super) clock: SharedClock,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Net {
    /// What the broker does in the handshake and after it: the certificate is looked at by the cloud's clock, and by the
    /// embedded broker in the database.
    pub(super) async fn lets_in(&self, identity: &Identity) -> Result<(), LinkError> {
        let Some(desk) = self.desk() else { return Ok(()) };
        let now = desk.clock.now();
        if identity.not_after() <= now {
            self.coverage.hit(Fault::CertificateExpired);
            self.trace.note(format_args!("net {} has a certificate that has ended", identity.controller()));
            return Err(LinkError::Tls(TlsError::AlertReceived(AlertDescription::CertificateExpired)));
        }
        if now < identity.credential.not_before {
            self.coverage.hit(Fault::CertificateOfTheFuture);
            return Err(LinkError::Tls(TlsError::AlertReceived(AlertDescription::BadCertificate)));
        }
        let known = match serial(identity) {
            Some(serial) if self.embedded => desk.storage.certificate(&serial).await,
            _ => return Ok(()),
        };
        match known {
            Ok(Some(status)) if status.active => Ok(()),
            _ => Err(LinkError::Ended),
        }
    }

    /// A request for another certificate, and its answer, which may be lost.
    pub(super) async fn renew(
        &self,
        identity: &Identity,
        request: &[u8],
        grace_days: u32,
    ) -> Result<Vec<Vec<u8>>, RenewError> {
        let unreachable = || EstError::Unreachable { host: "cloud.invalid".to_owned(), why: "no answer".to_owned() };
        let takes_ms = self.state().rng.random_range(1..200);
        tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        let desk = self.desk().filter(|_| self.reaches_desk(identity));
        let Some(desk) = desk else {
            tokio::time::sleep(PATIENCE).await;
            return Err(unreachable().into());
        };
        let answer = tokio::time::timeout(PATIENCE, desk.answer(identity, request, grace_days)).await;
        tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        if !self.reaches_desk(identity) {
            return Err(unreachable().into());
        }
        let answer = answer.map_err(|_| unreachable())?;
        let late = identity.not_after() <= desk.clock.now();
        self.coverage.hit(match (&answer, late) {
            (Ok(_), false) => Fault::Renewed,
            (Ok(_), true) => Fault::RenewedLate,
            (Err(_), _) => Fault::RenewalRefused,
        });
        self.trace.note(format_args!("net {} renews, late: {late}, done: {}", identity.controller(), answer.is_ok()));
        Ok(vec![answer?])
    }

    /// The same with a certificate that has ended.
    pub(super) async fn renew_late(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        self.renew(identity, request, GRACE_DAYS).await
    }
}

impl Desk {
    /// What `cloud-api`'s enrolment does with a renewal.
    async fn answer(&self, identity: &Identity, request: &[u8], grace_days: u32) -> Result<Vec<u8>, EstError> {
        let now = self.clock.now();
        let failed = || EstError::Unreachable { host: "cloud.invalid".to_owned(), why: "it failed".to_owned() };
        let serial = serial(identity).ok_or(EstError::Certificate)?;
        let held = self.storage.certificate(&serial).await.map_err(|_| failed())?.ok_or(EstError::Certificate)?;
        let good_until = held.not_after.plus_ms(i64::from(grace_days) * DAY_MS);
        if !held.active || good_until <= now {
            return Err(EstError::Certificate);
        }
        let issued = self.authority.renew_controller(request, &held.controller, DAYS, now);
        let (certificate, issued) = issued.map_err(|_| EstError::Certificate)?;
        self.storage.add_certificate(&held.controller, issued).await.map_err(|_| failed())?;
        Ok(certificate.to_vec())
    }
}

/// The serial number of the certificate in use.
pub(super) fn serial(identity: &Identity) -> Option<String> {
    Some(Peer::of(identity.credential.chain().first()?).ok()?.serial)
}

/// The serial numbers of what a state folder holds: the pair in use and a renewed one.
pub(super) fn held(state: &Path) -> Vec<(String, Timestamp)> {
    let state = StateDir::new(state);
    let identities = [false, true].into_iter().filter_map(|candidate| Identity::load(&state, candidate).ok().flatten());
    identities.filter_map(|identity| Some((serial(&identity)?, identity.not_after()))).collect()
}
