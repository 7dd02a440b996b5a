//! Sync end to end: the real broker, real TLS, the real database, and a controller made of rumqttc and the protocol.
//! Inside the crate, because erasing and appending to the change log are not for outsiders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod cloud;
mod commands;
mod controller;
mod enrolment;
mod erasure;
mod following;
mod guests;
mod held;
