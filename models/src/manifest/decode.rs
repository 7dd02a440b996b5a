//! How output tensors are understood: one variant per family of models.

use serde::Deserialize;

use crate::geometry::Point;

/// How output tensors are understood.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decode {
    /// `heatmap` \[1,1,h,w\] of logits, `points` \[1,2·points,h,w\] as offsets from the cell centre divided by
    /// `point_scale`, and for faces `box` \[1,4,h,w\] (left, top, right, bottom likewise).
    CentrePoints {
        /// Pixels of the input per cell.
        stride: usize,
        /// Pixels per unit of `points` and `box`.
        point_scale: f32,
        /// 4 for plates (TL TR BR BL), 5 for faces (eyes, nose, mouth corners; left to right in the image).
        points: usize,
        /// Name of the offsets' output, where it is not `points`.
        #[serde(default = "points_output")]
        points_output: String,
        /// Whether a plate that was found is looked at once more, from near, for its corners. For a detector of dynamic size.
        #[serde(default)]
        second_look: bool,
    },
    /// YuNet: `cls_`, `obj_`, `bbox_` and `kps_` at strides 8, 16 and 32 (libfacedetection.train).
    Yunet {},
    /// SCRFD (Guo et al., 2021) with landmarks: probability, box and landmark distances at strides 8, 16 and 32, two
    /// anchors per cell.
    Scrfd {},
    /// RetinaFace (Deng et al., 2020) in its PyTorch form: offsets from prior boxes.
    RetinaFace(RetinaFace),
    /// YOLO, with suppression inside or outside the model, with corner points or without.
    Yolo(Yolo),
    /// One vector per aligned face.
    Embedding {
        /// The five landmarks in the aligned crop, in pixels.
        template: [[f32; 2]; 5],
    },
    /// Class probabilities of a face crop, one class of which is "live".
    LiveClass(LiveClass),
    /// Connectionist temporal classification (Graves et al., 2006): logits \[1,T,C\] or \[1,C,T\].
    Ctc {
        /// The classes before the blank is inserted, in order.
        alphabet: String,
        /// Index of the blank class.
        blank: usize,
        /// Trained to read a two-line plate whose lines were put side by side.
        #[serde(default)]
        two_line: bool,
    },
    /// One distribution per character position.
    Slots(Slots),
}

/// RetinaFace: `loc` \[1,N,4\], `conf` \[1,N,2\] and `landms` \[1,N,10\], whatever their names and order; N counts the
/// prior boxes of all steps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetinaFace {
    /// Pixels of the input per cell, for each feature map.
    #[serde(default = "retina_steps")]
    pub steps: Vec<usize>,
    /// Sides of the square prior boxes of each feature map, in pixels.
    #[serde(default = "retina_min_sizes")]
    pub min_sizes: Vec<Vec<f32>>,
    /// What offsets of centres and of sizes were divided by.
    #[serde(default = "retina_variances")]
    pub variances: [f32; 2],
    /// `conf` is a softmax already; otherwise it is logits.
    pub softmax: bool,
}

/// YOLO: what the rows or columns of the only output hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Yolo {
    /// Whether suppression is inside the model.
    pub form: YoloForm,
    /// End-to-end: what the columns before the corner points hold.
    #[serde(default = "yolo_row")]
    pub row: Vec<Column>,
    /// Raw: number of classes.
    #[serde(default = "one")]
    pub classes: usize,
    /// Only objects of this class count; of any, where it is not given.
    pub class: Option<usize>,
    /// Points per object: 4 corners of a plate (TL TR BR BL), 5 landmarks of a face, or 0: the box's corners serve.
    #[serde(default)]
    pub points: usize,
    /// Values per point: 2 (x, y) or 3 (x, y, visibility).
    #[serde(default = "three")]
    pub point_values: usize,
}

/// Whether suppression is inside the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YoloForm {
    /// Yes: \[N,columns\] or \[1,N,columns\], a row per object.
    EndToEnd,
    /// No: \[1,4+classes+points,N\] with centre, width and height, class probabilities, points.
    Raw,
}

/// What a column of an end-to-end output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    /// Index of the picture in the batch.
    Batch,
    /// Left edge, in pixels of the input.
    X1,
    /// Upper edge.
    Y1,
    /// Right edge.
    X2,
    /// Lower edge.
    Y2,
    /// Index of the class.
    Class,
    /// Its probability.
    Score,
}

/// Class probabilities of a face crop: \[1,classes\].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveClass {
    /// Number of classes.
    pub classes: usize,
    /// Index of the class "live".
    pub live: usize,
    /// The face's box is enlarged by this before it is cut out.
    pub crop_scale: f32,
    /// The output is a softmax already; otherwise it is logits.
    pub softmax: bool,
}

/// One distribution per character position: \[1,slots,classes\] or \[1,slots·classes\].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// The classes in order, the pad character among them.
    pub alphabet: String,
    /// The character that stands for "none here".
    #[serde(default = "underscore")]
    pub pad: char,
    /// Number of character positions.
    pub slots: usize,
    /// The output is a softmax already; otherwise it is logits.
    pub softmax: bool,
    /// Trained to read a two-line plate whose lines were put side by side.
    #[serde(default)]
    pub two_line: bool,
}

impl Slots {
    /// The index of the pad class and the other characters in order; `None` when the alphabet lacks the pad.
    pub(crate) fn pad_and_characters(&self) -> Option<(usize, String)> {
        let pad = self.alphabet.chars().position(|c| c == self.pad)?;
        Some((pad, self.alphabet.chars().filter(|c| *c != self.pad).collect()))
    }
}

impl Decode {
    /// The manifest's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CentrePoints { .. } => "centre-points",
            Self::Yunet {} => "yunet",
            Self::Scrfd {} => "scrfd",
            Self::RetinaFace(_) => "retina-face",
            Self::Yolo(_) => "yolo",
            Self::Embedding { .. } => "embedding",
            Self::LiveClass(_) => "live-class",
            Self::Ctc { .. } => "ctc",
            Self::Slots(_) => "slots",
        }
    }

    /// Whether a reader takes a two-line plate with its lines side by side.
    pub(crate) fn reads_two_lines(&self) -> bool {
        matches!(self, Self::Ctc { two_line: true, .. } | Self::Slots(Slots { two_line: true, .. }))
    }

    /// The landmark template as points, for an embedder.
    pub(crate) fn template_points(&self) -> Option<[Point; 5]> {
        match self {
            Self::Embedding { template } => Some(template.map(|[x, y]| Point::new(x, y))),
            _ => None,
        }
    }
}

fn points_output() -> String {
    "points".into()
}

fn retina_steps() -> Vec<usize> {
    vec![8, 16, 32]
}

fn retina_min_sizes() -> Vec<Vec<f32>> {
    vec![vec![16.0, 32.0], vec![64.0, 128.0], vec![256.0, 512.0]]
}

fn retina_variances() -> [f32; 2] {
    [0.1, 0.2]
}

fn yolo_row() -> Vec<Column> {
    vec![Column::Batch, Column::X1, Column::Y1, Column::X2, Column::Y2, Column::Class, Column::Score]
}

fn one() -> usize {
    1
}

fn three() -> usize {
    3
}

fn underscore() -> char {
    '_'
}
