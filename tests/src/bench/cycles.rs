//! Cycles of a barrier in a simulated world with faults; unsafe states, of which there must be none.

use anyhow::ensure;

use super::Summary;
use crate::cycles;

/// As many as a busy gate has in a year.
const CYCLES: u64 = 100_000;
const SEED: u64 = 1;

/// Runs them and reports the counters.
pub fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let tally = cycles::run(CYCLES, SEED, cycles::SHARE_WITH_FAULTS, &cycles::real);
    let counted = [
        ("cycles", tally.cycles),
        ("faults injected", tally.faults),
        ("vehicles", tally.cars),
        ("unsafe states", tally.unsafe_states.total()),
        ("falls left to the drive's safety edge", tally.left_to_the_drive),
        ("booms that had to be helped down", tally.helped),
    ];
    for (name, count) in counted {
        summary.alone(&format!("barrier simulation: {name}"), count as f64, "");
    }
    ensure!(tally.unsafe_states.total() == 0, "the barrier was in an unsafe state: {tally:?}");
    Ok(())
}
