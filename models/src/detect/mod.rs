//! The detectors' common part: a frame goes in, scored boxes with points come out.
//!
//! Each family of outputs has a decoder of its own, a pure function from tensors to candidates in pixels of the network's
//! input. What follows is the same for all: impossible candidates are dropped, overlapping ones suppressed greedily by
//! score, and the rest brought back to pixels of the frame.
//!
//! A score that is no number is an error, because every answer of that network is then worthless; a box or point that is
//! none, or far outside, costs its candidate only.

mod centre_points;
pub(crate) mod retina;
pub(crate) mod scrfd;
mod yolo;
pub(crate) mod yunet;

use std::fmt;

use zeroize::Zeroizing;

use crate::area::Area;
use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::{Decode, Input, ModelSpec, Threshold};
use crate::network::{InferenceError, Network};
use crate::raster::{Fit, Letterbox};
use crate::tensor::{Tensors, Unexpected};

/// Candidates that overlap more than this are one object.
const MAX_OVERLAP: f32 = 0.3;
/// Only the best candidates are compared with each other.
const MAX_CANDIDATES: usize = 256;
/// Height and width of the input of a second look, in pixels.
const NEAR: [f32; 2] = [160.0, 256.0];
/// How much of its width a plate then has.
const NEAR_SHARE: f32 = 0.6;
/// What is small is enlarged by this much at most: there is no more to be seen.
const MAX_ENLARGEMENT: f32 = 4.0;
/// A candidate of a second look needs little: that something is there is known.
const NEAR_SCORE: f32 = 0.1;
/// No coordinate of a candidate is larger, in pixels of the input: what a network means by more is not to be known.
const MAX_COORDINATE: f32 = 65_536.0;

/// Something found, in frame pixels. Plates use the first four points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) score: f32,
    pub(crate) bbox: Rect,
    pub(crate) points: [Point; 5],
}

/// A detector network with its decoder.
pub(crate) struct Detector {
    network: Network,
    letterbox: Letterbox,
    input: Input,
    decode: Decode,
    pub(crate) threshold: Threshold,
    /// Kept from frame to frame for their memory.
    found: Vec<Candidate>,
    part: Zeroizing<Frame>,
}

impl Detector {
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Self {
        Self {
            network,
            letterbox: Letterbox::default(),
            input: spec.input.clone(),
            decode: spec.decode.clone(),
            threshold: spec.threshold.clone(),
            found: Vec::new(),
            part: Zeroizing::new(Frame::filled(1, 1, [0; 3])),
        }
    }

    pub(crate) fn model(&self) -> &str {
        self.network.model()
    }

    /// Everything in `area` at or above the threshold, best first.
    pub(crate) fn detect(&mut self, frame: &Frame, area: Area) -> Result<&[Candidate], InferenceError> {
        let pixels = area.pixels(frame);
        let seen = if area.is_whole() {
            frame
        } else {
            self.part.copy_part(frame, pixels);
            &self.part
        };
        let fit = Fit::new(seen, &self.input);
        self.letterbox.fill(seen, &self.input, fit, &mut self.network.tensor);
        let (kind, threshold, found) = (&self.decode, self.threshold.value, &mut self.found);
        found.clear();
        self.network.run(fit.canvas, |outputs| decode(kind, outputs, fit.canvas, threshold, found))?;
        suppress(&mut self.found);
        let (left, top) = (pixels[0] as f32, pixels[1] as f32);
        for candidate in &mut self.found {
            candidate.bbox = fit.rect_to_frame(candidate.bbox).moved(left, top);
            candidate.points = candidate.points.map(|point| fit.to_frame(point).moved(left, top));
        }
        Ok(&self.found)
    }

    /// Never looks twice from now on.
    pub(crate) fn look_once(&mut self) {
        if let Decode::CentrePoints { second_look, .. } = &mut self.decode {
            *second_look = false;
        }
    }

    /// Whether what was found is worth [`Detector::look_again`].
    pub(crate) fn looks_twice(&self) -> bool {
        matches!(self.decode, Decode::CentrePoints { second_look: true, .. })
    }

    /// What lies in `bbox` (pixels of the frame), seen from near: scaled so that it is of the size the network knows best.
    /// `None` where nothing is found there any more.
    pub(crate) fn look_again(&mut self, frame: &Frame, bbox: Rect) -> Result<Option<Candidate>, InferenceError> {
        let width = bbox.width.max(bbox.height * NEAR[1] / NEAR[0]).max(NEAR[1] / MAX_ENLARGEMENT * NEAR_SHARE);
        let [height, width] = [NEAR[0], NEAR[1]].map(|side| width * side / (NEAR[1] * NEAR_SHARE));
        let (left, top) = (bbox.x + (bbox.width - width) / 2.0, bbox.y + (bbox.height - height) / 2.0);
        let (left, top) = (left.max(0.0).round(), top.max(0.0).round());
        // a float that is too large or no number becomes the largest or the least integer, and the part is cut short
        self.part.copy_part(frame, [left, top, width.round(), height.round()].map(|v| v as u32));
        // at the frame's edge the part is smaller, and as near
        let longer = self.part.width().max(self.part.height()) as f32;
        let fit = Fit::within(&self.part, &self.input, ((longer * NEAR[1] / width).round() as usize).max(1));
        self.letterbox.fill(&self.part, &self.input, fit, &mut self.network.tensor);
        let (kind, found) = (&self.decode, &mut self.found);
        found.clear();
        self.network.run(fit.canvas, |outputs| decode(kind, outputs, fit.canvas, NEAR_SCORE, found))?;
        suppress(&mut self.found);
        let again = self.found.iter().map(|candidate| Candidate {
            score: candidate.score,
            bbox: fit.rect_to_frame(candidate.bbox).moved(left, top),
            points: candidate.points.map(|point| fit.to_frame(point).moved(left, top)),
        });
        Ok(again.into_iter().find(|candidate| candidate.bbox.iou(&bbox) > MAX_OVERLAP))
    }
}

