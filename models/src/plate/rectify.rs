//! A plate seen at an angle, as the reader wants it: from the front, with a small margin.

use crate::frame::Frame;
use crate::geometry::{Perspective, Point};
use crate::raster::{Border, warp};

/// Margins the readers are trained with: each edge is moved outwards by this share of the plate's width or height.
const MARGIN_X: f32 = 0.03;
const MARGIN_Y: f32 = 0.08;

/// Cuts the plate with `corners` (top left, top right, bottom right, bottom left) out as `size` (height, width) pixels.
/// `None` for corners without area or not finite.
pub fn rectify(frame: &Frame, corners: &[Point; 4], size: [usize; 2]) -> Option<Frame> {
    let wide = expand(corners);
    let map = Perspective::onto(&wide)?;
    let [height, width] = size;
    let along = wide[0].distance(wide[1]).max(wide[3].distance(wide[2])) / width as f32;
    let across = wide[0].distance(wide[3]).max(wide[1].distance(wide[2])) / height as f32;
    Some(warp(frame, width as u32, height as u32, Border::Replicate, along.max(across), |p| {
        map.apply(p.x / width as f32, p.y / height as f32)
    }))
}

/// Moves the corners outwards along the plate's own axes.
fn expand(corners: &[Point; 4]) -> [Point; 4] {
    let [tl, tr, br, bl] = *corners;
    let half = |a: Point, b: Point, c: Point, d: Point| {
        Point::new((a.x - b.x + c.x - d.x) / 2.0, (a.y - b.y + c.y - d.y) / 2.0)
    };
    let along = half(tr, tl, br, bl);
    let across = half(bl, tl, br, tr);
    let outwards = |p: Point, x: f32, y: f32| {
        Point::new(
            p.x + x * MARGIN_X * along.x + y * MARGIN_Y * across.x,
            p.y + x * MARGIN_X * along.y + y * MARGIN_Y * across.y,
        )
    };
    [outwards(tl, -1.0, -1.0), outwards(tr, 1.0, -1.0), outwards(br, 1.0, 1.0), outwards(bl, -1.0, 1.0)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_tilted_plate_becomes_upright() {
        // the plate's quarters have four colours; seen in perspective, the crop's quarters must have them
        let corners =
            [Point::new(60.0, 50.0), Point::new(300.0, 90.0), Point::new(290.0, 150.0), Point::new(70.0, 100.0)];
        let map = Perspective::onto(&corners).unwrap();
        let mut frame = Frame::filled(400, 200, [0; 3]);
        for i in 0..1200 * 600 {
            let (u, v) = ((i % 1200) as f32 / 1200.0, (i / 1200) as f32 / 600.0);
            let at = map.apply(u, v);
            let colour = [if u < 0.5 { 50 } else { 250 }, if v < 0.5 { 50 } else { 250 }, 99];
            frame.set_pixel(at.x as u32, at.y as u32, colour);
        }
        let crop = rectify(&frame, &corners, [32, 128]).unwrap();
        assert_eq!((crop.width(), crop.height()), (128, 32));
        for (x, y, colour) in
            [(20, 8, [50, 50, 99]), (108, 8, [250, 50, 99]), (108, 24, [250, 250, 99]), (20, 24, [50, 250, 99])]
        {
            assert_eq!(crop.pixel(x, y), Some(colour));
        }
    }

    #[test]
    fn the_margin_shows_what_surrounds_the_plate() {
        let corners =
            [Point::new(100.0, 50.0), Point::new(200.0, 50.0), Point::new(200.0, 75.0), Point::new(100.0, 75.0)];
        let wide = expand(&corners);
        assert!(wide[0].distance(Point::new(97.0, 48.0)) < 1e-3 && wide[2].distance(Point::new(203.0, 77.0)) < 1e-3);
        assert!(rectify(&Frame::filled(9, 9, [0; 3]), &[Point::default(); 4], [32, 128]).is_none());
        assert!(rectify(&Frame::filled(9, 9, [0; 3]), &[Point::new(f32::NAN, 0.0); 4], [32, 128]).is_none());
    }
}
