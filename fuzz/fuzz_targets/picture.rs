//! A picture that anyone may have made: refused, or pixels in the number its size says, also in a frame that showed another
//! one before.
#![no_main]

use cardea_models::Frame;
use cardea_models::frame::MAX_PIXELS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = Frame::decode(data) {
        let pixels = u64::from(frame.width()) * u64::from(frame.height());
        assert!(pixels > 0 && pixels <= MAX_PIXELS);
        assert_eq!(frame.rgb().len() as u64, pixels * 3);
    }
    let mut used = Frame::filled(40, 30, [1; 3]);
    let _ = used.decode_into(data);
    assert_eq!(used.rgb().len(), used.width() as usize * used.height() as usize * 3);
});
