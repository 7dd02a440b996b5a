//! RetinaFace (Deng et al., 2020) in the form its PyTorch versions export: per prior box an encoded box, two class values
//! (background, face) and ten landmark offsets.
//!
//! Prior boxes are squares of each of a feature map's `min_sizes` around the centre of each cell, map after map, row after
//! row. Offsets of centres and landmarks are in the prior's size times the first variance, logarithms of sizes in the
//! second one (Liu et al., SSD, 2016).

use super::Candidate;
use crate::geometry::{Point, Rect};
use crate::manifest::RetinaFace;
use crate::tensor::{Tensors, Unexpected, probability};

/// Outputs of a file.
pub(crate) const OUTPUTS: usize = 3;

pub(super) fn decode(
    outputs: &impl Tensors,
    family: &RetinaFace,
    canvas: [usize; 2],
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    let maps = || family.steps.iter().zip(&family.min_sizes);
    let cells = |step: usize| canvas.map(|side| side.div_ceil(step));
    let count = maps().map(|(step, sizes)| cells(*step).iter().product::<usize>() * sizes.len()).sum();
    let boxes = outputs.table("loc", count, 4)?;
    let classes = outputs.table("conf", count, 2)?;
    let marks = outputs.table("landms", count, 10)?;
    let [centre_variance, size_variance] = family.variances;
    let mut first = 0;
    for (step, sizes) in maps() {
        let [height, width] = cells(*step);
        for index in 0..height * width * sizes.len() {
            let prior = first + index;
            let score = face_probability(&classes[prior * 2..prior * 2 + 2], family.softmax)?;
            if score < threshold {
                continue;
            }
            let (cell, size) = (index / sizes.len(), sizes[index % sizes.len()]);
            let centre =
                Point::new(((cell % width) as f32 + 0.5) * *step as f32, ((cell / width) as f32 + 0.5) * *step as f32);
            let reach = centre_variance * size;
            let moved = |offset: &[f32]| Point::new(centre.x + offset[0] * reach, centre.y + offset[1] * reach);
            let shape = &boxes[prior * 4..prior * 4 + 4];
            let middle = moved(shape);
            let (box_width, box_height) =
                (size * (shape[2] * size_variance).exp(), size * (shape[3] * size_variance).exp());
            let bbox = Rect {
                x: middle.x - box_width / 2.0,
                y: middle.y - box_height / 2.0,
                width: box_width,
                height: box_height,
            };
            let mut points = [Point::default(); 5];
            for (point, mark) in points.iter_mut().zip(marks[prior * 10..].chunks_exact(2)) {
                *point = moved(mark);
            }
            found.push(Candidate { score, bbox, points });
        }
        first += height * width * sizes.len();
    }
    Ok(())
}

/// Of the class values (background, face).
fn face_probability(classes: &[f32], is_softmax: bool) -> Result<f32, Unexpected> {
    let face = if is_softmax { classes[1] } else { 1.0 / (1.0 + (classes[0] - classes[1]).exp()) };
    probability(face, "conf")
}
