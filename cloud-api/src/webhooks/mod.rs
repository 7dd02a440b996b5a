//! Webhooks: telling customers, and the operator, what happens, as Standard Webhooks says (<https://www.standardwebhooks.com>).
//!
//! | module | what it holds |
//! |---|---|
//! | [`kind`] | what can be told |
//! | [`courier`] | takes what is due and sees to it that it is delivered |
//! | [`schedule`] | when it is tried again |
//! | [`signing`] | secrets and signatures |
//! | [`sender`] | one attempt, over HTTPS |
//! | [`guard`] | where a webhook may lead |
//! | [`settings`] | `[webhooks]` of the configuration |
//! | [`outcome`] | what becomes of an attempt |
//!
//! A message is written into the outbox in the transaction that does what it tells of
//! ([`crate::storage::webhooks::outbox`]), so none is lost and none tells of what did not happen. It holds ids alone.
//!
//! **To add a kind:** its variant in [`kind`], and a call of `announce` where it happens.

pub mod courier;
pub mod guard;
pub mod kind;
pub mod outcome;
pub mod schedule;
pub mod sender;
pub mod settings;
pub mod signing;

pub use kind::Kind;
pub use outcome::Outcome;
pub use settings::Settings;
