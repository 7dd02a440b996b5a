//! YOLO detectors of plates (or of faces, with five points).
//!
//! *End-to-end* exports have suppression inside and give a row per object; *raw* heads (v8, v9 and later, anchor-free) give
//! a column per candidate: centre, width and height in pixels of the input, a probability per class, then the points.

use super::{Candidate, corners};
use crate::geometry::{Point, Rect};
use crate::manifest::{Column, Yolo, YoloForm};
use crate::tensor::{TensorView, Tensors, Unexpected, probability};

pub(super) fn decode(
    outputs: &impl Tensors,
    family: &Yolo,
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    let (name, view) = outputs.first()?;
    match family.form {
        YoloForm::EndToEnd => rows(&name, view, family, threshold, found),
        YoloForm::Raw => columns(&name, view, family, threshold, found),
    }
}

fn rows(
    name: &str,
    view: TensorView<'_>,
    family: &Yolo,
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    let width = family.row.len() + family.points * family.point_values;
    if view.rows(width).is_none() {
        return Err(Unexpected::new(name, format!("[N, {width}] or [1, N, {width}]"), view.describe()));
    }
    let place = |column: Column| family.row.iter().position(|c| *c == column);
    let places = [Column::X1, Column::Y1, Column::X2, Column::Y2, Column::Score].map(place);
    let [Some(left), Some(top), Some(right), Some(bottom), Some(score_at)] = places else {
        return Err(Unexpected::new(name, "columns x1, y1, x2, y2 and score", "a manifest without them"));
    };
    for row in view.data().chunks_exact(width) {
        let score = probability(row[score_at], name)?;
        let foreign = match (family.class, place(Column::Class)) {
            (Some(class), Some(at)) => (row[at] - class as f32).abs() > 0.5,
            _ => false,
        };
        if score < threshold || foreign {
            continue;
        }
        let bbox = Rect { x: row[left], y: row[top], width: row[right] - row[left], height: row[bottom] - row[top] };
        let points = points(family, bbox, |i| row[family.row.len() + i]);
        found.push(Candidate { score, bbox, points });
    }
    Ok(())
}

fn columns(
    name: &str,
    view: TensorView<'_>,
    family: &Yolo,
    threshold: f32,
    found: &mut Vec<Candidate>,
) -> Result<(), Unexpected> {
    let planes = 4 + family.classes + family.points * family.point_values;
    let [1, found_planes, count] = *view.shape() else {
        return Err(Unexpected::new(name, format!("[1, {planes}, N]"), view.describe()));
    };
    if found_planes != planes as i64 {
        return Err(Unexpected::new(name, format!("[1, {planes}, N]"), view.describe()));
    }
    let (data, count) = (view.data(), usize::try_from(count).unwrap_or(0));
    let counted = match family.class {
        Some(class) => class..class + 1,
        None => 0..family.classes,
    };
    for candidate in 0..count {
        let value = |plane: usize| data[plane * count + candidate];
        let mut score = 0.0_f32;
        for class in counted.clone() {
            score = score.max(probability(value(4 + class), name)?);
        }
        if score < threshold {
            continue;
        }
        let [x, y, width, height] = [0, 1, 2, 3].map(value);
        let bbox = Rect { x: x - width / 2.0, y: y - height / 2.0, width, height };
        let points = points(family, bbox, |i| value(4 + family.classes + i));
        found.push(Candidate { score, bbox, points });
    }
    Ok(())
}

/// The points of an object from its values, or the corners of its box.
fn points(family: &Yolo, bbox: Rect, value: impl Fn(usize) -> f32) -> [Point; 5] {
    if family.points == 0 {
        return corners(bbox);
    }
    let mut points = [Point::default(); 5];
    for (i, point) in points.iter_mut().enumerate().take(family.points) {
        *point = Point::new(value(i * family.point_values), value(i * family.point_values + 1));
    }
    points
}
