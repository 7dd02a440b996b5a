//! Benchmarks: what each stage costs on this machine, each beside a peer measured in the same run.
//!
//! Figures are medians. The peer is the cheapest thing that could do the same job: bare inference for a recognition stage,
//! a pipeline in Python for all of recognition, FFmpeg for H.264, faiss for the 1:N search, a bare Modbus write for a relay, one row
//! a transaction for the cloud's storage, an HTTPS call that does nothing for a revocation, the same without the crowd for a login beside
//! silent connections. The ratio is figure over peer. Where it says "99 in 100", the figure is the 99th percentile instead.
//! Computations and their peers run in turn on one
//! thread and are timed by its processor clock, so that other work on the machine costs them caches but no turns.

pub mod boards;
pub mod cameras;
pub mod cycles;
pub mod first_sync;

pub mod mosquitto;
pub mod peer;
pub mod plates;
pub mod relay;
pub mod revocation;
pub mod sales;
pub mod search;
pub mod silence;
pub mod site;
pub mod stages;
pub mod storage;
pub mod video;

use std::collections::BTreeMap;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::story::telling::line;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The median.
    pub value: f64,
    /// `ms`, `MiB`, `/s` or what it counts.
    pub unit: &'static str,
    /// What it is held against, and that one's median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// Figure over peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// What a figure is held against.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// What it is.
    pub name: &'static str,
    /// Its median, in the figure's unit.
    pub value: f64,
}

/// All figures by name.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub struct Summary(BTreeMap<String, Figure>);

impl Summary {
    /// Records a figure that stands alone.
    pub fn alone(&mut self, name: &str, value: f64, unit: &'static str) {
        self.record(name, Figure { value, unit, peer: None, ratio: None });
    }

    /// Records a figure beside its peer.
    pub fn beside(&mut self, name: &str, value: f64, unit: &'static str, peer: &'static str, peer_value: f64) {
        let ratio = (peer_value > 0.0).then(|| value / peer_value);
        self.record(name, Figure { value, unit, peer: Some(Peer { name: peer, value: peer_value }), ratio });
    }

    fn record(&mut self, name: &str, figure: Figure) {
        line(format_args!("   {name}: {:.3} {}", figure.value, figure.unit));
        self.0.insert(name.to_owned(), figure);
    }

    /// The table.
    pub fn table(&self) {
        line(format_args!("\n{:<62}{:>10} {:<5}{:<40}{:>10}{:>8}", "figure", "median", "", "peer", "median", "ratio"));
        for (name, figure) in &self.0 {
            let (peer, value) =
                figure.peer.as_ref().map_or(("-", String::new()), |p| (p.name, format!("{:.3}", p.value)));
            let ratio = figure.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            line(format_args!("{name:<62}{:>10.3} {:<5}{peer:<40}{value:>10}{ratio:>8}", figure.value, figure.unit));
        }
    }
}

/// The middle of the values; zero for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The value that this share of the values does not exceed; zero for none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * share).ceil() as usize;
    values.get(index.saturating_sub(1)).copied().unwrap_or_default()
}

/// Milliseconds of processor time that this thread has used.
pub fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_its_peer() {
        let mut summary = Summary::default();
        summary.beside("a", 3.0, "ms", "b", 2.0);
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["a"]["ratio"], 1.5);
        assert_eq!(json["a"]["peer"]["name"], "b");
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((percentile(&mut hundred, 0.99), percentile(&mut hundred, 1.0)), (99.0, 100.0));
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
