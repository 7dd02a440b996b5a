//! SCRFD (Guo et al., 2021) as InsightFace exports it, with landmarks: at strides 8, 16 and 32 two anchors per cell, each
//! with a probability, the distances from the anchor to the box's sides and the offsets of five landmarks, in strides.
//!
//! Exports differ in the names and the order of the nine outputs, and in whether they carry a batch dimension. Each output
//! is recognised by its shape: the number of its rows tells the stride, their width what they hold.

use super::Candidate;
use crate::geometry::{Point, Rect};
use crate::tensor::{Tensors, Unexpected, probability};

/// Outputs of a file: three kinds at three strides.
pub(crate) const OUTPUTS: usize = 9;
const STRIDES: [usize; 3] = [8, 16, 32];
const ANCHORS: usize = 2;

pub(super) fn decode(
    outputs: &impl Tensors,
    canvas: [usize; 2],
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    for stride in STRIDES {
        let [height, width] = canvas.map(|side| side / stride);
        let count = height * width * ANCHORS;
        let scores = outputs.table("score", count, 1)?;
        let boxes = outputs.table("bbox", count, 4)?;
        let marks = outputs.table("kps", count, 10)?;
        let size = stride as f32;
        for (anchor, score) in scores.iter().enumerate() {
            let score = probability(*score, "score")?;
            if score < threshold {
                continue;
            }
            let cell = anchor / ANCHORS;
            // an anchor stands at the upper left pixel of its cell
            let (x, y) = ((cell % width) as f32 * size, (cell / width) as f32 * size);
            let side = |i: usize| boxes[anchor * 4 + i] * size;
            let bbox = Rect { x: x - side(0), y: y - side(1), width: side(0) + side(2), height: side(1) + side(3) };
            let mut points = [Point::default(); 5];
            for (point, mark) in points.iter_mut().zip(marks[anchor * 10..].chunks_exact(2)) {
                *point = Point::new(x + mark[0] * size, y + mark[1] * size);
            }
            found.push(Candidate { score, bbox, points });
        }
    }
    Ok(())
}
