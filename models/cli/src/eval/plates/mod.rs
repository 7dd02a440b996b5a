//! Plates: each photograph through the pack's own pipeline, and each reading against a list of near misses.
//!
//! *Measuring* (here) turns photographs into what was seen of each labelled plate; *summing up* ([`summary`]) turns that
//! into rates. A photograph may be seen more than once, under the perturbations of [`super::perturb`].

mod summary;

pub(crate) use summary::{Gate, GateView, PlateResult, Source, Stated, summarise};

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cardea_access::grammar::Grammars;
use cardea_models::plate::{Layout, PlateDetection, rectify};
use cardea_models::{Frame, PlatePipeline, PlateReader, Point, Rect};

use super::EvalError;
use super::judge::Judged;
use super::perturb::Perturbation;
use super::sets::{LabelledPlate, PlatePhoto};
use super::similar::{edit_distance, similar};
use super::work::{Progress, spread};

/// Overlap from which on a detection is a labelled plate (Everingham et al., 2010).
const MIN_IOU: f32 = 0.5;
/// Where no box is given, a reading at most this many characters away is of the labelled plate.
const MAX_EDITS: usize = 3;

/// How plates are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Plates on each list of near misses.
    pub(crate) allow_list: usize,
    /// Further views of each photograph.
    pub(crate) perturb: usize,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

/// The stages, once per thread.
pub(crate) struct Stages {
    pub(crate) pipeline: PlatePipeline,
    /// A second reader, for labelled boxes.
    pub(crate) reader: PlateReader,
}

/// One photograph, seen once.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// 0 is the photograph as it is.
    pub(crate) number: usize,
    pub(crate) plates: Vec<Seen>,
    /// Detections of nothing labelled.
    pub(crate) false_alarms: usize,
    /// For each reading of nothing labelled, the best score of any plate of the lists.
    pub(crate) strays: Vec<f64>,
}

/// What was seen of one labelled plate.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) plate: LabelledPlate,
    pub(crate) detected: bool,
    /// The best text of its reading; empty when there was none.
    pub(crate) read: String,
    /// The best text read on the labelled box, where there is one.
    pub(crate) on_box: Option<String>,
    /// Score of the plate itself where it leads its whole list; minus infinity otherwise.
    pub(crate) own_score: f64,
    /// For each reading of the plate, the best score of a plate that it is not.
    pub(crate) wrong_scores: Vec<f64>,
    /// What the reader saw, for the contact sheet; of misreads in the photograph as it is.
    pub(crate) crop: Option<Frame>,
}

/// Sees every photograph `1 + perturb` times.
pub(crate) fn measure(
    name: &str,
    photos: &[PlatePhoto],
    grammars: &Grammars,
    options: Options,
    stages: &(impl Fn() -> Result<Stages, EvalError> + Sync),
) -> Result<Vec<View>, EvalError> {
    let progress = Progress::new(format!("{name}: photographs with plates"), photos.len());
    let views = spread(photos, options.threads, &progress, stages, |stages, index, photo| {
        see_photo(stages, index, photo, grammars, options)
    })?;
    Ok(views.into_iter().flatten().collect())
}

fn see_photo(
    stages: &mut Stages,
    index: usize,
    photo: &PlatePhoto,
    grammars: &Grammars,
    options: Options,
) -> Result<Vec<View>, EvalError> {
    let frame = open(&photo.path)?;
    let texts: BTreeSet<String> = photo.plates.iter().filter_map(|plate| plate.text.clone()).collect();
    let near = |text: &String| similar(text, &texts, grammars, options.allow_list, options.seed).into_iter().collect();
    let lists: Vec<BTreeSet<String>> =
        photo.plates.iter().map(|plate| plate.text.as_ref().map(near).unwrap_or_default()).collect();
    (0..=options.perturb)
        .map(|number| {
            if number == 0 {
                return see(stages, &frame, &photo.plates, &lists, number);
            }
            let change = Perturbation::draw(options.seed, index as u64, number as u64);
            let changed = change.apply(&frame).map_err(|source| EvalError::picture(&photo.path, source))?;
            let plates: Vec<LabelledPlate> = photo
                .plates
                .iter()
                .map(|plate| LabelledPlate { bbox: plate.bbox.map(|area| change.map(&area, &frame)), ..plate.clone() })
                .collect();
            see(stages, &changed, &plates, &lists, number)
        })
        .collect()
}

/// A decoded picture of a set.
pub(crate) fn open(path: &Path) -> Result<Frame, EvalError> {
    let bytes = fs::read(path).map_err(|source| EvalError::Read { path: path.into(), source })?;
    Frame::decode(&bytes).map_err(|source| EvalError::picture(path, source))
}

/// A detection with what was read there.
struct Read {
    detection: PlateDetection,
    judged: Option<Judged>,
}

