//! What has happened: events, the audit, incident exports (S8).

pub(super) mod audit;
pub(super) mod events;
pub(super) mod export_incident;
