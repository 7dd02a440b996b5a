//! The decoders as plain functions over names, shapes and values: for the fuzz targets in `fuzz/` and for tests. Not part of
//! the API, and only there with the feature `fuzzing`.

use std::sync::Arc;

use crate::detect;
use crate::geometry::{Point, Rect};
use crate::manifest::{Column, Decode, LiveClass, RetinaFace, Slots, Yolo, YoloForm};
use crate::plate::PlateReading;
use crate::plate::Shapes;
use crate::plate::made::{Family, Lexicon};
use crate::tensor::TensorView;
use crate::tensor::made::Made;
use crate::{face, weights};

/// An output: name, shape, values.
pub type Output = (String, Vec<i64>, Vec<f32>);

/// One manifest entry's decoding for each family of detectors, and for the forms that differ.
pub fn detectors() -> Vec<Decode> {
    let row = vec![Column::Batch, Column::X1, Column::Y1, Column::X2, Column::Y2, Column::Class, Column::Score];
    let rows = Yolo { form: YoloForm::EndToEnd, row, classes: 1, class: None, points: 0, point_values: 3 };
    let raw = Yolo { form: YoloForm::Raw, classes: 2, class: Some(1), points: 4, ..rows.clone() };
    let centre = |points| Decode::CentrePoints {
        stride: 8,
        point_scale: 32.0,
        points,
        points_output: "points".into(),
        second_look: false,
    };
    vec![
        centre(4),
        centre(5),
        Decode::Yunet {},
        Decode::Scrfd {},
        Decode::RetinaFace(retina_face(true)),
        Decode::RetinaFace(retina_face(false)),
        Decode::Yolo(Yolo { class: Some(0), points: 4, point_values: 2, ..rows.clone() }),
        Decode::Yolo(rows),
        Decode::Yolo(Yolo { class: None, points: 0, ..raw.clone() }),
        Decode::Yolo(raw),
    ]
}

/// RetinaFace as it was published.
pub fn retina_face(softmax: bool) -> RetinaFace {
    let min_sizes = vec![vec![16.0, 32.0], vec![64.0, 128.0], vec![256.0, 512.0]];
    RetinaFace { steps: vec![8, 16, 32], min_sizes, variances: [0.1, 0.2], softmax }
}

/// One manifest entry's decoding for each family of plate readers.
pub fn readers() -> Vec<Decode> {
    let slots = |softmax| Slots { alphabet: "0123ABC_".into(), pad: '_', slots: 6, softmax, two_line: false };
    vec![
        Decode::Ctc { alphabet: "0123ABC".into(), blank: 7, two_line: false },
        Decode::Slots(slots(true)),
        Decode::Slots(slots(false)),
    ]
}

/// Names and shapes of the outputs that a network with `kind` gives for an input of `canvas` (height, width) pixels; `free`
/// is the number of rows, columns or steps where that is the network's choice.
pub fn fitting(kind: &Decode, canvas: [usize; 2], free: usize) -> Vec<(String, Vec<i64>)> {
    let output = |name: &str, shape: &[usize]| (name.to_owned(), shape.iter().map(|side| *side as i64).collect());
    let cells = |stride: usize| canvas[0].div_ceil(stride) * canvas[1].div_ceil(stride);
    match kind {
        Decode::CentrePoints { points, stride, .. } => {
            let [height, width] = canvas.map(|side| side / stride);
            vec![
                output("heatmap", &[1, 1, height, width]),
                output("points", &[1, 2 * points, height, width]),
                output("box", &[1, 4, height, width]),
            ]
        }
        Decode::Yunet {} => {
            let sides = [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)];
            let level =
                |stride| sides.map(|(name, side)| output(&format!("{name}_{stride}"), &[1, cells(stride), side]));
            [8, 16, 32].into_iter().flat_map(level).collect()
        }
        Decode::Scrfd {} => {
            let level =
                |side| [8, 16, 32].map(|stride| output(&format!("{side}_{stride}"), &[2 * cells(stride), side]));
            [1, 4, 10].into_iter().flat_map(level).collect()
        }
        Decode::RetinaFace(family) => {
            let maps = family.steps.iter().zip(&family.min_sizes);
            let count = maps.map(|(step, sizes)| cells(*step) * sizes.len()).sum();
            [4, 2, 10].map(|side| output("output", &[1, count, side])).to_vec()
        }
        Decode::Yolo(family) => {
            let points = family.points * family.point_values;
            vec![match family.form {
                YoloForm::EndToEnd => output("output0", &[free, family.row.len() + points]),
                YoloForm::Raw => output("output0", &[1, 4 + family.classes + points, free]),
            }]
        }
        Decode::Embedding { .. } => vec![output("embedding", &[1, free])],
        Decode::LiveClass(family) => vec![output("probabilities", &[1, family.classes])],
        Decode::Ctc { alphabet, .. } => vec![output("logits", &[1, free, alphabet.chars().count() + 1])],
        Decode::Slots(family) => vec![output("slots", &[1, family.slots, family.alphabet.chars().count()])],
    }
}

/// What a detector makes of `outputs`: scores, boxes and points in pixels of the input, overlapping ones suppressed. An
/// error for outputs that are not of its kind.
pub fn detect(
    kind: &Decode,
    outputs: Vec<Output>,
    canvas: [usize; 2],
    threshold: f32,
) -> Result<Vec<(f32, Rect, [Point; 5])>, String> {
    let mut found = Vec::new();
    detect::decode(kind, &Made(outputs), canvas, threshold, &mut found).map_err(|error| format!("{error:?}"))?;
    detect::suppress(&mut found);
    Ok(found.into_iter().map(|candidate| (candidate.score, candidate.bbox, candidate.points)).collect())
}

/// What a plate reader makes of `outputs`. `None` for outputs that are not of its kind.
pub fn read(kind: &Decode, outputs: Vec<Output>, shapes: &Shapes) -> Option<PlateReading> {
    let family = Family::of(kind)?;
    let lexicon = Arc::new(Lexicon::new(family.alphabet(), shapes));
    Some(PlateReading::new(lexicon, family.read(&Made(outputs)).ok()?, 1.0))
}

/// The live probability that a PAD model's output of `shape` says. `None` for an output that is not of its kind.
pub fn live(family: &LiveClass, shape: &[i64], values: &[f32]) -> Option<f32> {
    face::live_probability("output", TensorView::new(shape, values)?, family).ok()
}

/// Whether a model file is refused because its weights lie elsewhere.
pub fn weights_lie_elsewhere(file: &[u8]) -> bool {
    weights::lie_elsewhere(file)
}
