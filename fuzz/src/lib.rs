//! What the targets share: outputs of a network made of the fuzzer's bytes, and a strict reader of JSON.

mod json;

pub use json::each_name_once;

use cardea_models::fuzzing::Output;
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// No tensor of a target has more values: decoders are linear in them, and the fuzzer is to see many inputs.
const MAX_VALUES: usize = 50_000;

/// Shapes of any kind for a few outputs with `names`.
pub fn any_shapes(bytes: &mut Unstructured<'_>, names: &[String]) -> Result<Vec<(String, Vec<i64>)>> {
    let count = bytes.int_in_range(0..=12_usize)?;
    (0..count)
        .map(|_| {
            let name = bytes.choose(names)?.clone();
            let sides = bytes.int_in_range(0..=4_usize)?;
            let shape = (0..sides).map(|_| Ok(i64::from(bytes.int_in_range(-1..=80_i8)?))).collect::<Result<_>>()?;
            Ok((name, shape))
        })
        .collect()
}

/// Fills tensors of `shapes` with the rest of the bytes, again and again.
pub fn filled(bytes: &mut Unstructured<'_>, shapes: Vec<(String, Vec<i64>)>) -> Result<Vec<Output>> {
    let mut values: Vec<f32> = Vec::new();
    while !bytes.is_empty() && values.len() < 512 {
        // numbers as networks give them, and any others
        values.push(if bytes.arbitrary()? {
            f32::from(bytes.arbitrary::<i16>()?) / 256.0
        } else {
            f32::from_bits(bytes.arbitrary()?)
        });
    }
    if values.is_empty() {
        values.push(0.5);
    }
    Ok(shapes
        .into_iter()
        .map(|(name, shape)| {
            let count = shape
                .iter()
                .try_fold(1_usize, |product, side| product.checked_mul(usize::try_from(*side).ok()?))
                .map_or(1, |count| count.min(MAX_VALUES));
            (name, shape, values.iter().copied().cycle().take(count).collect())
        })
        .collect())
}
