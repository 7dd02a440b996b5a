//! A multipart stream in chunks of any size: the same bodies however it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (chunk, stream) = data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first) + 1, rest));
    let kind = "multipart/mixed; boundary=b";
    let (whole, cut) = (
        cardea_hardware::fuzzing::multipart(kind, stream, usize::MAX),
        cardea_hardware::fuzzing::multipart(kind, stream, chunk),
    );
    if let (Some(whole), Some(cut)) = (whole, cut) {
        assert_eq!(whole, cut);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        cardea_hardware::fuzzing::multipart(text, data, chunk);
    }
});
