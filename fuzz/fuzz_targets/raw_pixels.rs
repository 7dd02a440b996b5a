//! Raw pixels of any size with any number of bytes: refused, or a picture of that size.
#![no_main]

use cardea_models::Frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (width, height, pixels) = (u32::from(input.0), u32::from(input.1), input.2);
    let mut frame = Frame::filled(1, 1, [0; 3]);
    // most sizes have other numbers of bytes, so one that fits is tried as well
    for height in [height, (pixels.len() as u32 / width.max(1) / 2).min(height)] {
        for filled in [frame.fill_from_i420(width, height, pixels), frame.fill_from_yuyv(width, height, pixels)] {
            if filled.is_err() {
                continue;
            }
            assert_eq!(u64::from(frame.width()) * u64::from(frame.height()) * 3, frame.rgb().len() as u64);
        }
    }
});
