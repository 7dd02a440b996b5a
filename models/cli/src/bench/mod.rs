//! `cardea-models bench`: how fast each model of a pack is on this machine.

use std::io::Write;

use crate::{Error, Outcome};

/// Arguments of `cardea-models bench`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(_args: &Args, _out: &mut impl Write) -> Result<Outcome, Error> {
    Ok(Outcome::Sound)
}
