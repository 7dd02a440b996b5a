//! An event of a camera that reads plates, of either make: a short text, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for plate in cardea_hardware::fuzzing::plate_event(data) {
        assert!(plate.chars().count() <= 24);
    }
});
