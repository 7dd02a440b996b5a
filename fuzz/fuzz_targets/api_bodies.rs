//! A body of the API, through the real extractor as each type of body: refused in words that repeat nothing much, or one JSON
//! object that says each thing once.
#![no_main]

use cardea_cloud::api::fuzzing::BODIES;
use cardea_fuzz::each_name_once;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for read in BODIES {
        match read(data) {
            Ok(()) => {
                assert!(each_name_once(data), "a name stands twice in what was taken");
                assert!(data.trim_ascii_start().starts_with(b"{"));
            }
            // The names of all fields of a type, and one of the body's of at most 40 characters.
            Err(words) => assert!(words.len() < 1_000 && !words.contains(['\n', '\r', '\0'])),
        }
    }
});
