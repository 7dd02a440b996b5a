//! Presentation attack detection: error rates per species of attack instrument (ISO/IEC 30107-3).
//!
//! *APCER* is the share of attack presentations of one species that are taken for live faces, and the species with the
//! highest is what counts; *BPCER* is the share of live faces taken for attacks. A presentation in which no face is found
//! gets no response: it is in neither rate, and counted beside them.

use std::collections::BTreeMap;

use cardea_models::FaceDetector;
use cardea_models::face::FacePad;
use serde::Serialize;

use super::EvalError;
use super::plates::open;
use super::sets::PadPhoto;
use super::stats::{Count, Rate};
use super::work::{Progress, spread};

/// A set's answer for one picture: the species shown (`None` for a live face), and the probability that it is live (`None`
/// where no face was found).
pub(crate) type Presentation = (Option<String>, Option<f64>);

/// Shows every picture to the pack's detector and presentation attack detection; the largest face is the one presented.
pub(crate) fn measure(
    name: &str,
    photos: &[PadPhoto],
    threads: usize,
    stages: &(impl Fn() -> Result<(FaceDetector, FacePad), EvalError> + Sync),
) -> Result<Vec<Presentation>, EvalError> {
    let progress = Progress::new(format!("{name}: presentations"), photos.len());
    spread(photos, threads, &progress, stages, |(detector, pad), _, photo| {
        let frame = open(&photo.path)?;
        let faces = detector.detect(&frame)?;
        let largest = faces.iter().max_by(|a, b| a.bbox.area().total_cmp(&b.bbox.area()));
        let score = largest.map(|face| pad.score(&frame, &face.bbox)).transpose()?.flatten();
        Ok((photo.species.clone(), score.map(|score| f64::from(score.live))))
    })
}

/// What a set says about presentation attacks.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PadResult {
    /// Live probability from which on a face counts as live.
    pub(crate) threshold: f64,
    /// One picture each: decisions over the frames of a track are not measured.
    pub(crate) presentations: usize,
    pub(crate) species: Vec<Species>,
    /// Live faces taken for attacks (BPCER).
    pub(crate) live_rejected: Rate,
    /// Live faces without a response (BPNRR).
    pub(crate) live_without_response: u64,
}

/// One species of attack instrument.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Species {
    pub(crate) name: String,
    /// Attacks taken for live faces (APCER).
    pub(crate) accepted: Rate,
    /// Attacks without a response (APNRR).
    pub(crate) without_response: u64,
}

impl PadResult {
    /// Sums presentations up at `threshold`.
    pub(crate) fn of(presentations: &[Presentation], threshold: f64) -> Self {
        let mut live = (Count::default(), 0);
        let mut species: BTreeMap<&str, (Count, u64)> = BTreeMap::new();
        for (shown, probability) in presentations {
            let (count, silent) = shown.as_deref().map_or(&mut live, |name| species.entry(name).or_default());
            match probability {
                // an error is an attack that passes, or a live face that does not
                Some(probability) => count.add((*probability >= threshold) == shown.is_some()),
                None => *silent += 1,
            }
        }
        Self {
            threshold,
            presentations: presentations.len(),
            species: species
                .into_iter()
                .map(|(name, (count, without_response))| Species {
                    name: name.to_owned(),
                    accepted: Rate::rare(count),
                    without_response,
                })
                .collect(),
            live_rejected: Rate::rare(live.0),
            live_without_response: live.1,
        }
    }

    /// The species that passes most often.
    pub(crate) fn worst(&self) -> Option<&Species> {
        let tried = self.species.iter().filter(|species| species.accepted.trials > 0);
        tried.max_by(|a, b| a.accepted.value.total_cmp(&b.accepted.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_species_has_its_own_rate_and_the_worst_counts() {
        let attack = |name: &str, p| (Some(name.to_owned()), p);
        let result = PadResult::of(
            &[
                (None, Some(0.9)),
                (None, Some(0.5)),
                (None, Some(0.1)),
                (None, None),
                attack("print", Some(0.2)),
                attack("print", Some(0.4)),
                attack("screen", Some(0.6)),
                attack("screen", Some(0.1)),
                attack("mask", None),
            ],
            0.5,
        );
        assert_eq!((result.live_rejected.events, result.live_rejected.trials, result.live_without_response), (1, 3, 1));
        let names: Vec<(&str, u64, u64)> =
            result.species.iter().map(|s| (s.name.as_str(), s.accepted.events, s.accepted.trials)).collect();
        assert_eq!(names, [("mask", 0, 0), ("print", 0, 2), ("screen", 1, 2)]);
        assert_eq!((result.worst().unwrap().name.as_str(), result.species[0].without_response), ("screen", 1));
        assert!(PadResult::of(&[], 0.5).worst().is_none());
    }
}
