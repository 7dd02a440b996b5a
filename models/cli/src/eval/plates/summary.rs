//! From what was seen of plates to rates.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Seen, View};
use crate::eval::curve::{Curve, Point};
use crate::eval::similar::edit_distance;
use crate::eval::stats::{Count, Rate};

/// Points of a curve in a report.
const CURVE_POINTS: usize = 200;
/// False-accept rates for which the report says what threshold they would take.
const FALSE_ACCEPT_RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// A reader's threshold and what it is said to stand for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Stated {
    pub(crate) threshold: f64,
    pub(crate) false_match_rate: Option<f64>,
}

/// What a set says about plates.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlateResult {
    pub(crate) photos: usize,
    /// The whole set, then each value of each tag.
    pub(crate) sources: Vec<Source>,
    /// Detections of nothing labelled, in the photographs as they are.
    pub(crate) false_alarms: u64,
    pub(crate) gate: Gate,
}

/// How well the plates of one source are found and read, in the photographs as they are.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// Plates that are labelled, with or without a text.
    pub(crate) plates: u64,
    pub(crate) detected: Rate,
    /// Whole text right, of the plates a person can read; one that is not detected is not read.
    pub(crate) exact: Rate,
    /// The same with the labelled box in the detector's place.
    pub(crate) exact_on_box: Rate,
    /// One minus edits over characters, of the plates that were detected.
    pub(crate) characters_right: f64,
    /// The plate is on the list and is not accepted, of the plates a person can read.
    pub(crate) false_reject: Rate,
    /// A plate of the list that it is not is accepted, of the readings.
    pub(crate) false_accept: Rate,
}

/// Decisions against lists of near misses.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Gate {
    pub(crate) stated: Stated,
    /// Plates on each list.
    pub(crate) listed: usize,
    /// Photographs as they are.
    pub(crate) plain: GateView,
    /// Those and their perturbations, where there are any.
    pub(crate) perturbed: Option<GateView>,
    /// The lowest thresholds, over all views, with at most [`FALSE_ACCEPT_RATES`] of false accepts.
    pub(crate) at_false_accept: Vec<Point>,
    /// Over all views, by threshold.
    pub(crate) curve: Vec<Point>,
}

/// Decisions over some views.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GateView {
    /// Pictures of plates that a person can read in the photograph.
    pub(crate) plates: u64,
    /// Distinct plates among them: the clusters.
    pub(crate) distinct: usize,
    /// Readings that accept a plate of the list which it is not; intervals by plate.
    pub(crate) false_accept: Rate,
    /// The same as if every reading were independent: what the figure could prove at best.
    pub(crate) false_accept_independent: Rate,
    /// Pictures of a listed plate that do not admit it; intervals by plate.
    pub(crate) false_reject: Rate,
    /// The same, of the plates that were detected.
    pub(crate) false_reject_detected: Rate,
    /// Readings of nothing labelled that accept a plate of the list.
    pub(crate) stray_accept: Rate,
}

/// Sums `views` up.
pub(crate) fn summarise(views: &[View], stated: Stated, listed: usize, seed: u64) -> PlateResult {
    let plain: Vec<&View> = views.iter().filter(|view| view.number == 0).collect();
    let plates: Vec<&Seen> = plain.iter().flat_map(|view| &view.plates).collect();
    let tags: BTreeSet<(&String, &String)> = plates.iter().flat_map(|seen| &seen.plate.tags).collect();
    let mut sources = vec![source("all", &plates, stated)];
    for (column, value) in tags {
        let tagged: Vec<&Seen> =
            plates.iter().copied().filter(|seen| seen.plate.tags.get(column) == Some(value)).collect();
        sources.push(source(&format!("{column} = {value}"), &tagged, stated));
    }
    let all: Vec<&View> = views.iter().collect();
    let more = all.len() > plain.len();
    let curve = curve(&all);
    PlateResult {
        photos: plain.len(),
        sources,
        false_alarms: plain.iter().map(|view| view.false_alarms as u64).sum(),
        gate: Gate {
            stated,
            listed,
            plain: gate(&plain, stated, seed),
            perturbed: more.then(|| gate(&all, stated, seed)),
            at_false_accept: FALSE_ACCEPT_RATES.iter().map(|rate| curve.at(curve.threshold_for(*rate))).collect(),
            curve: curve.points(CURVE_POINTS),
        },
    }
}

fn source(name: &str, plates: &[&Seen], stated: Stated) -> Source {
    let (mut detected, mut exact, mut on_box) = (Count::default(), Count::default(), Count::default());
    let (mut reject, mut accept) = (Count::default(), Count::default());
    let (mut edits, mut characters) = (0, 0);
    for seen in plates {
        detected.add(seen.detected);
        let Some(text) = &seen.plate.text else { continue };
        exact.add(seen.read == *text);
        reject.add(seen.own_score < stated.threshold);
        seen.wrong_scores.iter().for_each(|score| accept.add(*score >= stated.threshold));
        if let Some(read) = &seen.on_box {
            on_box.add(read == text);
        }
        if seen.detected {
            edits += edit_distance(&seen.read, text).min(text.len());
            characters += text.len();
        }
    }
    Source {
        name: name.to_owned(),
        plates: plates.len() as u64,
        detected: Rate::of(detected),
        exact: Rate::of(exact),
        exact_on_box: Rate::of(on_box),
        characters_right: 1.0 - edits as f64 / characters.max(1) as f64,
        false_reject: Rate::of(reject),
        false_accept: Rate::rare(accept),
    }
}

