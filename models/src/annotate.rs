//! Boxes, landmarks, outlines and short texts drawn onto frames, for reports and for aiming a camera.

use crate::frame::Frame;
use crate::geometry::{Point, Rect};

/// An RGB colour.
pub type Colour = [u8; 3];

/// Granted, found.
pub const GREEN: Colour = [40, 200, 80];
/// Denied.
pub const RED: Colour = [230, 60, 50];
/// Undecided.
pub const YELLOW: Colour = [245, 200, 40];
/// Behind texts.
const SHADE: Colour = [16, 18, 22];

/// A straight line, `thickness` pixels wide; what lies outside the frame is left out.
pub fn line(frame: &mut Frame, from: Point, to: Point, thickness: u32, colour: Colour) {
    let reach = (frame.width() + frame.height()) as f32;
    let finite = [from.x, from.y, to.x, to.y].iter().all(|v| v.is_finite() && v.abs() < 4.0 * reach);
    if !finite {
        return;
    }
    let steps = (to.x - from.x).abs().max((to.y - from.y).abs()).ceil().max(1.0) as u32;
    for i in 0..=steps {
        let share = i as f32 / steps as f32;
        dot(frame, Point::new(from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share), thickness, colour);
    }
}

/// A square spot of `size` pixels.
pub fn dot(frame: &mut Frame, at: Point, size: u32, colour: Colour) {
    let half = (size / 2) as f32;
    for i in 0..size * size {
        let (x, y) = ((at.x - half).floor() + (i % size) as f32, (at.y - half).floor() + (i / size) as f32);
        if x >= 0.0 && y >= 0.0 {
            frame.set_pixel(x as u32, y as u32, colour);
        }
    }
}

/// The closed outline through `points`.
pub fn outline(frame: &mut Frame, points: &[Point], thickness: u32, colour: Colour) {
    for (i, from) in points.iter().enumerate() {
        line(frame, *from, points[(i + 1) % points.len()], thickness, colour);
    }
}

/// The outline of an upright box.
pub fn rect(frame: &mut Frame, area: &Rect, thickness: u32, colour: Colour) {
    let (right, bottom) = (area.x + area.width, area.y + area.height);
    let corners =
        [Point::new(area.x, area.y), Point::new(right, area.y), Point::new(right, bottom), Point::new(area.x, bottom)];
    outline(frame, &corners, thickness, colour);
}

/// `text` on a dark strip whose top left corner is `at`, moved inside the frame where possible. Letters are
/// `8 * scale` pixels high; small letters appear as capitals, other characters as `?`.
pub fn label(frame: &mut Frame, at: Point, text: &str, scale: u32, colour: Colour) {
    let scale = scale.clamp(1, 16);
    let width = text.chars().count() as u32 * 6 * scale + scale;
    let height = 9 * scale;
    let inside = |v: f32, room: u32| v.max(0.0).min(room as f32) as u32;
    let left = inside(at.x, frame.width().saturating_sub(width));
    let top = inside(at.y, frame.height().saturating_sub(height));
    for i in 0..width.min(frame.width()) * height {
        let span = width.min(frame.width());
        frame.set_pixel(left + i % span, top + i / span, SHADE);
    }
    for (n, c) in text.chars().enumerate() {
        let origin = (left + scale + n as u32 * 6 * scale, top + scale);
        for (column, bits) in glyph(c).iter().enumerate() {
            for row in (0..7).filter(|row| bits >> row & 1 == 1) {
                for i in 0..scale * scale {
                    frame.set_pixel(
                        origin.0 + column as u32 * scale + i % scale,
                        origin.1 + row * scale + i / scale,
                        colour,
                    );
                }
            }
        }
    }
}

/// Five columns, lowest bit on top.
fn glyph(c: char) -> [u8; 5] {
    let c = c.to_ascii_uppercase();
    let index = GLYPHS.iter().position(|(known, _)| *known == c);
    index.map_or([0x02, 0x01, 0x51, 0x09, 0x06], |i| GLYPHS[i].1)
}

