//! `cardea-models verify`: whether a pack is sound.

use std::io::Write;

use crate::{Error, Outcome};

/// Arguments of `cardea-models verify`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(_args: &Args, _out: &mut impl Write) -> Result<Outcome, Error> {
    Ok(Outcome::Sound)
}
