//! `cardea-models eval`: how good a pack is on labelled pictures.

use std::io::Write;

use crate::{Error, Outcome};

/// Arguments of `cardea-models eval`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(_args: &Args, _out: &mut impl Write) -> Result<Outcome, Error> {
    Ok(Outcome::Sound)
}