#[rustfmt::skip]
const GLYPHS: &[(char, [u8; 5])] = &[
    (' ', [0x00, 0x00, 0x00, 0x00, 0x00]), ('0', [0x3e, 0x51, 0x49, 0x45, 0x3e]), ('1', [0x00, 0x42, 0x7f, 0x40, 0x00]),
    ('2', [0x42, 0x61, 0x51, 0x49, 0x46]), ('3', [0x21, 0x41, 0x45, 0x4b, 0x31]), ('4', [0x18, 0x14, 0x12, 0x7f, 0x10]),
    ('5', [0x27, 0x45, 0x45, 0x45, 0x39]), ('6', [0x3c, 0x4a, 0x49, 0x49, 0x30]), ('7', [0x01, 0x71, 0x09, 0x05, 0x03]),
    ('8', [0x36, 0x49, 0x49, 0x49, 0x36]), ('9', [0x06, 0x49, 0x49, 0x29, 0x1e]), ('A', [0x7e, 0x11, 0x11, 0x11, 0x7e]),
    ('B', [0x7f, 0x49, 0x49, 0x49, 0x36]), ('C', [0x3e, 0x41, 0x41, 0x41, 0x22]), ('D', [0x7f, 0x41, 0x41, 0x22, 0x1c]),
    ('E', [0x7f, 0x49, 0x49, 0x49, 0x41]), ('F', [0x7f, 0x09, 0x09, 0x09, 0x01]), ('G', [0x3e, 0x41, 0x49, 0x49, 0x7a]),
    ('H', [0x7f, 0x08, 0x08, 0x08, 0x7f]), ('I', [0x00, 0x41, 0x7f, 0x41, 0x00]), ('J', [0x20, 0x40, 0x41, 0x3f, 0x01]),
    ('K', [0x7f, 0x08, 0x14, 0x22, 0x41]), ('L', [0x7f, 0x40, 0x40, 0x40, 0x40]), ('M', [0x7f, 0x02, 0x0c, 0x02, 0x7f]),
    ('N', [0x7f, 0x04, 0x08, 0x10, 0x7f]), ('O', [0x3e, 0x41, 0x41, 0x41, 0x3e]), ('P', [0x7f, 0x09, 0x09, 0x09, 0x06]),
    ('Q', [0x3e, 0x41, 0x51, 0x21, 0x5e]), ('R', [0x7f, 0x09, 0x19, 0x29, 0x46]), ('S', [0x46, 0x49, 0x49, 0x49, 0x31]),
    ('T', [0x01, 0x01, 0x7f, 0x01, 0x01]), ('U', [0x3f, 0x40, 0x40, 0x40, 0x3f]), ('V', [0x1f, 0x20, 0x40, 0x20, 0x1f]),
    ('W', [0x3f, 0x40, 0x38, 0x40, 0x3f]), ('X', [0x63, 0x14, 0x08, 0x14, 0x63]), ('Y', [0x07, 0x08, 0x70, 0x08, 0x07]),
    ('Z', [0x61, 0x51, 0x49, 0x45, 0x43]), ('.', [0x00, 0x60, 0x60, 0x00, 0x00]), (',', [0x00, 0x50, 0x30, 0x00, 0x00]),
    (':', [0x00, 0x36, 0x36, 0x00, 0x00]), ('-', [0x08, 0x08, 0x08, 0x08, 0x08]), ('+', [0x08, 0x08, 0x3e, 0x08, 0x08]),
    ('/', [0x20, 0x10, 0x08, 0x04, 0x02]), ('%', [0x23, 0x13, 0x08, 0x64, 0x62]), ('=', [0x14, 0x14, 0x14, 0x14, 0x14]),
    ('<', [0x08, 0x14, 0x22, 0x41, 0x00]), ('>', [0x00, 0x41, 0x22, 0x14, 0x08]), ('(', [0x00, 0x1c, 0x22, 0x41, 0x00]),
    (')', [0x00, 0x41, 0x22, 0x1c, 0x00]), ('_', [0x40, 0x40, 0x40, 0x40, 0x40]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(frame: &Frame, colour: Colour) -> usize {
        frame.rgb().chunks_exact(3).filter(|p| *p == colour).count()
    }

    #[test]
    fn a_box_is_drawn_where_it_belongs() {
        let mut frame = Frame::filled(40, 30, [0; 3]);
        rect(&mut frame, &Rect { x: 5.0, y: 6.0, width: 20.0, height: 10.0 }, 1, GREEN);
        for (x, y) in [(5, 6), (25, 6), (25, 16), (5, 16), (15, 6), (5, 10)] {
            assert_eq!(frame.pixel(x, y), Some(GREEN), "{x},{y}");
        }
        assert_eq!(painted(&frame, GREEN), 60);
    }

    #[test]
    fn nothing_outside_the_frame_does_harm() {
        let mut frame = Frame::filled(40, 30, [0; 3]);
        for far in [-50.0, 1e9, f32::NAN, f32::INFINITY] {
            line(&mut frame, Point::new(far, 3.0), Point::new(10.0, far), 3, RED);
            dot(&mut frame, Point::new(far, far), 5, RED);
            label(&mut frame, Point::new(far, far), "?", 1, RED);
        }
        outline(&mut frame, &[], 1, RED);
        label(&mut frame, Point::new(0.0, 0.0), &"long ".repeat(40), 2, YELLOW);
        assert!(painted(&frame, YELLOW) > 0);
    }

    #[test]
    fn letters_have_their_shape() {
        let mut frame = Frame::filled(20, 20, [255; 3]);
        label(&mut frame, Point::new(2.0, 3.0), "t", 1, YELLOW);
        let row = |y: u32| (0..5).map(|x| u8::from(frame.pixel(3 + x, 4 + y) == Some(YELLOW))).collect::<Vec<_>>();
        assert_eq!((row(0), row(3)), (vec![1, 1, 1, 1, 1], vec![0, 0, 1, 0, 0]));
        assert!(GLYPHS.iter().enumerate().all(|(i, (c, _))| GLYPHS[..i].iter().all(|(other, _)| other != c)));
    }
}