fn see(
    stages: &mut Stages,
    frame: &Frame,
    plates: &[LabelledPlate],
    lists: &[BTreeSet<String>],
    number: usize,
) -> Result<View, EvalError> {
    let reads: Vec<Read> = stages
        .pipeline
        .run(frame)?
        .plates
        .into_iter()
        .map(|found| Read { detection: found.detection, judged: found.reading.map(Judged::new) })
        .collect();
    let owners = assign(plates, &reads);
    let mut seen = Vec::with_capacity(plates.len());
    for (i, plate) in plates.iter().enumerate() {
        let own: Vec<&Read> =
            reads.iter().zip(&owners).filter(|(_, owner)| **owner == Some(i)).map(|(r, _)| r).collect();
        let mut outcome = judge(plate, &own, &lists[i]);
        if number == 0 {
            outcome.on_box = plate.bbox.map(|area| read_box(&mut stages.reader, frame, &area)).transpose()?;
            let misread = plate.text.as_ref().is_some_and(|text| *text != outcome.read);
            outcome.crop = if misread { crop(frame, own.first().map(|read| &read.detection), plate) } else { None };
        }
        seen.push(outcome);
    }
    let unowned = || reads.iter().zip(&owners).filter(|(_, owner)| owner.is_none()).map(|(read, _)| read);
    let worst = |judged: &Judged| lists.iter().map(|list| judged.best_score(list)).fold(f64::NEG_INFINITY, f64::max);
    Ok(View {
        number,
        plates: seen,
        false_alarms: unowned().count(),
        strays: unowned().filter_map(|read| read.judged.as_ref()).map(worst).collect(),
    })
}

fn judge(plate: &LabelledPlate, own: &[&Read], list: &BTreeSet<String>) -> Seen {
    let mut outcome = Seen {
        plate: plate.clone(),
        detected: !own.is_empty(),
        read: String::new(),
        on_box: None,
        own_score: f64::NEG_INFINITY,
        wrong_scores: Vec::new(),
        crop: None,
    };
    let Some(text) = &plate.text else { return outcome };
    for judged in own.iter().filter_map(|read| read.judged.as_ref()) {
        outcome.own_score = outcome.own_score.max(judged.score_among(text, list));
        if outcome.read.is_empty() || edit_distance(judged.text(), text) < edit_distance(&outcome.read, text) {
            judged.text().clone_into(&mut outcome.read);
        }
        outcome.wrong_scores.push(judged.best_score(list));
    }
    outcome
}

/// Which labelled plate each detection is of. A plate with a box has the one detection that overlaps it most; one
/// without a box has every detection that reads nearly as it.
fn assign(plates: &[LabelledPlate], reads: &[Read]) -> Vec<Option<usize>> {
    let mut owners: Vec<Option<usize>> = vec![None; reads.len()];
    let mut overlaps: Vec<(f32, usize, usize)> = Vec::new();
    for (i, plate) in plates.iter().enumerate() {
        for (j, read) in reads.iter().enumerate() {
            let overlap = plate.bbox.map_or(0.0, |area| area.iou(&read.detection.bbox()));
            if overlap >= MIN_IOU {
                overlaps.push((overlap, i, j));
            }
        }
    }
    overlaps.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, i, j) in overlaps {
        if owners[j].is_none() && !owners.contains(&Some(i)) {
            owners[j] = Some(i);
        }
    }
    for (owner, read) in owners.iter_mut().zip(reads).filter(|(owner, _)| owner.is_none()) {
        let Some(judged) = &read.judged else { continue };
        let near = plates.iter().enumerate().filter(|(_, plate)| plate.bbox.is_none());
        *owner = near
            .filter_map(|(i, plate)| Some((edit_distance(judged.text(), plate.text.as_ref()?), i)))
            .filter(|(edits, _)| *edits <= MAX_EDITS)
            .min()
            .map(|(_, i)| i);
    }
    owners
}

/// The best text on a labelled box; empty when nothing is read there.
fn read_box(reader: &mut PlateReader, frame: &Frame, area: &Rect) -> Result<String, EvalError> {
    let detection = PlateDetection { corners: corners(area), score: 1.0 };
    let reading = reader.read_plate(frame, &detection)?;
    Ok(reading.map_or_else(String::new, |reading| Judged::new(reading).text().to_owned()))
}

fn corners(area: &Rect) -> [Point; 4] {
    let (right, bottom) = (area.x + area.width, area.y + area.height);
    [Point::new(area.x, area.y), Point::new(right, area.y), Point::new(right, bottom), Point::new(area.x, bottom)]
}

/// The plate for the contact sheet: as detected, or where it should have been, or the whole picture.
fn crop(frame: &Frame, found: Option<&PlateDetection>, plate: &LabelledPlate) -> Option<Frame> {
    let whole = Rect { x: 0.0, y: 0.0, width: frame.width() as f32, height: frame.height() as f32 };
    let outline = found.map_or_else(|| corners(&plate.bbox.unwrap_or(whole)), |detection| detection.corners);
    let (across, down) = (outline[0].distance(outline[1]), outline[0].distance(outline[3]));
    let height = (super::report::TILE_WIDTH as f32 * down / across.max(1.0)) as usize;
    rectify(frame, &outline, [height.clamp(32, super::report::TILE_HEIGHT), super::report::TILE_WIDTH], Layout::OneLine)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(area: &Rect) -> Read {
        Read { detection: PlateDetection { corners: corners(area), score: 0.9 }, judged: None }
    }

    fn labelled(area: Option<Rect>) -> LabelledPlate {
        LabelledPlate { text: Some("A123BC77".into()), bbox: area, tags: BTreeMap::default() }
    }

    fn at(x: f32) -> Rect {
        Rect { x, y: 10.0, width: 100.0, height: 20.0 }
    }

    #[test]
    fn each_box_has_the_detection_that_overlaps_it_most() {
        let plates = [labelled(Some(at(0.0))), labelled(Some(at(200.0)))];
        let reads = [read(&at(20.0)), read(&at(5.0)), read(&at(400.0)), read(&at(201.0))];
        assert_eq!(assign(&plates, &reads), [None, Some(0), None, Some(1)]);
        assert_eq!(assign(&[labelled(None)], &reads), [None; 4]);
    }
}
