//! A few seeds of the simulation, always the same ones; `make sim` plays many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cardea_tests::sim::coverage::Coverage;
use cardea_tests::sim::{Ground, play};

#[test]
fn nothing_breaks_whatever_goes_wrong() {
    let (ground, coverage) = (Ground::new().unwrap(), Coverage::default());
    for seed in 0..16 {
        let outcome = play(&ground, seed, false, &coverage).unwrap();
        assert!(outcome.broken.is_empty(), "seed {seed}: {:#?}\n{}", outcome.broken, outcome.trace.join("\n"));
    }
    println!("{:?}", coverage.counts());
}

#[test]
fn a_seed_is_one_history() {
    let hash = |seed| {
        let outcome = play(&Ground::new().unwrap(), seed, false, &Coverage::default()).unwrap();
        outcome.hash
    };
    for seed in [1, 7, 19] {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
    assert_ne!(hash(1), hash(2));
}
