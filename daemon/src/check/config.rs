//! Is the configuration readable, known and possible?

use std::path::Path;

use super::{Finding, chain};
use crate::config::{Config, ConfigError};

const NAME: &str = "configuration";

/// The configuration, if it can be used.
pub(super) fn check(path: &Path) -> (Option<Config>, Vec<Finding>) {
    match Config::load(path) {
        Ok(config) => {
            let points = config.access_points.len();
            let found = format!("{} is valid and has {points} access points", path.display());
            let finding = if points == 0 {
                Finding::warning(NAME, found, "add an [[access_point]] for each barrier and door")
            } else {
                Finding::ok(NAME, found)
            };
            (Some(config), vec![finding])
        }
        Err(ConfigError::Invalid { problems, .. }) => {
            let finding = |problem| Finding::failure(NAME, problem, format!("correct {}", path.display()));
            (None, problems.into_iter().map(finding).collect())
        }
        Err(error) => {
            let todo = "correct the file; `cardead config --example` prints one that works";
            (None, vec![Finding::failure(NAME, chain(&error), todo)])
        }
    }
}
