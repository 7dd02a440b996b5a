//! A plate seen at an angle, as the reader wants it: from the front, with a small margin.

use std::ops::Range;

use crate::frame::Frame;
use crate::geometry::{Perspective, Point};
use crate::manifest::Channels;
use crate::raster::{Border, Crop, Cut, Warper};

/// Margins the readers are trained with: each edge is moved outwards by this share of the plate's width or height.
const MARGIN_X: f32 = 0.03;
const MARGIN_Y: f32 = 0.08;
/// How much of a two-line plate's height, margins included, belongs to each line; they overlap a little, because makers
/// put the border between them at different heights.
const LINE_SHARE: f32 = 0.54;
/// Mean width over mean height above which a plate surely has one line (type 1 of GOST R 50577 seen from the front: 4.6,
/// type 1A: 1.7). Seen from the side a plate loses width, so one of less can have one line or two.
const SURELY_ONE_LINE: f32 = 3.0;

/// How a plate's characters are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In one line.
    OneLine,
    /// In two lines; readers want the upper one in the left half of the crop and the lower one in the right half.
    TwoLines,
}

impl Layout {
    /// What a plate with `corners` may be, judged by its aspect ratio.
    pub fn candidates(corners: &[Point; 4]) -> &'static [Self] {
        let [tl, tr, br, bl] = *corners;
        let aspect = (tl.distance(tr) + bl.distance(br)) / (tl.distance(bl) + tr.distance(br));
        if aspect > SURELY_ONE_LINE { &[Self::OneLine] } else { &[Self::OneLine, Self::TwoLines] }
    }
}

/// Cuts the plate with `corners` (top left, top right, bottom right, bottom left) out as `size` (height, width) pixels.
/// `None` for corners without area or not finite.
pub fn rectify(frame: &Frame, corners: &[Point; 4], size: [usize; 2], layout: Layout) -> Option<Frame> {
    let mut crop = Crop::default();
    crop.reset(size, Channels::Rgb);
    let whole = Part { rows: 0..size[0], columns: 0..size[1] };
    cut(&mut Warper::default(), frame, corners, layout, &mut crop, whole)?;
    crop.into_frame()
}

/// Rows and columns of a crop.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

/// Cuts the plate with `corners` out into `part` of `crop`. `None`, and nothing done, for corners without area or not finite.
pub(super) fn cut(
    warper: &mut Warper,
    frame: &Frame,
    corners: &[Point; 4],
    layout: Layout,
    crop: &mut Crop,
    part: Part,
) -> Option<()> {
    let wide = expand(corners);
    let map = Perspective::onto(&wide)?;
    let middle = part.columns.start + part.columns.len() / 2;
    // columns, and which part of the plate's height they show
    let lines: &[_] = match layout {
        Layout::OneLine => &[(part.columns, 0.0, 1.0)],
        Layout::TwoLines => {
            &[(part.columns.start..middle, 0.0, LINE_SHARE), (middle..part.columns.end, 1.0 - LINE_SHARE, LINE_SHARE)]
        }
    };
    let along = wide[0].distance(wide[1]).max(wide[3].distance(wide[2]));
    let across = wide[0].distance(wide[3]).max(wide[1].distance(wide[2]));
    for (columns, top, share) in lines {
        let [width, height] = [columns.len() as f32, part.rows.len() as f32];
        let shrink = [along / width, across * share / height];
        let line = Cut { rows: part.rows.clone(), columns: columns.clone(), border: Border::Replicate, shrink };
        warper.warp(frame, crop, &line, |p| map.apply(p.x / width, top + share * p.y / height));
    }
    Some(())
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
        let crop = rectify(&frame, &corners, [32, 128], Layout::OneLine).unwrap();
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
        let blank = Frame::filled(9, 9, [0; 3]);
        assert!(rectify(&blank, &[Point::default(); 4], [32, 128], Layout::OneLine).is_none());
        assert!(rectify(&blank, &[Point::new(f32::NAN, 0.0); 4], [32, 128], Layout::TwoLines).is_none());
    }

    #[test]
    fn two_lines_stand_side_by_side() {
        let corners = [(20.0, 20.0), (320.0, 20.0), (320.0, 200.0), (20.0, 200.0)].map(|(x, y)| Point::new(x, y));
        let mut frame = Frame::filled(340, 220, [0; 3]);
        // the left and right half of the upper line and of the lower line have four levels
        for y in 0..220 {
            for x in 0..340 {
                let level = 50 + 50 * u8::from(x >= 170) + 100 * u8::from(y >= 110);
                frame.set_pixel(x, y, [level; 3]);
            }
        }
        let crop = rectify(&frame, &corners, [32, 128], Layout::TwoLines).unwrap();
        for (x, level) in [(16, 50), (48, 100), (80, 150), (112, 200)] {
            for y in [4, 14, 27] {
                assert_eq!(crop.pixel(x, y), Some([level; 3]), "{x}, {y}");
            }
        }
        // a little of the other line shows at the border between them
        assert_eq!(crop.pixel(16, 31), Some([150; 3]));
        assert_eq!(crop.pixel(80, 0), Some([50; 3]));
    }

    #[test]
    fn the_aspect_ratio_says_how_many_lines_there_may_be() {
        let plate =
            |width, height| [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| Point::new(x, y));
        assert_eq!(Layout::candidates(&plate(520.0, 112.0)), [Layout::OneLine]);
        assert_eq!(Layout::candidates(&plate(290.0, 170.0)), [Layout::OneLine, Layout::TwoLines]);
        assert_eq!(Layout::candidates(&plate(150.0, 100.0)), [Layout::OneLine, Layout::TwoLines]);
    }
}
