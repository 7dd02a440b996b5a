//! The whole system on one machine: the site that the demo, the playground, the benchmarks and the system tests share.
//!
//! [`site`] starts the real programs (`cardea-cloud`, `cardead`, `cardea-sim`) on ephemeral ports in a scratch folder,
//! with a certification authority of its own; [`picture`] makes what the cameras see; [`story`] plays the main job
//! chapter by chapter; [`cycles`] tries the barrier's machine in a simulated world; [`forensics`] looks for what was erased; [`fleet`] is many controllers in one process;
//! [`kills`] kills either side at any moment; [`report`] turns what happened into a page for someone who would rather look than read.

pub mod bench;
pub mod cycles;
pub mod fleet;
pub mod forensics;
pub mod kills;
pub mod look;
pub mod picture;
pub mod report;
pub mod sim;
pub mod site;
pub mod story;
