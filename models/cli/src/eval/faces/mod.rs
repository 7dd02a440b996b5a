//! Faces: every portrait once through the pack's own pipeline, then all comparisons.
//!
//! A portrait in which no face is found, or one too small to make a probe, is *not acquired* (ISO/IEC 19795-1). It is
//! counted, and a comparison with it is one that is not accepted: it never disappears from a rate.

mod everyone;
mod search;
mod verification;

pub(crate) use everyone::Everyone;
pub(crate) use search::Search;
pub(crate) use verification::{AtFalseMatch, Verification};

use std::collections::{BTreeMap, BTreeSet};

use cardea_models::pipeline::FaceEvidence;
use cardea_models::{FacePipeline, Frame, Point, Rect, Template};
use serde::Serialize;

use super::EvalError;
use super::held_out::{HeldOut, identity_of};
use super::plates::open;
use super::sets::FaceSet;
use super::work::{Progress, spread};

/// Comparison score where there was nothing to compare: below any cosine.
const NOTHING: f64 = -2.0;
/// Of its width, what a face is taken to be nearer to the middle; as in the reference in Python.
const SIZE_WEIGHT: f32 = 0.3;
/// False-match rates at which the true accept rate is reported.
const FALSE_MATCH_RATES: [f64; 2] = [1e-2, 1e-3];

/// How faces are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) held_out: Option<HeldOut>,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

/// What a set says about faces.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FaceResult {
    /// Portraits that were looked at.
    pub(crate) portraits: usize,
    /// Of those, in which no face was found or none large enough.
    pub(crate) not_acquired: usize,
    /// Portraits in which several faces were found; the largest near the middle was taken.
    pub(crate) several_faces: usize,
    /// The rule by which people were left out, where there is one.
    pub(crate) held_out: Option<String>,
    /// Pairs left out by that rule.
    pub(crate) pairs_left_out: usize,
    /// Portraits of the 1:N search left out by that rule.
    pub(crate) search_left_out: usize,
    /// The embedder's threshold and the false-match rate it is said to stand for.
    pub(crate) threshold: f64,
    pub(crate) stated_false_match_rate: Option<f64>,
    pub(crate) verification: Option<Verification>,
    pub(crate) everyone: Option<Everyone>,
    pub(crate) search: Option<Search>,
    /// Fold, pictures, whether one person, and the score of each pair; for files only.
    #[serde(skip)]
    pub(crate) scores: Vec<(u32, String, String, bool, f64)>,
}

/// The face a portrait is about.
struct Portrait {
    template: Option<Template>,
    faces: usize,
}

/// Templates by the name of their picture.
pub(crate) type Templates = BTreeMap<String, Template>;

/// Looks at every portrait of `set` and compares.
pub(crate) fn measure(
    name: &str,
    set: &FaceSet,
    options: Options,
    pipeline: &(impl Fn() -> Result<FacePipeline, EvalError> + Sync),
) -> Result<FaceResult, EvalError> {
    let Restricted { set, pairs_left_out, search_left_out } = restrict(set, options.held_out);
    let pictures: Vec<_> = set.pictures.iter().collect();
    let progress = Progress::new(format!("{name}: portraits"), pictures.len());
    let portraits = spread(&pictures, options.threads, &progress, pipeline, |pipeline, _, (_, path)| {
        look_at(pipeline, &open(path)?)
    })?;
    let several_faces = portraits.iter().filter(|portrait| portrait.faces > 1).count();
    let templates: Templates = pictures
        .iter()
        .zip(portraits)
        .filter_map(|((name, _), portrait)| Some(((*name).clone(), portrait.template?)))
        .collect();
    let threshold = pipeline()?.embedder().threshold().clone();
    let scores = verification::scores(&set.pairs, &templates)?;
    Ok(FaceResult {
        portraits: pictures.len(),
        not_acquired: pictures.len() - templates.len(),
        several_faces,
        held_out: options.held_out.as_ref().map(ToString::to_string),
        pairs_left_out,
        search_left_out,
        threshold: f64::from(threshold.value),
        stated_false_match_rate: threshold.false_match_rate,
        verification: Verification::of(&scores, f64::from(threshold.value)),
        everyone: Everyone::of(&templates, f64::from(threshold.value), options.seed)?,
        search: Search::of(&set.search, &templates, f64::from(threshold.value), options.seed)?,
        scores,
    })
}

/// A set without the people training may have seen, and what that left out.
struct Restricted {
    set: FaceSet,
    pairs_left_out: usize,
    search_left_out: usize,
}