fn gate(views: &[&View], stated: Stated, seed: u64) -> GateView {
    // what was seen of one plate counts as one cluster, whatever the photograph
    let mut clusters: BTreeMap<&str, [Count; 3]> = BTreeMap::new();
    let mut stray = Count::default();
    let mut plates = 0;
    for view in views {
        view.strays.iter().for_each(|score| stray.add(*score >= stated.threshold));
        for seen in &view.plates {
            let Some(text) = &seen.plate.text else { continue };
            plates += 1;
            let [accept, reject, reject_detected] = clusters.entry(text).or_default();
            seen.wrong_scores.iter().for_each(|score| accept.add(*score >= stated.threshold));
            reject.add(seen.own_score < stated.threshold);
            if seen.detected {
                reject_detected.add(seen.own_score < stated.threshold);
            }
        }
    }
    let of = |which: usize| clusters.values().map(|counts| counts[which]).collect::<Vec<Count>>();
    GateView {
        plates,
        distinct: clusters.len(),
        false_accept: Rate::clustered(&of(0), seed),
        false_accept_independent: Rate::rare(crate::eval::stats::sum(&of(0))),
        false_reject: Rate::clustered(&of(1), seed),
        false_reject_detected: Rate::clustered(&of(2), seed),
        stray_accept: Rate::rare(stray),
    }
}

fn curve(views: &[&View]) -> Curve {
    let readable = || views.iter().flat_map(|view| &view.plates).filter(|seen| seen.plate.text.is_some());
    Curve::new(
        readable().map(|seen| seen.own_score).collect(),
        readable().flat_map(|seen| seen.wrong_scores.iter().copied()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::sets::LabelledPlate;

    fn seen(text: &str, read: &str, own_score: f64, wrong: f64, condition: &str) -> Seen {
        Seen {
            plate: LabelledPlate {
                text: (!text.is_empty()).then(|| text.to_owned()),
                bbox: None,
                tags: BTreeMap::from([("condition".to_owned(), condition.to_owned())]),
            },
            detected: !read.is_empty(),
            read: read.to_owned(),
            on_box: None,
            own_score,
            wrong_scores: if read.is_empty() { Vec::new() } else { vec![wrong] },
            crop: None,
        }
    }

    fn view(number: usize, plates: Vec<Seen>) -> View {
        View { number, plates, false_alarms: 1, strays: vec![9.0, -4.0] }
    }

    #[test]
    fn rates_are_counted_by_plate_reading_and_source() {
        let stated = Stated { threshold: 3.0, false_match_rate: Some(1e-4) };
        let nowhere = f64::NEG_INFINITY;
        let views = [
            view(
                0,
                vec![
                    seen("A123BC77", "A123BC77", 8.0, -8.0, "rain"),
                    seen("A777AA99", "A777AA9", nowhere, 5.0, "plain"),
                ],
            ),
            view(0, vec![seen("X001XX02", "", nowhere, 0.0, "rain"), seen("", "", nowhere, 0.0, "plain")]),
            view(1, vec![seen("A123BC77", "A123BC77", 2.0, -2.0, "rain")]),
        ];
        let result = summarise(&views, stated, 1_000, 1);
        assert_eq!((result.photos, result.false_alarms), (2, 2));
        let names: Vec<&str> = result.sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["all", "condition = plain", "condition = rain"]);
        let all = &result.sources[0];
        assert_eq!((all.plates, all.detected.events, all.detected.trials), (4, 2, 4));
        assert_eq!((all.exact.events, all.exact.trials), (1, 3));
        assert!((all.characters_right - 15.0 / 16.0).abs() < 1e-12);
        assert_eq!((all.false_reject.events, all.false_reject.trials), (2, 3));
        assert_eq!((all.false_accept.events, all.false_accept.trials), (1, 2));
        assert_eq!((result.sources[2].exact.events, result.sources[2].exact.trials), (1, 2));
        let plain = &result.gate.plain;
        assert_eq!((plain.plates, plain.distinct, plain.stray_accept.events, plain.stray_accept.trials), (3, 3, 2, 4));
        let more = result.gate.perturbed.unwrap();
        assert_eq!((more.plates, more.distinct, more.false_accept.trials, more.false_reject.events), (4, 3, 3, 3));
        // four readings: only a threshold above all of their wrong scores lets at most 1 % through
        assert!(result.gate.at_false_accept[0].threshold > 5.0 && result.gate.at_false_accept[2].false_accept == 0.0);
        assert_eq!((more.false_reject_detected.events, more.false_reject_detected.trials), (2, 3));
    }
}
