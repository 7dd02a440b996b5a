//! H.264 (ITU-T H.264, Annex B) to raw pixels, no more than is needed, and never a torn picture.
//!
//! Pictures depend on those before them, back to the last IDR picture, so those are kept, still encoded, until somebody wants
//! to see the newest: then all that have come since are decoded and the last is shown. A new IDR picture makes everything
//! before it superfluous. After a gap, or an error of the decoder (whose concealment is off), nothing is shown before the
//! next IDR picture.
//!
//! The decoder is OpenH264, which is not Rust. What it allocates for is checked before it gets it: the size in each sequence
//! parameter set, and the bytes of each picture.

use bytes::Bytes;
use h264_reader::{
    nal::sps::SeqParameterSet,
    rbsp::{BitReader, decode_nal},
};
use openh264::{
    decoder::{DecodedYUV, Decoder},
    formats::YUVSource as _,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::ImageKind;

/// Pictures kept undecoded; beyond that they are decoded unseen, so that the first look does not take long.
const MAX_PENDING: usize = 64;
/// NAL unit types (table 7-1).
const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const SUBSET_SEQUENCE_PARAMETERS: u8 = 15;

/// One coded picture.
pub struct Unit {
    /// Its NAL units, each after a start code.
    pub data: Vec<u8>,
    /// When it was taken; `None` if it is not to be shown, only to be decoded.
    pub captured_at: Option<Instant>,
}

/// A decoded picture.
pub struct Shown {
    /// Its planes, as `kind` says. They are overwritten when the last copy is dropped.
    pub bytes: Bytes,
    /// Always [`ImageKind::I420`].
    pub kind: ImageKind,
    /// What its [`Unit`] said.
    pub captured_at: Option<Instant>,
}

/// The pictures since the last IDR picture.
pub struct Pictures {
    max_pixels: u32,
    max_bytes: usize,
    decoder: Option<Decoder>,
    pending: Vec<Unit>,
    pending_bytes: usize,
    /// Nothing can be decoded before the next IDR picture.
    broken: bool,
}

impl Pictures {
    /// None yet. A stream with more pixels, or with more bytes in a picture, is refused.
    pub fn new(max_pixels: u32, max_bytes: usize) -> Self {
        Self { max_pixels, max_bytes, decoder: None, pending: Vec::new(), pending_bytes: 0, broken: true }
    }

    /// A picture has come; `gap` if something before it has not. An error ends the stream: it is too large, or says so.
    pub fn push(&mut self, unit: Unit, gap: bool) -> Result<(), String> {
        if unit.data.len() > self.max_bytes {
            return Err(format!("a picture has more than {} bytes (max_bytes)", self.max_bytes));
        }
        let mut idr = false;
        for nal in nal_units(&unit.data) {
            match nal.first().map_or(0, |head| head & 0x1F) {
                IDR_SLICE => idr = true,
                SEQUENCE_PARAMETERS | SUBSET_SEQUENCE_PARAMETERS => check_size(nal, self.max_pixels)?,
                _ => {}
            }
        }
        if idr {
            self.forget();
            self.broken = false;
        } else if gap {
            self.forget();
            self.broken = true;
        }
        if !self.broken {
            self.pending_bytes += unit.data.len();
            self.pending.push(unit);
        }
        Ok(())
    }

    /// Whether there is something to decode.
    pub fn is_ready(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether so much has gathered that it is decoded although nobody looks.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= MAX_PENDING || self.pending_bytes > self.max_bytes
    }

    /// Decodes what has come and answers the last picture, if it is whole. Takes milliseconds for each: call it where blocking
    /// is allowed. An error means that an IDR picture, which depends on nothing, cannot be decoded.
    pub fn decode(&mut self) -> Result<Option<Shown>, String> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let last = pending.len().saturating_sub(1);
        for (i, unit) in pending.into_iter().enumerate() {
            let decoder = match &mut self.decoder {
                Some(decoder) => decoder,
                None => self.decoder.insert(Decoder::new().map_err(|error| format!("no decoder: {error}"))?),
            };
            match decoder.decode(&unit.data) {
                Ok(Some(picture)) if i == last => return copy(&picture, self.max_pixels, unit.captured_at).map(Some),
                Ok(_) => {}
                Err(error) => {
                    self.decoder = None;
                    self.broken = true;
                    let idr = nal_units(&unit.data).any(|nal| nal.first().is_some_and(|head| head & 0x1F == IDR_SLICE));
                    return if idr { Err(format!("its H.264 cannot be decoded: {error}")) } else { Ok(None) };
                }
            }
        }
        Ok(None)
    }

    fn forget(&mut self) {
        self.pending.clear();
        self.pending_bytes = 0;
    }
}

