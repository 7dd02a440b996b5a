//! Every family of detectors, over outputs whose shapes are right and over others: no panic, and nothing impossible found.
#![no_main]

use cardea_fuzz::{any_shapes, filled};
use cardea_models::fuzzing::{detect, detectors, fitting};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fn run(mut bytes: Unstructured<'_>) -> Result<()> {
    let kinds = detectors();
    let kind = bytes.choose(&kinds)?;
    let canvas = [32 * bytes.int_in_range(1..=3_usize)?, 32 * bytes.int_in_range(1..=3_usize)?];
    let threshold = f32::from(bytes.int_in_range(1..=99_u8)?) / 100.0;
    let right = fitting(kind, canvas, bytes.int_in_range(0..=40_usize)?);
    let shapes = if bytes.ratio(7_u8, 8_u8)? {
        right
    } else {
        let names: Vec<String> = right.into_iter().map(|(name, _)| name).collect();
        any_shapes(&mut bytes, &names)?
    };
    let outputs = filled(&mut bytes, shapes)?;
    if let Ok(found) = detect(kind, outputs, canvas, threshold) {
        for (score, bbox, points) in found {
            assert!(score >= threshold - 1e-4 && score <= 1.0, "{score}");
            assert!(bbox.area().is_normal());
            assert!(points.iter().all(|p| p.x.is_finite() && p.y.is_finite()));
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(Unstructured::new(data));
});
