//! The detectors' common part: a frame goes in, scored boxes with points come out.
//!
//! Two output formats are understood: centre points (a heat map of object centres with offsets, after CenterNet, Zhou et
//! al. 2019) and YuNet's three strides. Overlapping candidates are suppressed greedily by score.

use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::{Decode, Input, ModelSpec, Threshold};
use crate::network::{InferenceError, Network, Outputs};
use crate::raster::{Fit, Letterbox};

/// Candidates that overlap more than this are one object.
const MAX_OVERLAP: f32 = 0.3;
/// Only the best candidates are compared with each other.
const MAX_CANDIDATES: usize = 256;

/// Something found, in frame pixels. Plates use the first four points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) score: f32,
    pub(crate) bbox: Rect,
    pub(crate) points: [Point; 5],
}

/// A detector network with its decoder.
#[derive(Debug)]
pub(crate) struct Detector {
    network: Network,
    letterbox: Letterbox,
    input: Input,
    decode: Decode,
    pub(crate) threshold: Threshold,
}

impl Detector {
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Self {
        Self {
            network,
            letterbox: Letterbox::default(),
            input: spec.input.clone(),
            decode: spec.decode.clone(),
            threshold: spec.threshold.clone(),
        }
    }

    pub(crate) fn model(&self) -> &str {
        self.network.model()
    }

    /// Everything at or above the threshold, best first.
    pub(crate) fn detect(&mut self, frame: &Frame) -> Result<Vec<Candidate>, InferenceError> {
        let fit = Fit::new(frame, &self.input);
        self.letterbox.fill(frame, &self.input, fit, &mut self.network.tensor);
        let (decode, threshold) = (&self.decode, self.threshold.value);
        let found = self.network.run(fit.canvas, |outputs| match decode {
            Decode::Yunet {} => yunet(outputs, fit.canvas, threshold),
            Decode::CentrePoints { stride, point_scale, points, points_output } => {
                let grid = Grid { stride: *stride, scale: *point_scale, canvas: fit.canvas };
                centre_points(outputs, &grid, (*points, points_output), threshold)
            }
            // the manifest admits only the two above for a detector
            Decode::Embedding { .. } | Decode::Ctc { .. } => Ok(Vec::new()),
        })?;
        let mut kept = suppress(found);
        for candidate in &mut kept {
            candidate.bbox = fit.rect_to_frame(candidate.bbox);
            candidate.points = candidate.points.map(|point| fit.to_frame(point));
        }
        Ok(kept)
    }
}

struct Grid {
    stride: usize,
    scale: f32,
    canvas: [usize; 2],
}

fn centre_points(
    outputs: &Outputs<'_, '_>,
    grid: &Grid,
    (count, points_output): (usize, &str),
    threshold: f32,
) -> Result<Vec<Candidate>, InferenceError> {
    let [height, width] = grid.canvas.map(|side| side / grid.stride);
    let cells = height * width;
    let heat = outputs.shaped("heatmap", &[1, 1, height, width])?;
    let offsets = outputs.shaped(points_output, &[1, 2 * count, height, width])?;
    // a face's box is not given by its landmarks; a plate's is given by its corners
    let sides = if count == 5 { Some(outputs.shaped("box", &[1, 4, height, width])?) } else { None };
    let lowest = (threshold / (1.0 - threshold)).ln();
    let mut found = Vec::new();
    for cell in 0..cells {
        let (row, column) = (cell / width, cell % width);
        let logit = heat[cell];
        if logit.is_nan() || logit < lowest || !is_peak(heat, [height, width], row, column) {
            continue;
        }
        let centre = Point::new((column as f32 + 0.5) * grid.stride as f32, (row as f32 + 0.5) * grid.stride as f32);
        let at = |data: &[f32], plane: usize| data[plane * cells + cell] * grid.scale;
        let mut points = [Point::default(); 5];
        for (i, point) in points.iter_mut().enumerate().take(count) {
            *point = Point::new(centre.x + at(offsets, 2 * i), centre.y + at(offsets, 2 * i + 1));
        }
        let bbox = match sides {
            Some(sides) => Rect {
                x: centre.x - at(sides, 0),
                y: centre.y - at(sides, 1),
                width: at(sides, 0) + at(sides, 2),
                height: at(sides, 1) + at(sides, 3),
            },
            None => Rect::around(&points[..count]),
        };
        found.push(Candidate { score: 1.0 / (1.0 + (-logit).exp()), bbox, points });
    }
    Ok(found)
}