/// The picture without its padding. It is overwritten when its last copy is dropped.
fn copy(picture: &DecodedYUV<'_>, max_pixels: u32, captured_at: Option<Instant>) -> Result<Shown, String> {
    let ((width, height), (y_stride, u_stride, v_stride)) = (picture.dimensions(), picture.strides());
    if width.saturating_mul(height) > max_pixels as usize {
        return Err(format!("a picture has {width}x{height} pixels, more than max_pixels = {max_pixels}"));
    }
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let mut planes = Zeroizing::new(Vec::with_capacity(width * height + 2 * cw * ch));
    for (plane, stride, columns, rows) in
        [(picture.y(), y_stride, width, height), (picture.u(), u_stride, cw, ch), (picture.v(), v_stride, cw, ch)]
    {
        for row in 0..rows {
            let at = row * stride;
            planes.extend_from_slice(plane.get(at..at + columns).ok_or("the decoder gave less than a picture")?);
        }
    }
    let kind = ImageKind::I420 { width: width as u32, height: height as u32 };
    Ok(Shown { bytes: Bytes::from_owner(planes), kind, captured_at })
}

/// Refuses a sequence parameter set (section 7.3.2.1.1) that cannot be read or asks for too many pixels.
fn check_size(nal: &[u8], max_pixels: u32) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Debug| format!("its picture size cannot be read ({error:?})");
    let rbsp = decode_nal(nal).map_err(|error| unreadable(&error))?;
    let sps = SeqParameterSet::from_bits(BitReader::new(&rbsp[..])).map_err(|error| unreadable(&error))?;
    let fields = if matches!(sps.frame_mbs_flags, h264_reader::nal::sps::FrameMbsFlags::Frames) { 1 } else { 2 };
    let side = |macroblocks: u32, times: u64| u64::from(macroblocks).saturating_mul(16 * times);
    let (width, height) = (side(sps.pic_width_in_mbs(), 1), side(sps.pic_height_in_map_units(), fields));
    if width.saturating_mul(height) > u64::from(max_pixels) {
        return Err(format!(
            "its pictures have {width}x{height} pixels, more than max_pixels = {max_pixels}; choose a smaller stream of \
             the camera, or raise max_pixels"
        ));
    }
    Ok(())
}

/// The NAL units of a byte stream (Annex B), without their start codes.
pub(crate) fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let found = rest?;
        let end = find_start_code(found).unwrap_or(found.len());
        rest = after_start_code(&found[end..]);
        let unit = &found[..end];
        // zeros before a start code belong to it
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        Some(&unit[..unit.len() - zeros])
    })
}

fn find_start_code(stream: &[u8]) -> Option<usize> {
    stream.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    find_start_code(stream).map(|at| &stream[at + 3..])
}

/// The pictures of a byte stream, each with its start codes: a picture begins at a slice with its first macroblock, or at
/// what only stands before one (section 7.4.1.2.3).
pub(crate) fn access_units(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut units, mut unit, mut has_slice) = (Vec::new(), Vec::new(), false);
    for nal in nal_units(stream) {
        let kind = nal.first().map_or(0, |head| head & 0x1F);
        let slice = matches!(kind, 1 | IDR_SLICE);
        let first = slice && nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if has_slice && (first || matches!(kind, 6..=9)) {
            units.push(std::mem::take(&mut unit));
            has_slice = false;
        }
        has_slice |= slice;
        unit.extend_from_slice(&[0, 0, 0, 1]);
        unit.extend_from_slice(nal);
    }
    if has_slice {
        units.push(unit);
    }
    units
}

#[cfg(test)]
pub(crate) mod tests {
    use openh264::{encoder::Encoder, formats::YUVBuffer};
    use proptest::prelude::*;

    use super::*;

    /// Pictures of `width` by `height`, each of one grey level; the first is an IDR picture.
    pub(crate) fn encoded(width: usize, height: usize, greys: &[u8]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new().unwrap();
        let pictures = greys.iter().map(|grey| {
            let mut planes = vec![*grey; width * height];
            planes.resize(width * height * 3 / 2, 128);
            encoder.encode(&YUVBuffer::from_vec(planes, width, height)).unwrap().to_vec()
        });
        pictures.collect()
    }

