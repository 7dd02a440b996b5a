//! YuNet (Wu et al., 2023; libfacedetection.train): one anchor per cell at three strides, class and object probability
//! apart.

use super::Candidate;
use crate::geometry::{Point, Rect};
use crate::tensor::{Tensors, Unexpected};

/// Strides and the names of their outputs: class, object, box, landmarks.
const LEVELS: [(usize, [&str; 4]); 3] = [
    (8, ["cls_8", "obj_8", "bbox_8", "kps_8"]),
    (16, ["cls_16", "obj_16", "bbox_16", "kps_16"]),
    (32, ["cls_32", "obj_32", "bbox_32", "kps_32"]),
];

/// The names a YuNet file has.
pub(crate) fn output_names() -> impl Iterator<Item = &'static str> {
    LEVELS.iter().flat_map(|(_, names)| *names)
}

pub(super) fn decode(
    outputs: &impl Tensors,
    canvas: [usize; 2],
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    for (stride, [class_name, object_name, box_name, mark_name]) in LEVELS {
        let [height, width] = canvas.map(|side| side / stride);
        let cells = height * width;
        let class = outputs.shaped(class_name, &[1, cells, 1])?;
        let object = outputs.shaped(object_name, &[1, cells, 1])?;
        let boxes = outputs.shaped(box_name, &[1, cells, 4])?;
        let marks = outputs.shaped(mark_name, &[1, cells, 10])?;
        for cell in 0..cells {
            let score = (class[cell].clamp(0.0, 1.0) * object[cell].clamp(0.0, 1.0)).sqrt();
            if score.is_nan() {
                return Err(Unexpected::new(class_name, "probabilities", "NaN"));
            }
            if score < threshold {
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
    Ok(())
}
