//! `cardea-models pull`: a described public pack, downloaded.

use std::io::Write;

use crate::{Error, Outcome};

/// Arguments of `cardea-models pull`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries the command out.
pub fn run(_args: &Args, _out: &mut impl Write) -> Result<Outcome, Error> {
    Ok(Outcome::Sound)
}