fn is_peak(heat: &[f32], [height, width]: [usize; 2], row: usize, column: usize) -> bool {
    let logit = heat[row * width + column];
    (row.saturating_sub(1)..(row + 2).min(height))
        .all(|r| (column.saturating_sub(1)..(column + 2).min(width)).all(|c| heat[r * width + c] <= logit))
}

fn yunet(outputs: &Outputs<'_, '_>, canvas: [usize; 2], threshold: f32) -> Result<Vec<Candidate>, InferenceError> {
    let mut found = Vec::new();
    for stride in [8_usize, 16, 32] {
        let [height, width] = canvas.map(|side| side / stride);
        let cells = height * width;
        let class = outputs.shaped(&format!("cls_{stride}"), &[1, cells, 1])?;
        let object = outputs.shaped(&format!("obj_{stride}"), &[1, cells, 1])?;
        let boxes = outputs.shaped(&format!("bbox_{stride}"), &[1, cells, 4])?;
        let marks = outputs.shaped(&format!("kps_{stride}"), &[1, cells, 10])?;
        for cell in 0..cells {
            let score = (class[cell].clamp(0.0, 1.0) * object[cell].clamp(0.0, 1.0)).sqrt();
            if score.is_nan() || score < threshold {
                continue;
            }
            let (row, column) = ((cell / width) as f32, (cell % width) as f32);
            let size = stride as f32;
            let shape = &boxes[cell * 4..cell * 4 + 4];
            let (box_width, box_height) = (shape[2].exp() * size, shape[3].exp() * size);
            let bbox = Rect {
                x: (column + shape[0]) * size - box_width / 2.0,
                y: (row + shape[1]) * size - box_height / 2.0,
                width: box_width,
                height: box_height,
            };
            let mut points = [Point::default(); 5];
            for (point, mark) in points.iter_mut().zip(marks[cell * 10..].chunks_exact(2)) {
                *point = Point::new((column + mark[0]) * size, (row + mark[1]) * size);
            }
            found.push(Candidate { score, bbox, points });
        }
    }
    Ok(found)
}

/// Keeps the best of overlapping candidates, best first.
fn suppress(mut found: Vec<Candidate>) -> Vec<Candidate> {
    found.retain(|candidate| candidate.bbox.area().is_normal());
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        if kept.iter().all(|better| better.bbox.iou(&candidate.bbox) < MAX_OVERLAP) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(score: f32, x: f32) -> Candidate {
        let bbox = Rect { x, y: 0.0, width: 10.0, height: 10.0 };
        Candidate { score, bbox, points: [Point::default(); 5] }
    }

    #[test]
    fn the_best_of_overlapping_candidates_stays() {
        let kept = suppress(vec![candidate(0.5, 1.0), candidate(0.9, 0.0), candidate(0.4, 30.0)]);
        assert_eq!(kept.iter().map(|c| c.score).collect::<Vec<_>>(), [0.9, 0.4]);
    }

    #[test]
    fn boxes_without_area_or_number_are_dropped() {
        let mut bad = candidate(0.9, 0.0);
        bad.bbox.width = f32::NAN;
        assert!(suppress(vec![bad, Candidate { bbox: Rect::default(), ..bad }]).is_empty());
    }

    #[test]
    fn a_peak_is_not_below_its_neighbours() {
        let heat = [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0];
        assert!(is_peak(&heat, [3, 3], 2, 0));
        assert!(!is_peak(&heat, [3, 3], 1, 1));
        assert!(!is_peak(&heat, [3, 3], 0, 1));
    }
}
