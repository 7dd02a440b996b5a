//! `cardea-cloud`: tells the controllers whom to admit and, above all, whom to stop admitting.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api`] | the REST API: one endpoint, one file, always in the order error, doc, handler, tests |
//! | [`auth`] | the OpenID Provider: token endpoint, access tokens bound to certificates, roles |
//! | [`listener`] | HTTPS with a client certificate on every connection |
//! | [`storage`] | SQLite or PostgreSQL: the schema, and whole operations of the domain as methods |
//! | [`pki`], [`enrolment`] | the Cardea CA, and how a controller comes to its certificate (EST, claim codes) |
//! | [`broker`] | the embedded MQTT broker and who may do what there |
//! | [`sync`] | the sessions with controllers: changes, digests, freshness, orders, receipts |
//! | [`audit`] | the audit as a signed chain of entries, and what shows that it was altered |
//! | [`export`] | incident bundles that prove themselves complete and unaltered |
//! | [`fingerprint`] | what a sale's tombstone remembers of what was sold |
//! | [`retention`] | how long what is kept, and the job that deletes it |
//! | [`webhooks`] | telling customers what happens, and not being led astray by where |
//! | [`keys`] | secrets at rest |
//!
//! Everything is served over TLS, and nothing without a client certificate but the enrolment of a new controller.
//!
//! **To add an endpoint:** a file in its folder of `api/`, a line in `api::endpoints`, an operation in [`auth::roles`], and a row per new
//! field in `api/reference/inventory.rs`; tests over all routes, roles and fields then hold it to the rules.

pub mod api;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod broker;
mod chain;
pub mod claim_sheet;
pub mod config;
pub mod enrolment;
pub mod export;
pub mod fingerprint;
mod health;
pub mod keys;
pub mod listener;
mod page;
pub mod pki;
pub mod problem;
pub mod recognition;
pub mod retention;
pub mod server;
pub mod state;
pub mod storage;
pub mod sync;
pub mod webhooks;

#[cfg(test)]
mod testing;
