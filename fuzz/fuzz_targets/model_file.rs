//! The walk over an ONNX file in search of weights that lie elsewhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    cardea_models::fuzzing::weights_lie_elsewhere(data);
});
