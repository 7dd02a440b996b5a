//! 1:N, open set: who of the enrolled is this, if anybody? (ISO/IEC 19795-1: FPIR and FNIR.)

use std::collections::{BTreeMap, BTreeSet};

use cardea_models::Gallery;
use serde::Serialize;

use super::{NOTHING, Templates};
use crate::eval::EvalError;
use crate::eval::curve::{Curve, Point};
use crate::eval::sets::{SearchEntry, SearchRole};
use crate::eval::stats::{Count, Rate};

/// False-positive identification rate at which the true-positive rate is reported.
const FALSE_POSITIVE_RATE: f64 = 0.01;
/// Points of a curve in a report.
const CURVE_POINTS: usize = 300;

/// What the search says.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Search {
    /// People enrolled, and templates of them.
    pub(crate) enrolled: usize,
    pub(crate) references: usize,
    /// People none of whose portraits could be enrolled: their probes are misses.
    pub(crate) not_enrolled: usize,
    /// Probes of enrolled people, and how many of them were not acquired.
    pub(crate) mated: u64,
    pub(crate) mated_not_acquired: u64,
    /// Probes of others, and how many of them were not acquired.
    pub(crate) impostors: u64,
    pub(crate) impostors_not_acquired: u64,
    /// Mated probes whose best match is right, whatever the score; intervals by person.
    pub(crate) rank_one: Rate,
    /// At the manifest's threshold: impostors that match anybody.
    pub(crate) false_positive: Rate,
    /// At the manifest's threshold: mated probes that do not match, or match another; intervals by person.
    pub(crate) false_negative: Rate,
    /// Mated probes identified where at most 1 % of the impostors match anybody; intervals by person.
    pub(crate) true_positive: Rate,
    /// That threshold.
    pub(crate) threshold: f64,
    pub(crate) curve: Vec<Point>,
}

/// One probe's best match.
struct Found {
    identity: String,
    /// Whether it is who it is.
    right: bool,
    score: f64,
}

impl Search {
    /// Enrols and searches; `None` where the set has no such table, or the rule left nobody.
    pub(super) fn of(
        entries: &[SearchEntry],
        templates: &Templates,
        threshold: f64,
        seed: u64,
    ) -> Result<Option<Self>, EvalError> {
        let with = |role: SearchRole| entries.iter().filter(move |entry| entry.role == role);
        let Some(model) = templates.values().next().map(|template| template.model().to_owned()) else {
            return Ok(None);
        };
        let mut gallery: Gallery<String> = Gallery::new(&model);
        let mut enrolled = BTreeSet::new();
        for entry in with(SearchRole::Enrol) {
            if let Some(template) = templates.get(&entry.image) {
                gallery.add(entry.identity.clone(), template)?;
                enrolled.insert(entry.identity.clone());
            }
        }
        let wanted: BTreeSet<&String> = with(SearchRole::Enrol).map(|entry| &entry.identity).collect();
        let look = |role| with(role).map(|entry| find(&gallery, entry, templates)).collect::<Result<Vec<_>, _>>();
        let (mated, impostors) = (look(SearchRole::Probe)?, look(SearchRole::Impostor)?);
        if mated.is_empty() || impostors.is_empty() {
            return Ok(None);
        }
        // what matches another is no match
        let score = |found: &Found| if found.right { found.score } else { f64::NEG_INFINITY };
        let curve = Curve::new(mated.iter().map(score).collect(), impostors.iter().map(|found| found.score).collect());
        let strict = curve.threshold_for(FALSE_POSITIVE_RATE);
        let missing = |found: &[Found]| found.iter().filter(|found| found.score == NOTHING).count() as u64;
        Ok(Some(Self {
            enrolled: enrolled.len(),
            references: gallery.len(),
            not_enrolled: wanted.len() - enrolled.len(),
            mated: mated.len() as u64,
            mated_not_acquired: missing(&mated),
            impostors: impostors.len() as u64,
            impostors_not_acquired: missing(&impostors),
            rank_one: by_person(&mated, seed, |found| found.right),
            false_positive: Rate::of(curve.accepted_impostors(threshold)),
            false_negative: by_person(&mated, seed, |found| score(found) < threshold),
            true_positive: by_person(&mated, seed, |found| score(found) >= strict),
            threshold: strict,
            curve: curve.points(CURVE_POINTS),
        }))
    }
}

