//! Pictures of every variant a phone, a scanner or an attacker may send: read as what they show, or refused with the reason.
//!
//! The files in `pictures/intake` were made for these tests with Pillow and zlib: 24 x 16 pixels in four quarters (red and
//! blue above green and white) unless a test says otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::Path;

use cardea_models::{Frame, FrameError};

const QUARTERS: [[u8; 3]; 4] = [[220, 30, 40], [30, 60, 200], [30, 180, 50], [240, 240, 240]];

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/intake");
    fs::read(folder.join(name)).unwrap()
}

/// The colours in the middle of the four quarters.
fn quarters(frame: &Frame) -> [[u8; 3]; 4] {
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| frame.pixel(frame.width() * x / 4, frame.height() * y / 4).unwrap())
}

fn alike(found: [[u8; 3]; 4], wanted: [[u8; 3]; 4], tolerance: u8) -> bool {
    found.as_flattened().iter().zip(wanted.as_flattened()).all(|(a, b)| a.abs_diff(*b) <= tolerance)
}

#[test]
fn every_variant_is_read_as_what_it_shows() {
    for (name, tolerance) in [
        ("palette.png", 0),
        ("interlaced.png", 0),
        ("sixteen-bit.png", 0),
        ("transparent.png", 0),
        // the picture for viewers that know no animation, which is its first frame
        ("animated.png", 0),
        ("progressive.jpg", 6),
        ("subsampled.jpg", 6),
        ("cmyk.jpg", 12),
    ] {
        let frame = Frame::decode(&file(name)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!((frame.width(), frame.height()), (24, 16), "{name}");
        assert!(alike(quarters(&frame), QUARTERS, tolerance), "{name}: {:?}", quarters(&frame));
    }
}

#[test]
fn grey_pictures_are_grey() {
    for name in ["grey.jpg", "sixteen-bit-grey-alpha.png"] {
        let found = quarters(&Frame::decode(&file(name)).unwrap());
        let grey = QUARTERS.map(|[r, g, b]| [(299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000; 3]);
        assert!(alike(found, grey.map(|c| c.map(|v| v as u8)), 3), "{name}: {found:?}");
    }
}

/// The file with an Exif block that says `orientation` (TIFF 6.0, tag 274) behind its first marker.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = *b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x00\0\0\0\0\0\0";
    exif[29] = orientation;
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn all_eight_exif_orientations_come_out_upright() {
    let upright = file("progressive.jpg");
    let [a, b, c, d] = QUARTERS;
    for (orientation, quartered) in [
        (1, [a, b, c, d]),
        (2, [b, a, d, c]),
        (3, [d, c, b, a]),
        (4, [c, d, a, b]),
        (5, [a, c, b, d]),
        (6, [c, a, d, b]),
        (7, [d, b, c, a]),
        (8, [b, d, a, c]),
    ] {
        let frame = Frame::decode(&oriented(&upright, orientation)).unwrap();
        let turned = orientation >= 5;
        assert_eq!((frame.width(), frame.height()), if turned { (16, 24) } else { (24, 16) }, "{orientation}");
        assert!(alike(quarters(&frame), quartered, 8), "{orientation}: {:?}", quarters(&frame));
    }
    // an orientation that does not exist turns nothing
    assert_eq!(Frame::decode(&oriented(&upright, 77)).unwrap(), Frame::decode(&upright).unwrap());
}

#[test]
fn truncated_pictures_are_refused_or_whole_in_size() {
    let names =
        ["palette.png", "interlaced.png", "sixteen-bit.png", "animated.png", "progressive.jpg", "cmyk.jpg", "grey.jpg"];
    for name in names {
        let whole = file(name);
        for length in 0..whole.len() {
            match Frame::decode(&whole[..length]) {
                // decoders may fill in the end of a JPEG
                Ok(frame) => assert_eq!((frame.width(), frame.height()), (24, 16), "{name} cut to {length}"),
                Err(error) => {
                    let told = matches!(error, FrameError::NotAnImage | FrameError::Damaged { .. });
                    assert!(told, "{name} cut to {length}: {error}");
                }
            }
        }
    }
}

#[test]
fn pictures_of_other_formats_are_refused_by_kind() {
    for start in
        [&b"RIFF\x24\0\0\0WEBPVP8 "[..], b"GIF89a\x01\0\x01\0", b"BM\x46\0\0\0", b"II*\0\x08\0\0\0", b"<svg xmlns="]
    {
        assert!(matches!(Frame::decode(start), Err(FrameError::NotAnImage)), "{start:?}");
    }
}

/// The size in the frame header of a baseline JPEG, replaced.
fn resized(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut out = jpeg.to_vec();
    let at = out.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a baseline frame header");
    out[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    out[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    out
}

#[test]
fn a_jpeg_that_promises_gigapixels_is_refused_before_they_exist() {
    let jpeg = file("grey.jpg");
    let error = Frame::decode(&resized(&jpeg, 65_000, 65_000)).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { width: 65_000, height: 65_000 }), "{error}");
    assert!(Frame::decode(&resized(&jpeg, 0, 16)).is_err());
}

/// A decoder works for all the pixels that the header promises, data or none: a few hundred bytes cost seconds.
#[test]
fn a_jpeg_with_less_data_than_its_blocks_need_is_refused_at_once() {
    let jpeg = file("grey.jpg");
    for (width, height) in [(6_000, 6_000), (65_500, 600), (1_000, 1_000)] {
        let error = Frame::decode(&resized(&jpeg, width, height)).expect_err("there is no data for these pixels");
        assert!(matches!(error, FrameError::Damaged { format: "JPEG", .. }), "{error}");
    }
    // one colour at the least quality compresses as well as anything
    assert!(Frame::decode(&Frame::filled(640, 640, [7; 3]).to_jpeg(1).unwrap()).is_ok());
}

#[test]
fn data_that_unfolds_beyond_the_picture_is_ignored_or_refused() {
    // 24 x 16 pixels of grey 90: once followed by 4 MiB of packed zeros, once with metadata that unfolds to as much
    for name in ["overfull.png", "folded-metadata.png"] {
        match Frame::decode(&file(name)) {
            Ok(frame) => assert_eq!(frame, Frame::filled(24, 16, [90; 3]), "{name}"),
            Err(error) => assert!(matches!(error, FrameError::Damaged { .. }), "{name}: {error}"),
        }
    }
}
