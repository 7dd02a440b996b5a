//! `cardead`, the controller at a gate or door: it decides on the spot, with or without the network.
//!
//! | module | task |
//! |---|---|
//! | [`config`] | the configuration file; unknown keys are refused |
//! | [`store`] | SQLite: plates, encrypted templates, cursor, freshness, seen commands, the outbox of events, receipts |
//! | [`identity`] | keys and certificates, claiming and renewing them (EST, RFC 7030) |
//! | [`sync`] | the conversation with the cloud: changes in, events, outcomes and receipts out |
//! | [`capture`] | from camera frames to evidence about tracks |
//! | [`access`] | decides, drives the machines at the gate, switches relays |
//! | [`local`] | the status socket, for people at the controller |
//! | [`check`] | `cardead check`: what is wrong here, and what to do |
//! | [`guardian`] | a process beside this one, which makes the outputs safe when this one cannot |
//! | [`supervisor`] | starts and watches the tasks, leaves the outputs safe |
//! | [`seam`] | what passes between the tasks |
//! | [`cli`] | `cardead run`, `safe`, `check`, `claim`, `config`, `status`; one file per command |

pub mod access;
pub mod capture;
pub mod check;
pub mod cli;
pub mod config;
pub mod guardian;
pub mod identity;
pub mod local;
pub mod seam;
pub mod store;
pub mod supervisor;
pub mod sync;
