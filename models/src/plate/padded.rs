//! A rectified plate that keeps its proportions, for readers that were trained so.

use super::rectify::{Layout, Part, cut};
use crate::frame::Frame;
use crate::geometry::Point;
use crate::raster::{Crop, Warper};

/// What remains beside the plate, as the readers' own tools fill it.
const GREY: u8 = 114;

/// Cuts the plate with `corners` (top left, top right, bottom right, bottom left) out in its own proportions and puts it into
/// the middle of `crop`. `None` for corners without area or not finite.
pub(super) fn keep_aspect(warper: &mut Warper, frame: &Frame, corners: &[Point; 4], crop: &mut Crop) -> Option<()> {
    let [tl, tr, br, bl] = *corners;
    let along = f32::midpoint(tl.distance(tr), bl.distance(br));
    let across = f32::midpoint(tl.distance(bl), tr.distance(br));
    if !(along / across).is_normal() {
        return None;
    }
    let size = crop.size();
    let [height, width] = size.map(|side| side as f32);
    let scale = (height / across).min(width / along);
    let inner = [across, along].map(|side| side * scale).map(|side| (side.round() as usize).max(1));
    let inner = [inner[0].min(size[0]), inner[1].min(size[1])];
    let (left, top) = ((size[1] - inner[1]) / 2, (size[0] - inner[0]) / 2);
    crop.fill(GREY);
    let middle = Part { rows: top..top + inner[0], columns: left..left + inner[1] };
    cut(warper, frame, corners, Layout::OneLine, crop, middle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::manifest::Channels;

    fn cut_out(frame: &Frame, corners: &[Point; 4]) -> Option<Frame> {
        let mut crop = Crop::default();
        crop.reset([64, 128], Channels::Rgb);
        keep_aspect(&mut Warper::default(), frame, corners, &mut crop)?;
        crop.into_frame()
    }

    fn upright(width: f32, height: f32) -> [Point; 4] {
        [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| Point::new(50.0 + x, 50.0 + y))
    }

    #[test]
    fn a_plate_keeps_its_proportions_amid_grey() {
        let frame = Frame::filled(400, 200, [250; 3]);
        // 4:1 in an input of 2:1: the middle half of the height
        let crop = cut_out(&frame, &upright(200.0, 50.0)).unwrap();
        assert_eq!((crop.height(), crop.width()), (64, 128));
        let column: Vec<u8> = (0..64).map(|y| crop.pixel(64, y).unwrap()[0]).collect();
        assert!(column[..16].iter().chain(&column[48..]).all(|v| *v == 114), "{column:?}");
        assert!(column[16..48].iter().all(|v| *v == 250), "{column:?}");
        // 1:1: the middle half of the width
        let crop = cut_out(&frame, &upright(50.0, 50.0)).unwrap();
        assert_eq!([31, 32, 95, 96].map(|x| crop.pixel(x, 30).unwrap()[0]), [114, 250, 250, 114]);
    }

    #[test]
    fn corners_without_area_give_nothing() {
        let frame = Frame::filled(400, 200, [250; 3]);
        assert!(cut_out(&frame, &upright(0.0, 0.0)).is_none());
        assert!(cut_out(&frame, &upright(50.0, 0.0)).is_none());
        assert!(cut_out(&frame, &[Point::new(f32::NAN, 1.0); 4]).is_none());
    }
}
