//! What controller and cloud say to each other.
//!
//! MQTT is only the pipe: nothing here depends on a broker's memory or honesty. Every message is CBOR ([`cbor`]) in a numbered,
//! addressed envelope ([`envelope`]) that is signed by COSE ([`cose`]); a controller believes only the cloud key it pinned
//! when it was claimed, the cloud only the key in the controller's certificate. Biometric templates travel sealed to
//! the controller's own key ([`seal`], RFC 9180), and rest on both sides under a key of their subject ([`at_rest`]).
//!
//! To add a message: a variant in [`message::Down`] or [`message::Up`], a line in `docs/reference/sync.md`, and a
//! handler on the other side; the envelope, the signature and the session rules come with it. What people keep and check with
//! common tools, such as receipts, is a JSON Web Signature ([`jws`]).

pub mod at_rest;
pub mod card;
pub mod cbor;
pub mod claim;
pub mod clock;
pub mod controller;
pub mod cose;
pub mod digest;
pub mod envelope;
pub mod est;
pub mod event;
pub mod id;
pub mod jws;
pub mod limit;
pub mod message;
mod millis;
pub mod rfc3339;
pub mod schedule;
pub mod seal;
pub mod topic;
pub mod version;

pub use cardea_access::time::{Monotonic, Timestamp};