impl fmt::Debug for Detector {
    /// Without the buffers: they hold what the camera saw last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector").field("model", &self.model()).field("decode", &self.decode).finish_non_exhaustive()
    }
}

/// Appends to `found` what `outputs` say about an input of `canvas` (height, width) pixels, at or above `threshold`.
pub(crate) fn decode(
    kind: &Decode,
    outputs: &impl Tensors,
    canvas: [usize; 2],
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    match kind {
        Decode::CentrePoints { stride, point_scale, points, points_output, .. } => {
            let grid = centre_points::Grid { stride: *stride, scale: *point_scale, canvas };
            centre_points::decode(outputs, &grid, (*points, points_output), threshold, found)
        }
        Decode::Yunet {} => yunet::decode(outputs, canvas, threshold, found),
        Decode::Scrfd {} => scrfd::decode(outputs, canvas, threshold, found),
        Decode::RetinaFace(family) => retina::decode(outputs, family, canvas, threshold, found),
        Decode::Yolo(family) => yolo::decode(outputs, family, threshold, found),
        // a checked manifest gives a detector none of these
        Decode::Embedding { .. } | Decode::LiveClass(_) | Decode::Ctc { .. } | Decode::Slots(_) => Ok(()),
    }
}

/// Keeps the best of overlapping candidates, best first.
pub(crate) fn suppress(found: &mut Vec<Candidate>) {
    found.retain(Candidate::is_possible);
    found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_CANDIDATES);
    let mut kept = 0;
    for i in 0..found.len() {
        let candidate = found[i];
        if found[..kept].iter().all(|better| better.bbox.iou(&candidate.bbox) < MAX_OVERLAP) {
            found[kept] = candidate;
            kept += 1;
        }
    }
    found.truncate(kept);
}

impl Candidate {
    fn is_possible(&self) -> bool {
        let near = |v: f32| v.abs() <= MAX_COORDINATE;
        let Rect { x, y, width, height } = self.bbox;
        [x, y, width, height].into_iter().all(near)
            && self.bbox.area().is_normal()
            && self.points.iter().all(|p| near(p.x) && near(p.y))
    }
}

/// The corners of `bbox`, for a detector that knows no others.
fn corners(bbox: Rect) -> [Point; 5] {
    let (right, bottom) = (bbox.x + bbox.width, bbox.y + bbox.height);
    [
        Point::new(bbox.x, bbox.y),
        Point::new(right, bbox.y),
        Point::new(right, bottom),
        Point::new(bbox.x, bottom),
        Point::default(),
    ]
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(score: f32, x: f32) -> Candidate {
        let bbox = Rect { x, y: 0.0, width: 10.0, height: 10.0 };
        Candidate { score, bbox, points: [Point::default(); 5] }
    }

    #[test]
    fn the_best_of_overlapping_candidates_stays() {
        let mut found = vec![candidate(0.5, 1.0), candidate(0.9, 0.0), candidate(0.4, 30.0), candidate(0.3, 31.0)];
        suppress(&mut found);
        assert_eq!(found.iter().map(|c| c.score).collect::<Vec<_>>(), [0.9, 0.4]);
    }

    #[test]
    fn impossible_candidates_are_dropped() {
        let good = candidate(0.9, 0.0);
        for value in [f32::NAN, f32::INFINITY, 1e30, -1e30] {
            let mut boxed = good;
            boxed.bbox.width = value;
            let mut pointed = candidate(0.8, 50.0);
            pointed.points[3].y = value;
            let mut found = vec![boxed, pointed, Candidate { bbox: Rect::default(), ..good }];
            suppress(&mut found);
            assert!(found.is_empty(), "{value}: {found:?}");
        }
    }

    #[test]
    fn corners_go_round_from_the_top_left() {
        let [tl, tr, br, bl, _] = corners(Rect { x: 1.0, y: 2.0, width: 30.0, height: 10.0 });
        assert_eq!((tl, br), (Point::new(1.0, 2.0), Point::new(31.0, 12.0)));
        assert_eq!((tr, bl), (Point::new(31.0, 2.0), Point::new(1.0, 12.0)));
    }
}