fn find(gallery: &Gallery<String>, entry: &SearchEntry, templates: &Templates) -> Result<Found, EvalError> {
    let found = templates.get(&entry.image).map(|probe| gallery.search(probe)).transpose()?.flatten();
    Ok(Found {
        identity: entry.identity.clone(),
        right: found.as_ref().is_some_and(|found| found.id == entry.identity),
        score: found.map_or(NOTHING, |found| f64::from(found.score_cosine)),
    })
}

fn by_person(mated: &[Found], seed: u64, event: impl Fn(&Found) -> bool) -> Rate {
    let mut people: BTreeMap<&str, Count> = BTreeMap::new();
    for found in mated {
        people.entry(&found.identity).or_default().add(event(found));
    }
    Rate::clustered(&people.into_values().collect::<Vec<_>>(), seed)
}

#[cfg(test)]
mod tests {
    use cardea_models::Template;

    use super::*;

    /// A template of 16 values in the encoding of `Template::to_bytes`, near axis `axis`.
    fn template(axis: usize, lean: f32) -> Template {
        let mut values = [0.0_f32; 16];
        values[axis] = 1.0;
        values[15] = lean;
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        let mut bytes = b"CFT1\x01e\x10\x00".to_vec();
        bytes.extend(values.iter().flat_map(|v| (v / length).to_le_bytes()));
        Template::from_bytes(&bytes).unwrap()
    }

    fn entry(role: SearchRole, identity: &str, image: &str) -> SearchEntry {
        SearchEntry { role, identity: identity.into(), image: image.into() }
    }

    #[test]
    fn misses_strangers_and_missing_portraits_are_counted() {
        let templates: Templates = [
            ("ann1", template(0, 0.0)),
            ("ann2", template(0, 0.3)),
            ("bob1", template(1, 0.0)),
            // looks like Ann, is Bob
            ("bob2", template(0, 0.1)),
            ("cy1", template(1, 2.0)),
            ("di1", template(2, 0.0)),
        ]
        .into_iter()
        .map(|(name, template)| (name.to_owned(), template))
        .collect();
        use SearchRole::*;
        let entries = [
            entry(Enrol, "ann", "ann1"),
            entry(Enrol, "bob", "bob1"),
            entry(Enrol, "eve", "eve1"),
            entry(Probe, "ann", "ann2"),
            entry(Probe, "bob", "bob2"),
            entry(Probe, "ann", "ann3"),
            entry(Probe, "eve", "eve2"),
            entry(Impostor, "cy", "cy1"),
            entry(Impostor, "di", "di1"),
            entry(Impostor, "fay", "fay1"),
        ];
        let found = Search::of(&entries, &templates, 0.4, 1).unwrap().unwrap();
        assert_eq!((found.enrolled, found.references, found.not_enrolled), (2, 2, 1));
        assert_eq!(
            (found.mated, found.mated_not_acquired, found.impostors, found.impostors_not_acquired),
            (4, 2, 3, 1)
        );
        assert_eq!((found.rank_one.events, found.rank_one.trials), (1, 4));
        assert_eq!((found.false_negative.events, found.false_positive.events), (3, 1));
        // no impostor may pass: above Cy's 0.447 only Ann's probe is left
        assert!(found.threshold > 0.447 && found.true_positive.events == 1);
        assert!(Search::of(&entries[..3], &templates, 0.4, 1).unwrap().is_none());
        assert!(Search::of(&entries, &Templates::new(), 0.4, 1).unwrap().is_none());
    }
}
