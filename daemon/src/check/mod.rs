//! `cardead check`: what is wrong here, and what to do about it. For the person on the ladder.
//!
//! One file per check, each with a function `check` that takes the [`Context`] and answers findings; none of them changes
//! anything, except that looking at boards while no `cardead` runs puts their outputs into the safe states, as a start would.
//! While one runs, boards and cameras are judged by what it says of them: two masters on one board disturb each other.
//!
//! To add a check: a file like its siblings, and its line in [`run`].

mod answers;
mod boards;
mod broker;
mod cameras;
mod clock;
mod cloud;
mod config;
mod devices;
mod freshness;
mod identity;
mod local;
mod machine;
mod pack;
mod readers;
mod runtime;
mod state_dir;
mod tls;

use std::path::Path;

use cardea_protocol::clock::SharedClock;
use serde::Serialize;

use crate::config::Config;
use crate::identity::{Identity, IdentityError, StateDir};
use crate::local::Status;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// In order.
    Ok,
    /// It works, but not for long, or not as it should.
    Warning,
    /// It does not work.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found, in a sentence without the full stop.
    pub found: String,
    /// What to do next, where something is to be done.
    pub todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), todo: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into(), todo: Some(todo.into()) }
    }

    fn failure(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failure, found: found.into(), todo: Some(todo.into()) }
    }
}

/// What all checks look at.
struct Context {
    config: Config,
    state: StateDir,
    clock: SharedClock,
    /// What a running `cardead` says, if one runs.
    running: Option<Status>,
    identity: Result<Option<Identity>, IdentityError>,
}

impl Context {
    /// The identity, if there is a usable one.
    fn claimed(&self) -> Option<&Identity> {
        self.identity.as_ref().ok().and_then(Option::as_ref)
    }
}

/// Looks at everything that the configuration at `path` is about. Without a usable configuration, that is the only finding.
pub async fn run(path: &Path, clock: &SharedClock) -> Vec<Finding> {
    let (config, mut findings) = config::check(path);
    let Some(config) = config else { return findings };
    let state = StateDir::new(&config.state_dir);
    let context = Context {
        running: crate::local::ask(&config.local.socket).await.ok(),
        identity: Identity::load(&state, false),
        clock: clock.clone(),
        state,
        config,
    };
    findings.extend(machine::check(&context));
    findings.extend(local::check(&context));
    findings.extend(state_dir::check(&context));
    findings.extend(clock::check(&context));
    findings.extend(identity::check(&context));
    findings.extend(cloud::check(&context).await);
    findings.extend(broker::check(&context).await);
    findings.extend(freshness::check(&context));
    findings.extend(runtime::check(&context).await);
    findings.extend(pack::check(&context).await);
    findings.extend(devices::check(&context));
    findings.extend(boards::check(&context).await);
    findings.extend(cameras::check(&context).await);
    findings.extend(readers::check(&context).await);
    findings
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
