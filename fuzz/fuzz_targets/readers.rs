//! Both families of plate readers, over outputs whose shapes are right and over others: no panic, no likelihood that is no
//! number, and no text likelier than certain.
#![no_main]

use cardea_fuzz::{any_shapes, filled};
use cardea_models::fuzzing::{fitting, read, readers};
use cardea_models::plate::Shapes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fn run(mut bytes: Unstructured<'_>) -> Result<()> {
    let kinds = readers();
    let kind = bytes.choose(&kinds)?;
    let shapes = if bytes.ratio(7_u8, 8_u8)? {
        fitting(kind, [32, 128], bytes.int_in_range(0..=24_usize)?)
    } else {
        any_shapes(&mut bytes, &["output".into()])?
    };
    let limited = bytes.arbitrary()?;
    let plates = if limited { Shapes::new([["ABC", "0123", "0123"]]).unwrap_or_default() } else { Shapes::any() };
    let outputs = filled(&mut bytes, shapes)?;
    let Some(reading) = read(kind, outputs, &plates) else { return Ok(()) };
    assert!((0.0..=1.001).contains(&reading.mean_probability()) && (0.0..=1.001).contains(&reading.weakest_probability()));
    for hypothesis in reading.hypotheses(4) {
        assert!(hypothesis.log_likelihood.is_finite() && hypothesis.log_likelihood < 1e-3);
    }
    for text in [reading.text().as_str(), "A12", "", "ABCABCABCABCABCABCABC"] {
        assert!(!reading.log_likelihood(text).is_nan() && !reading.match_score(text).is_nan(), "{text}");
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(Unstructured::new(data));
});
