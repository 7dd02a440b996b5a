//! The cloud as it runs: real TLS, real certificates, real database, real models, over the loopback.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod cases;
mod cli;
mod est_client;
mod export_by_hand;
mod external;
mod faces;
mod known;
mod python_client;
mod revocation;
mod schemathesis;
mod support;
mod tls_scan;
mod tokens;
mod transport;
mod verify_audit;
mod webhooks;
mod work;
