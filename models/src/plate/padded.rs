//! A rectified plate that keeps its proportions, for readers that were trained so.

use super::rectify::{Layout, rectify};
use crate::frame::Frame;
use crate::geometry::Point;

/// What remains beside the plate, as the readers' own tools fill it.
const GREY: [u8; 3] = [114; 3];

/// Cuts the plate with `corners` (top left, top right, bottom right, bottom left) out in its own proportions and puts it into
/// the middle of `size` (height, width) pixels. `None` for corners without area or not finite.
pub(super) fn keep_aspect(frame: &Frame, corners: &[Point; 4], size: [usize; 2]) -> Option<Frame> {
    let [tl, tr, br, bl] = *corners;
    let along = f32::midpoint(tl.distance(tr), bl.distance(br));
    let across = f32::midpoint(tl.distance(bl), tr.distance(br));
    if !(along / across).is_normal() {
        return None;
    }
    let [height, width] = size.map(|side| side as f32);
    let scale = (height / across).min(width / along);
    let inner = [across, along].map(|side| side * scale).map(|side| (side.round() as usize).max(1));
    let inner = [inner[0].min(size[0]), inner[1].min(size[1])];
    let plate = rectify(frame, corners, inner, Layout::OneLine)?;
    let mut crop = Frame::filled(size[1] as u32, size[0] as u32, GREY);
    let (left, top) = ((size[1] - inner[1]) as u32 / 2, (size[0] - inner[0]) as u32 / 2);
    for y in 0..plate.height() {
        for x in 0..plate.width() {
            if let Some(colour) = plate.pixel(x, y) {
                crop.set_pixel(left + x, top + y, colour);
            }
        }
    }
    Some(crop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn upright(width: f32, height: f32) -> [Point; 4] {
        [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| Point::new(50.0 + x, 50.0 + y))
    }

    #[test]
    fn a_plate_keeps_its_proportions_amid_grey() {
        let frame = Frame::filled(400, 200, [250; 3]);
        // 4:1 in an input of 2:1: the middle half of the height
        let crop = keep_aspect(&frame, &upright(200.0, 50.0), [64, 128]).unwrap();
        assert_eq!((crop.height(), crop.width()), (64, 128));
        let column: Vec<u8> = (0..64).map(|y| crop.pixel(64, y).unwrap()[0]).collect();
        assert!(column[..16].iter().chain(&column[48..]).all(|v| *v == 114), "{column:?}");
        assert!(column[16..48].iter().all(|v| *v == 250), "{column:?}");
        // 1:1: the middle half of the width
        let crop = keep_aspect(&frame, &upright(50.0, 50.0), [64, 128]).unwrap();
        assert_eq!([31, 32, 95, 96].map(|x| crop.pixel(x, 30).unwrap()[0]), [114, 250, 250, 114]);
    }

    #[test]
    fn corners_without_area_give_nothing() {
        let frame = Frame::filled(400, 200, [250; 3]);
        assert!(keep_aspect(&frame, &upright(0.0, 0.0), [64, 128]).is_none());
        assert!(keep_aspect(&frame, &upright(50.0, 0.0), [64, 128]).is_none());
        assert!(keep_aspect(&frame, &[Point::new(f32::NAN, 1.0); 4], [64, 128]).is_none());
    }
}
