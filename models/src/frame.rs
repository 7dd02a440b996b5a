//! Pictures in memory: decoded camera frames, enrolment photos and the crops cut from them.

mod raw;

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::error::DecodingError;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits};
use zeroize::{Zeroize, Zeroizing};

use crate::raster::room;

/// No picture is decoded beyond this many pixels, whatever its header says.
pub const MAX_PIXELS: u64 = 40_000_000;
/// A JPEG has at most this many pixels per byte: the coding of each block of 8 x 8 takes a bit at least (ITU-T T.81, F.1.2).
const MAX_JPEG_PIXELS_PER_BYTE: u64 = 512;
/// What a decoder may allocate: the largest picture with four 16-bit channels, and its working memory.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8 + (64 << 20);

/// An 8-bit RGB picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// Why bytes did not become a [`Frame`], or the other way round.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Neither JPEG nor PNG by its first bytes.
    #[error("the data is neither a JPEG nor a PNG picture")]
    NotAnImage,
    /// It claims to be a picture but cannot be decoded.
    #[error("the {format} picture is damaged or uses an unsupported variant")]
    Damaged {
        /// "JPEG" or "PNG".
        format: &'static str,
        /// What the decoder said.
        source: ImageError,
    },
    /// More pixels than [`MAX_PIXELS`].
    #[error("the picture has {width}x{height} pixels; at most 40 million are accepted")]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// No pixels, or a buffer that does not hold width times height RGB pixels.
    #[error("a {width}x{height} RGB picture needs {expected} bytes, got {found}")]
    WrongLength {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes for that size.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// Encoding failed.
    #[error("the picture could not be encoded")]
    Encode(#[source] ImageError),
}

impl Frame {
    /// A frame from packed 8-bit RGB rows without padding.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, FrameError> {
        let expected = width as usize * height as usize * 3;
        if expected == 0 || rgb.len() != expected {
            return Err(FrameError::WrongLength { width, height, expected, found: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A frame of one colour; sides of at least one pixel.
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, rgb: colour.repeat(width as usize * height as usize) }
    }

    /// Decodes JPEG or PNG, recognised by content; turned upright when its Exif data says how.
    ///
    /// The size is checked before pixels are allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut frame = Self::filled(1, 1, [0; 3]);
        frame.decode_into(bytes)?;
        Ok(frame)
    }

    /// Decodes an enrolment photo; its pixels are overwritten when it goes out of scope.
    pub fn decode_photo(bytes: &[u8]) -> Result<Zeroizing<Self>, FrameError> {
        let mut frame = Zeroizing::new(Self::filled(1, 1, [0; 3]));
        frame.decode_into(bytes)?;
        Ok(frame)
    }

    /// The same as [`Frame::decode`], in place of what this frame shows and, for the usual picture (8-bit RGB, upright), in
    /// the memory it has. After an error it may show part of the damaged picture.
    pub fn decode_into(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let (format, name) = match image::guess_format(bytes) {
            Ok(ImageFormat::Jpeg) => (ImageFormat::Jpeg, "JPEG"),
            Ok(ImageFormat::Png) => (ImageFormat::Png, "PNG"),
            _ => return Err(FrameError::NotAnImage),
        };
        let damaged = |source| FrameError::Damaged { format: name, source };
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_DECODER_BYTES);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        let promised = u64::from(width) * u64::from(height);
        if promised > MAX_PIXELS {
            return Err(FrameError::TooLarge { width, height });
        }
        // a decoder works for every pixel that is promised, whether there is data for it or not
        if format == ImageFormat::Jpeg && promised > bytes.len() as u64 * MAX_JPEG_PIXELS_PER_BYTE {
            let problem = "it has less than a bit of data per block of 64 pixels";
            return Err(damaged(ImageError::Decoding(DecodingError::new(format.into(), problem))));
        }
        // a broken Exif block is no reason to refuse the picture
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let length = width as usize * height as usize * 3;
        if decoder.color_type() == ColorType::Rgb8 && orientation == Orientation::NoTransforms && length > 0 {
            room(&mut self.rgb, length);
            (self.width, self.height) = (width, height);
            return decoder.read_image(&mut self.rgb).map_err(damaged);
        }
        let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        picture.apply_orientation(orientation);
        let rgb = match picture {
            DynamicImage::ImageRgb8(rgb) => rgb,
            other => {
                let rgb = other.to_rgb8();
                other.into_bytes().zeroize();
                rgb
            }
        };
        let decoded = Self::from_rgb(rgb.width(), rgb.height(), rgb.into_raw())?;
        std::mem::replace(self, decoded).zeroize();
        Ok(())
    }

    /// Paints it black, in the memory it has: what it showed is overwritten, and the next picture needs none anew.
    pub fn wipe(&mut self) {
        self.rgb.fill(0);
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Packed RGB rows, top to bottom.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The colour at `x`, `y`; `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        let at = self.offset(x, y)?;
        Some([self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]])
    }

    /// Paints the pixel at `x`, `y`; nothing happens outside.
    pub fn set_pixel(&mut self, x: u32, y: u32, colour: [u8; 3]) {
        if let Some(at) = self.offset(x, y) {
            self.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// Brightness (Rec. 601) of each pixel, 0 to 255, row by row.
    pub fn luma(&self) -> impl Iterator<Item = f32> + '_ {
        self.rgb.chunks_exact(3).map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]))
    }

    /// Makes this frame the part of `whole` from column `left` and row `top` on, `width` by `height` pixels, in the memory it
    /// has. The part is cut short where it reaches beyond `whole`; there is always at least one pixel.
    pub(crate) fn copy_part(&mut self, whole: &Self, [left, top, width, height]: [u32; 4]) {
        let (left, top) = (left.min(whole.width - 1), top.min(whole.height - 1));
        (self.width, self.height) = (width.clamp(1, whole.width - left), height.clamp(1, whole.height - top));
        let line = self.width as usize * 3;
        room(&mut self.rgb, line * self.height as usize);
        for (row, y) in self.rgb.chunks_exact_mut(line).zip(top..) {
            let first = (y as usize * whole.width as usize + left as usize) * 3;
            row.copy_from_slice(&whole.rgb[first..first + line]);
        }
    }

    /// The frame as a PNG file.
    pub fn to_png(&self) -> Result<Vec<u8>, FrameError> {
        let mut file = Vec::new();
        image::codecs::png::PngEncoder::new(&mut file)
            .write_image(&self.rgb, self.width, self.height, image::ExtendedColorType::Rgb8)
            .map_err(FrameError::Encode)?;
        Ok(file)
    }

    /// The frame as a JPEG file of `quality` 1 to 100.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>, FrameError> {
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100))
            .write_image(&self.rgb, self.width, self.height, image::ExtendedColorType::Rgb8)
            .map_err(FrameError::Encode)?;
        Ok(file)
    }

    fn offset(&self, x: u32, y: u32) -> Option<usize> {
        (x < self.width && y < self.height).then(|| (y as usize * self.width as usize + x as usize) * 3)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}x{}, …)", self.width, self.height)
    }
}

impl Zeroize for Frame {
    fn zeroize(&mut self) {
        self.rgb.zeroize();
        self.width = 0;
        self.height = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_damaged_file_never_panics(
            jpeg in any::<bool>(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
            kept in any::<proptest::sample::Index>(),
        ) {
            let mut file = if jpeg { gradient().to_jpeg(80).unwrap() } else { gradient().to_png().unwrap() };
            for (at, value) in changes {
                let at = at.index(file.len());
                file[at] = value;
            }
            file.truncate(kept.index(file.len()) + 1);
            if let Ok(frame) = Frame::decode(&file) {
                prop_assert_eq!(frame.rgb().len(), frame.width() as usize * frame.height() as usize * 3);
                prop_assert!(u64::from(frame.width()) * u64::from(frame.height()) <= MAX_PIXELS);
            }
        }
    }

    fn gradient() -> Frame {
        let rgb = (0..24 * 16).flat_map(|i| [(i % 24) as u8 * 10, (i / 24) as u8 * 15, 7]).collect();
        Frame::from_rgb(24, 16, rgb).unwrap()
    }

    #[test]
    fn png_survives_a_round_trip_and_jpeg_nearly() {
        let frame = gradient();
        assert_eq!(Frame::decode(&frame.to_png().unwrap()).unwrap(), frame);
        let jpeg = Frame::decode(&frame.to_jpeg(95).unwrap()).unwrap();
        assert_eq!((jpeg.width(), jpeg.height()), (24, 16));
        let worst = jpeg.rgb().iter().zip(frame.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst < Some(24), "{worst:?}");
    }

    #[test]
    fn pictures_follow_each_other_in_one_memory() {
        let (small, large) = (gradient(), Frame::filled(40, 30, [9, 8, 7]));
        let mut frame = large.clone();
        let memory = frame.rgb.as_ptr();
        frame.decode_into(&small.to_png().unwrap()).unwrap();
        assert_eq!(frame, small);
        frame.decode_into(&large.to_png().unwrap()).unwrap();
        assert_eq!(frame, large);
        frame.wipe();
        assert_eq!(frame, Frame::filled(40, 30, [0; 3]));
        assert_eq!(frame.rgb.as_ptr(), memory);
        assert!(frame.decode_into(b"no picture").is_err());
        assert_eq!((frame.width(), frame.rgb().len()), (40, 3_600));
    }

    #[test]
    fn what_is_no_picture_is_refused_by_kind() {
        for bytes in [&b""[..], b"hello", b"%PDF-1.7", b"GIF89a", &[0; 4096]] {
            assert!(matches!(Frame::decode(bytes), Err(FrameError::NotAnImage)));
        }
        let png = gradient().to_png().unwrap();
        assert!(matches!(Frame::decode(&png[..png.len() / 2]), Err(FrameError::Damaged { format: "PNG", .. })));
        assert!(matches!(Frame::decode(b"\xff\xd8\xff\xe0junk"), Err(FrameError::Damaged { format: "JPEG", .. })));
    }

    #[test]
    fn a_picture_bomb_is_refused_before_its_pixels_exist() {
        // a valid header that promises 3.6 gigapixels
        let mut png = gradient().to_png().unwrap();
        png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(Frame::decode(&png), Err(FrameError::TooLarge { width: 60_000, height: 60_000 })));
    }

    #[test]
    fn a_phone_held_upright_gives_an_upright_picture() {
        let jpeg = gradient().to_jpeg(95).unwrap();
        // Exif in big-endian TIFF: one entry, orientation (0x0112), a short, 6: turn clockwise
        let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = Frame::decode(&[&jpeg[..2], exif, &jpeg[2..]].concat()).unwrap();
        let upright = Frame::decode(&jpeg).unwrap();
        assert_eq!((turned.width(), turned.height()), (16, 24));
        assert_eq!(turned.pixel(15, 0), upright.pixel(0, 0));
    }

    #[test]
    fn a_part_is_cut_out_and_cut_short() {
        let whole = gradient();
        let mut part = Frame::filled(1, 1, [0; 3]);
        part.copy_part(&whole, [3, 2, 4, 5]);
        assert_eq!((part.width(), part.height()), (4, 5));
        assert_eq!((part.pixel(0, 0), part.pixel(3, 4)), (whole.pixel(3, 2), whole.pixel(6, 6)));
        part.copy_part(&whole, [whole.width() - 2, 900, 50, 50]);
        assert_eq!((part.width(), part.height()), (2, 1));
        assert_eq!(part.pixel(1, 0), whole.pixel(whole.width() - 1, whole.height() - 1));
    }

    #[test]
    fn grey_and_transparent_pictures_become_rgb() {
        let mut file = Cursor::new(Vec::new());
        DynamicImage::new_luma16(5, 4).write_to(&mut file, ImageFormat::Png).unwrap();
        assert_eq!(Frame::decode(file.get_ref()).unwrap(), Frame::filled(5, 4, [0; 3]));
    }

    #[test]
    fn a_photo_is_overwritten_and_never_printed() {
        let mut frame = gradient();
        assert_eq!(format!("{frame:?}"), "Frame(24x16, …)");
        frame.zeroize();
        assert!(frame.rgb().is_empty());
        assert!(matches!(Frame::from_rgb(2, 2, vec![0; 11]), Err(FrameError::WrongLength { expected: 12, .. })));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(c & 1)))
        })
    }
}