    fn unit(data: &[u8]) -> Unit {
        Unit { data: data.to_vec(), captured_at: None }
    }

    /// The grey level in the middle of what is shown.
    fn grey(shown: &Shown) -> u8 {
        let ImageKind::I420 { width, height } = shown.kind else { panic!("{:?}", shown.kind) };
        assert_eq!(shown.bytes.len(), (width * height * 3 / 2) as usize);
        shown.bytes[(height / 2 * width + width / 2) as usize]
    }

    fn pictures() -> Pictures {
        Pictures::new(1_000_000, 100_000)
    }

    #[test]
    fn only_the_newest_is_shown_and_all_before_it_are_decoded() {
        let stream = encoded(64, 48, &[40, 90, 140, 200]);
        let mut found = pictures();
        for data in &stream {
            found.push(unit(data), false).unwrap();
        }
        let shown = found.decode().unwrap().unwrap();
        assert!(grey(&shown).abs_diff(200) < 6, "{}", grey(&shown));
        assert!(!found.is_ready() && found.decode().unwrap().is_none());
    }

    #[test]
    fn after_a_gap_nothing_is_shown_before_the_next_idr_picture() {
        let (stream, next) = (encoded(64, 48, &[40, 90, 140]), encoded(64, 48, &[220]));
        let mut found = pictures();
        found.push(unit(&stream[1]), false).unwrap();
        assert!(found.decode().unwrap().is_none(), "a stream that begins in the middle");
        found.push(unit(&stream[0]), false).unwrap();
        assert!(found.decode().unwrap().is_some());
        found.push(unit(&stream[2]), true).unwrap();
        assert!(found.decode().unwrap().is_none());
        found.push(unit(&next[0]), true).unwrap();
        assert!(grey(&found.decode().unwrap().unwrap()).abs_diff(220) < 6);
    }

    #[test]
    fn a_damaged_picture_is_not_shown_and_a_damaged_idr_picture_ends_the_stream() {
        let mut stream = encoded(320, 240, &[40, 220]);
        let mut found = pictures();
        found.push(unit(&stream[0]), false).unwrap();
        found.decode().unwrap().unwrap();
        let length = stream[1].len();
        stream[1][length / 4..].fill(0xA5);
        found.push(unit(&stream[1]), false).unwrap();
        assert!(found.decode().unwrap().is_none());
        let length = stream[0].len();
        stream[0].truncate(length - 1);
        stream[0][length / 3..].fill(0xFF);
        if found.push(unit(&stream[0]), false).is_ok() {
            assert!(!matches!(found.decode(), Ok(Some(_))));
        }
    }

    #[test]
    fn a_size_beyond_the_limit_is_refused_before_it_is_decoded() {
        let stream = encoded(640, 480, &[40]);
        let told = Pictures::new(300_000, 1_000_000).push(unit(&stream[0]), false).unwrap_err();
        assert!(told.contains("640x480") && told.contains("max_pixels"), "{told}");
        let told = Pictures::new(1_000_000, 100).push(unit(&[0; 101]), false).unwrap_err();
        assert!(told.contains("max_bytes"), "{told}");
        let told = pictures().push(unit(&[0, 0, 0, 1, 0x67, 0xFF]), false).unwrap_err();
        assert!(told.contains("size"), "{told}");
    }

    #[test]
    fn a_byte_stream_falls_into_its_pictures() {
        let stream = encoded(64, 48, &[40, 90, 140]);
        let units = access_units(&stream.concat());
        assert_eq!(units.len(), 3);
        let nals = |data: &[u8]| nal_units(data).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert!(units.iter().zip(&stream).all(|(found, made)| nals(found) == nals(made)));
        assert!(access_units(b"no such thing").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_that_a_camera_sends_makes_it_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
            noise in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut data = encoded(64, 48, &[40]).remove(0);
            for (at, value) in changes {
                let at = at.index(data.len());
                data[at] = value;
            }
            for data in [&data, &noise] {
                let mut found = pictures();
                if found.push(unit(data), false).is_ok() {
                    let _ = found.decode();
                }
                access_units(data);
            }
        }
    }
}
