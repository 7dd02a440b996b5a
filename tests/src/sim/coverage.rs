//! What has really happened over many seeds: a fault that never strikes, or a face that is never admitted, proves nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Something that went wrong, or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Fault {
    Drop,
    Duplicate,
    Reorder,
    Delay,
    Partition,
    BrokerRestart,
    ControllerCrash,
    ControllerPowerLoss,
    ControllerEnded,
    CloudCrash,
    ControllerDiskFull,
    CloudDiskFull,
    ClockJump,
    Restore,
    Admitted,
    Refused,
    AdmittedOffline,
    RefusedStale,
    RefusedAfterRemoval,
    Opened,
    OpenRefused,
    OpenUnanswered,
    Erased,
    Sold,
    Lifted,
    RefusedAbroad,
    Revoked,
    CertificateExpired,
    CertificateOfTheFuture,
    Renewed,
    RenewedLate,
    RenewalRefused,
    RenewalLostInRestore,
    AdmittedExpired,
    AwayExpired,
    AllFailAtOnce,
    AllDisksFull,
    PassGiven,
    PassTakenBack,
    PassAdmitted,
    PassExpired,
    PassNotYetValid,
    PassAgreed,
    EventsAcknowledged,
    FloorTooFarAhead,
    Snapshot,
    OperationFailed,
}

/// Counts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<Mutex<BTreeMap<Fault, u64>>>);

impl Coverage {
    /// It happened.
    pub fn hit(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    /// How often what has happened.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
