//! The example configuration that is shipped is one the program takes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use cardea_cloud::config::Config;

#[test]
fn the_shipped_example_is_taken() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/cardea-cloud.example.toml");
    let config = Config::load(&path).unwrap();
    assert!(config.client_ca.files.iter().all(|file| file.is_absolute() || file.starts_with(path.parent().unwrap())));
}