fn restrict(set: &FaceSet, rule: Option<HeldOut>) -> Restricted {
    let people = rule.map(|rule| rule.people(set));
    let allowed = |picture: &str| people.as_ref().is_none_or(|people| people.contains(identity_of(picture)));
    let pairs: Vec<_> = set.pairs.iter().filter(|pair| allowed(&pair.a) && allowed(&pair.b)).cloned().collect();
    let search: Vec<_> = set.search.iter().filter(|entry| allowed(&entry.image)).cloned().collect();
    let used: BTreeSet<&String> =
        pairs.iter().flat_map(|pair| [&pair.a, &pair.b]).chain(search.iter().map(|entry| &entry.image)).collect();
    let pictures = set.pictures.iter().filter(|(name, _)| used.contains(name));
    let pictures = pictures.map(|(name, path)| (name.clone(), path.clone())).collect();
    Restricted {
        pairs_left_out: set.pairs.len() - pairs.len(),
        search_left_out: set.search.len() - search.len(),
        set: FaceSet { pictures, pairs, search },
    }
}

/// The probe of the face that a portrait is about.
fn look_at(pipeline: &mut FacePipeline, frame: &Frame) -> Result<Portrait, EvalError> {
    let found = pipeline.run(frame)?.faces;
    let faces = found.len();
    let rank = |face: &FaceEvidence| off_centre(&face.detection.bbox, frame);
    let central = found.into_iter().min_by(|a, b| rank(a).total_cmp(&rank(b)));
    Ok(Portrait { template: central.and_then(|face| face.template), faces })
}

/// How far a face is from the middle, in pixels; a large one is a little nearer than it is, so that a small face on a
/// badge or in the background, which happens to be in the middle, does not take its place.
fn off_centre(face: &Rect, frame: &Frame) -> f32 {
    let middle = Point::new(frame.width() as f32 / 2.0, frame.height() as f32 / 2.0);
    let centre = Point::new(face.x + face.width / 2.0, face.y + face.height / 2.0);
    centre.distance(middle) - SIZE_WEIGHT * face.width
}

/// The cosine of two portraits; [`NOTHING`] where one was not acquired.
fn compare(templates: &Templates, a: &str, b: &str) -> Result<f64, EvalError> {
    match (templates.get(a), templates.get(b)) {
        (Some(a), Some(b)) => Ok(f64::from(a.compare(b)?)),
        _ => Ok(NOTHING),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::eval::sets::{FacePair, SearchEntry, SearchRole};

    #[test]
    fn a_portrait_is_about_the_large_face_near_the_middle() {
        let frame = Frame::filled(250, 250, [0; 3]);
        let at = |x: f32, y: f32, width: f32| Rect { x: x - width / 2.0, y: y - width / 2.0, width, height: width };
        let person = off_centre(&at(118.0, 130.0, 100.0), &frame);
        assert!(person < off_centre(&at(125.0, 125.0, 12.0), &frame), "a badge in the middle");
        assert!(person < off_centre(&at(30.0, 120.0, 110.0), &frame), "a neighbour");
    }

    #[test]
    fn only_people_held_out_are_left() {
        let pair = |fold, a: &str, b: &str| FacePair { fold, a: a.into(), b: b.into(), same: false };
        let entry = |image: &str| SearchEntry { role: SearchRole::Impostor, identity: "x".into(), image: image.into() };
        let names = ["Ann_1.jpg", "Ann_2.jpg", "Bob_1.jpg", "Cy_1.jpg", "Di_1.jpg"];
        let set = FaceSet {
            pictures: names.iter().map(|name| ((*name).to_owned(), PathBuf::from(name))).collect(),
            pairs: vec![
                pair(3, "Ann_1.jpg", "Bob_1.jpg"),
                pair(1, "Cy_1.jpg", "Di_1.jpg"),
                pair(2, "Ann_1.jpg", "Cy_1.jpg"),
            ],
            search: vec![entry("Ann_2.jpg"), entry("Di_1.jpg")],
        };
        let left = restrict(&set, "fold:3".parse().ok());
        assert_eq!(left.set.pictures.keys().collect::<Vec<_>>(), ["Ann_1.jpg", "Ann_2.jpg", "Bob_1.jpg"]);
        assert_eq!((left.set.pairs.len(), left.pairs_left_out, left.search_left_out), (1, 2, 1));
        let all = restrict(&set, None);
        assert_eq!((all.set.pictures.len(), all.pairs_left_out, all.search_left_out), (5, 0, 0));
    }
}
