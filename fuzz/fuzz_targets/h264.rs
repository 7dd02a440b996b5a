//! An H.264 stream from a camera: no picture, or pictures within the limits, also out of the decoder that is not Rust.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    cardea_hardware::fuzzing::h264(data);
});
