//! Centre points: a heat map of object centres with offsets to points (after CenterNet, Zhou et al. 2019).

use super::Candidate;
use crate::geometry::{Point, Rect};
use crate::tensor::{Tensors, Unexpected};

/// Where the cells lie.
pub(super) struct Grid {
    pub(super) stride: usize,
    pub(super) scale: f32,
    pub(super) canvas: [usize; 2],
}

/// `count` points per object, in the output called `points_output`.
pub(super) fn decode(
    outputs: &impl Tensors,
    grid: &Grid,
    (count, points_output): (usize, &str),
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    let [height, width] = grid.canvas.map(|side| side / grid.stride);
    let cells = height * width;
    let heat = outputs.shaped("heatmap", &[1, 1, height, width])?;
    let offsets = outputs.shaped(points_output, &[1, 2 * count, height, width])?;
    // a face's box is not given by its landmarks; a plate's is given by its corners
    let sides = if count == 5 { Some(outputs.shaped("box", &[1, 4, height, width])?) } else { None };
    let lowest = (threshold / (1.0 - threshold)).ln();
    for cell in 0..cells {
        let logit = heat[cell];
        if logit.is_nan() {
            return Err(Unexpected::new("heatmap", "logits", "NaN"));
        }
        let (row, column) = (cell / width, cell % width);
        if logit < lowest || !is_peak(heat, [height, width], row, column) {
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
            None => Rect::around(&points[..count.min(5)]),
        };
        found.push(Candidate { score: 1.0 / (1.0 + (-logit).exp()), bbox, points });
    }
    Ok(())
}

fn is_peak(heat: &[f32], [height, width]: [usize; 2], row: usize, column: usize) -> bool {
    let logit = heat[row * width + column];
    (row.saturating_sub(1)..(row + 2).min(height))
        .all(|r| (column.saturating_sub(1)..(column + 2).min(width)).all(|c| heat[r * width + c] <= logit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_not_below_its_neighbours() {
        let heat = [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0];
        assert!(is_peak(&heat, [3, 3], 2, 0));
        assert!(!is_peak(&heat, [3, 3], 1, 1));
        assert!(!is_peak(&heat, [3, 3], 0, 1));
    }
}
