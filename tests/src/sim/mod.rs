//! The system on a clock that stands still while anything runs: cloud, network and controllers in one thread, from one seed.
//!
//! Everything that can be is the real code: the cloud's storage and sync, the controllers' stores, gates and sync tasks, every
//! signature. What is simulated is at the edge: clocks ([`clock`]), disks ([`disk`]), the network with its broker ([`network`]),
//! locks and readers ([`house`]). A seed is one history of operations ([`operations`]) and faults ([`world`]); what must never happen is looked for
//! as messages pass ([`witness`]), after each step ([`invariants`]) and at the end ([`rest`]). The same seed gives the same history to the millisecond.
//!
//! **To add a fault:** an arm in [`world`]'s `misfortune`, what ends it in `Due`, a name in [`coverage`].

mod clock;
mod cloud;
mod controller;
pub mod coverage;
mod desk;
mod disk;
mod ground;
mod guests;
mod house;
mod invariants;
mod network;
mod operations;
mod people;
mod reading;
mod rest;
mod trace;
mod witness;
mod world;

use anyhow::Result;

use coverage::Coverage;
pub use ground::Ground;

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What must never happen and did.
    pub broken: Vec<String>,
    /// The hash of everything that happened.
    pub hash: String,
    /// The end of what happened, for people.
    pub trace: Vec<String>,
}

/// Plays one seed. A loud one prints what happens.
pub fn play(ground: &Ground, seed: u64, loud: bool, coverage: &Coverage) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let mut world = world::World::new(ground, seed, loud, coverage.clone()).await?;
        let lived = world.live().await;
        if let Err(error) = lived {
            world.breaks(format!("the simulation itself fails: {error:#}"));
        }
        Ok(world.end())
    })
}
