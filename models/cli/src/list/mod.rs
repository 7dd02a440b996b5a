//! `cardea-models list`: what packs are here, or can be had.

use std::io::Write;

use crate::{Error, Outcome};

/// Arguments of `cardea-models list`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(_args: &Args, _out: &mut impl Write) -> Result<Outcome, Error> {
    Ok(Outcome::Sound)
}
