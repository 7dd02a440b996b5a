//! The answer of a PAD model: a probability, or nothing.
#![no_main]

use cardea_fuzz::{any_shapes, filled};
use cardea_models::fuzzing::live;
use cardea_models::manifest::LiveClass;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fn run(mut bytes: Unstructured<'_>) -> Result<()> {
    let family = LiveClass { classes: 3, live: 1, crop_scale: 2.7, softmax: bytes.arbitrary()? };
    let shapes = if bytes.ratio(7_u8, 8_u8)? {
        vec![("output".into(), vec![1, 3])]
    } else {
        any_shapes(&mut bytes, &["output".into()])?
    };
    for (_, shape, values) in filled(&mut bytes, shapes)? {
        if let Some(p) = live(&family, &shape, &values) {
            assert!((0.0..=1.0).contains(&p), "{p}");
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(Unstructured::new(data));
});
