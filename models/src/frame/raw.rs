//! Frames from cameras and decoders that give raw pixels: YCbCr planes (4:2:0) and packed YCbCr (4:2:2).
//!
//! Source of the matrix: ITU-R BT.601-7, section 2.5, studio range (luma 16 to 235). Cameras that mean BT.709 come out with
//! slightly other colours, which neither reader nor embedder minds.

use super::{Frame, FrameError, MAX_PIXELS};
use crate::raster::room;

/// Fixed point: 16 bits after the point.
const ONE: i32 = 1 << 16;

impl Frame {
    /// Shows a picture of three planes, in the memory this frame has: luma in rows of `width`, then both chroma planes with
    /// half the columns and rows, rounded up, none of them padded (I420).
    ///
    /// # Errors
    /// No pixels, too many, or a number of bytes that is not this size's; the frame is then as it was.
    pub fn fill_from_i420(&mut self, width: u32, height: u32, planes: &[u8]) -> Result<(), FrameError> {
        let (w, h) = size(width, height)?;
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let expected = w * h + 2 * cw * ch;
        if planes.len() != expected {
            return Err(FrameError::WrongLength { width, height, expected, found: planes.len() });
        }
        let (luma, chroma) = planes.split_at(w * h);
        let (blue, red) = chroma.split_at(cw * ch);
        self.make(width, height);
        for (row, out) in self.rgb.chunks_exact_mut(w * 3).enumerate() {
            let luma = &luma[row * w..][..w];
            let (blue, red) = (&blue[row / 2 * cw..][..cw], &red[row / 2 * cw..][..cw]);
            for (column, (pixel, y)) in out.chunks_exact_mut(3).zip(luma).enumerate() {
                pixel.copy_from_slice(&colour(*y, blue[column / 2], red[column / 2]));
            }
        }
        Ok(())
    }

    /// Shows a packed 4:2:2 picture (YUYV: Y0 Cb Y1 Cr), in the memory this frame has. `width` is even.
    ///
    /// # Errors
    /// No pixels, too many, an odd width, or a number of bytes that is not this size's; the frame is then as it was.
    pub fn fill_from_yuyv(&mut self, width: u32, height: u32, pairs: &[u8]) -> Result<(), FrameError> {
        let (w, h) = size(width, height)?;
        let expected = w * h * 2;
        if pairs.len() != expected || !w.is_multiple_of(2) {
            return Err(FrameError::WrongLength { width, height, expected, found: pairs.len() });
        }
        self.make(width, height);
        for (out, pair) in self.rgb.chunks_exact_mut(6).zip(pairs.chunks_exact(4)) {
            out[..3].copy_from_slice(&colour(pair[0], pair[1], pair[3]));
            out[3..].copy_from_slice(&colour(pair[2], pair[1], pair[3]));
        }
        Ok(())
    }

    fn make(&mut self, width: u32, height: u32) {
        room(&mut self.rgb, width as usize * height as usize * 3);
        (self.width, self.height) = (width, height);
    }
}

fn size(width: u32, height: u32) -> Result<(usize, usize), FrameError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(FrameError::TooLarge { width, height });
    }
    if pixels == 0 {
        return Err(FrameError::WrongLength { width, height, expected: 0, found: 0 });
    }
    Ok((width as usize, height as usize))
}

#[inline]
fn colour(y: u8, blue: u8, red: u8) -> [u8; 3] {
    let y = (i32::from(y) - 16) * 76_309 + ONE / 2;
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let channel = |value: i32| (value >> 16).clamp(0, 255) as u8;
    [channel(y + 104_597 * red), channel(y - 25_675 * blue - 53_279 * red), channel(y + 132_201 * blue)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn blank() -> Frame {
        Frame::filled(1, 1, [0; 3])
    }

    #[test]
    fn black_white_and_red_are_what_the_standard_says() {
        for (ycbcr, rgb) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([81, 90, 240], [254, 0, 0]),
            ([41, 240, 110], [0, 0, 255]),
        ] {
            let found = colour(ycbcr[0], ycbcr[1], ycbcr[2]);
            assert!(found.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 1), "{ycbcr:?}: {found:?}");
        }
    }

    #[test]
    fn planes_and_pairs_of_one_picture_agree() {
        // two rows with the same chroma, so that both samplings hold it exactly
        let luma = [16, 80, 120, 200, 16, 80, 120, 200];
        let i420 = [&luma[..], &[100, 140], &[90, 200]].concat();
        let yuyv: Vec<u8> = [[16, 100, 80, 90], [120, 140, 200, 200], [16, 100, 80, 90], [120, 140, 200, 200]].concat();
        let (mut planes, mut pairs) = (blank(), blank());
        planes.fill_from_i420(4, 2, &i420).unwrap();
        pairs.fill_from_yuyv(4, 2, &yuyv).unwrap();
        assert_eq!(planes, pairs);
        assert_eq!(planes.pixel(0, 1), planes.pixel(0, 0));
        assert_ne!(planes.pixel(0, 0), planes.pixel(1, 0));
    }

    #[test]
    fn odd_sides_have_chroma_for_their_last_row_and_column() {
        let mut frame = blank();
        frame.fill_from_i420(3, 3, &[vec![235; 9], vec![128; 8]].concat()).unwrap();
        assert_eq!(frame.pixel(2, 2), Some([255; 3]));
        assert!(frame.fill_from_yuyv(3, 2, &[0; 12]).is_err(), "half a pair");
    }

    #[test]
    fn a_wrong_size_leaves_the_frame_as_it_was() {
        let mut frame = Frame::filled(5, 4, [7; 3]);
        let before = frame.clone();
        assert!(matches!(frame.fill_from_i420(4, 2, &[0; 11]), Err(FrameError::WrongLength { expected: 12, .. })));
        assert!(matches!(frame.fill_from_yuyv(0, 2, &[]), Err(FrameError::WrongLength { .. })));
        assert!(matches!(frame.fill_from_i420(u32::MAX, u32::MAX, &[]), Err(FrameError::TooLarge { .. })));
        assert_eq!(frame, before);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_picture_or_refused(w in 0_u32..40, h in 0_u32..40, bytes in proptest::collection::vec(any::<u8>(), 0..2500)) {
            let mut frame = blank();
            let fits = |found: Result<(), FrameError>, frame: &Frame| found.is_err() || frame.rgb().len() == (w * h * 3) as usize;
            let found = frame.fill_from_i420(w, h, &bytes);
            prop_assert!(fits(found, &frame));
            let found = frame.fill_from_yuyv(w, h, &bytes);
            prop_assert!(fits(found, &frame));
        }
    }
}
