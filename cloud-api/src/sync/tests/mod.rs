//! Sync end to end: a real broker, real TLS, the real database, and a controller made of rumqttc and the protocol.
//! Inside the crate, because erasing and appending to the change log are not for outsiders.
//!
//! What holds whatever carries the messages runs on the embedded broker and on Mosquitto ([`broker`]). What the embedded one's
//! hooks do is in [`access`]; what Mosquitto does by the configuration that is shipped, in [`mosquitto`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod broker;
mod cloud;
mod commands;
mod controller;
mod enrolment;
mod erasure;
mod following;
mod guests;
mod held;
mod mosquitto;
mod revocation;
mod versions;
