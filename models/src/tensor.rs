//! Output tensors as slices with a shape: what decoders work on, whoever made them.
//!
//! Decoders never trust a shape: they ask for rows or for an exact shape, and get a slice whose length they may rely on, or
//! an [`Unexpected`] that says what was wanted and what is there.

use std::borrow::Cow;

/// How far beyond 0 and 1 rounding may take a probability.
const PROBABILITY_TOLERANCE: f32 = 1e-3;

/// A tensor of `f32` that lies elsewhere, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TensorView<'a> {
    shape: &'a [i64],
    data: &'a [f32],
}

/// An output that is not what the manifest's decode kind calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unexpected {
    /// Name of the output, or what it should have held.
    pub(crate) output: String,
    /// What is wanted.
    pub(crate) expected: String,
    /// What is there.
    pub(crate) found: String,
}

impl Unexpected {
    pub(crate) fn new(output: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { output: output.into(), expected: expected.into(), found: found.into() }
    }
}

/// The outputs of one run.
pub(crate) trait Tensors {
    /// How many there are.
    fn count(&self) -> usize;

    /// Name and values of the output at `index`, in the order of the file.
    fn at(&self, index: usize) -> Result<(Cow<'_, str>, TensorView<'_>), Unexpected>;

    /// Values of the output called `name`.
    fn named(&self, name: &str) -> Result<TensorView<'_>, Unexpected>;

    /// Name and values of the first output, whatever its name.
    fn first(&self) -> Result<(Cow<'_, str>, TensorView<'_>), Unexpected> {
        self.at(0)
    }

    /// Values of output `name`, which must have `shape`.
    fn shaped(&self, name: &str, shape: &[usize]) -> Result<&[f32], Unexpected> {
        let view = self.named(name)?;
        let same = view.shape.len() == shape.len() && view.shape.iter().zip(shape).all(|(a, b)| *a == *b as i64);
        if same { Ok(view.data) } else { Err(Unexpected::new(name, format!("{shape:?}"), view.describe())) }
    }

    /// Values of the first output that is `count` rows of `width`; `what` it holds is for the error.
    fn table(&self, what: &str, count: usize, width: usize) -> Result<&[f32], Unexpected> {
        for index in 0..self.count() {
            let (_, view) = self.at(index)?;
            if view.rows(width) == Some(count) {
                return Ok(view.data);
            }
        }
        let shapes = (0..self.count()).map(|i| Ok(self.at(i)?.1.describe())).collect::<Result<Vec<_>, _>>()?;
        let expected = format!("[{count}, {width}] or [1, {count}, {width}]");
        Err(Unexpected::new(what, expected, format!("not among {}", shapes.join(", "))))
    }
}

impl<'a> TensorView<'a> {
    /// `None` when `shape` does not describe `data`.
    pub(crate) fn new(shape: &'a [i64], data: &'a [f32]) -> Option<Self> {
        let elements =
            shape.iter().try_fold(1_usize, |product, side| product.checked_mul(usize::try_from(*side).ok()?))?;
        (elements == data.len()).then_some(Self { shape, data })
    }

    pub(crate) fn shape(&self) -> &'a [i64] {
        self.shape
    }

    pub(crate) fn data(&self) -> &'a [f32] {
        self.data
    }

    /// How many rows of `width` this is: its shape is `[N, width]` or `[1, N, width]`.
    pub(crate) fn rows(&self, width: usize) -> Option<usize> {
        match *self.shape {
            [count, side] | [1, count, side] if side == width as i64 && width > 0 => usize::try_from(count).ok(),
            _ => None,
        }
    }

    /// The shape, for people.
    pub(crate) fn describe(&self) -> String {
        format!("{:?}", self.shape)
    }
}

/// `value` as a probability of 0 to 1. What is clearly none means that the manifest names the wrong output, column or
/// form, and that every answer of this model would be wrong.
pub(crate) fn probability(value: f32, output: &str) -> Result<f32, Unexpected> {
    if (-PROBABILITY_TOLERANCE..=1.0 + PROBABILITY_TOLERANCE).contains(&value) {
        Ok(value.clamp(0.0, 1.0))
    } else {
        Err(Unexpected::new(output, "probabilities of 0 to 1", value.to_string()))
    }
}

/// Probabilities of the logits in `values` (log-sum-exp form: no overflow). Empty for no values.
pub(crate) fn softmax(values: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = values.iter().map(|v| (v - highest).exp()).sum();
    values.iter().map(move |v| (v - highest).exp() / total)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod made {
    //! Outputs that no network made, for tests and fuzz targets.

    use super::{Cow, TensorView, Tensors, Unexpected};

    /// Named tensors with shapes that may not fit their data, which is then an error as a foreign type would be.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Made(pub(crate) Vec<(String, Vec<i64>, Vec<f32>)>);

    impl Made {
        #[cfg(test)]
        pub(crate) fn with(mut self, name: &str, shape: &[usize], data: Vec<f32>) -> Self {
            self.0.push((name.into(), shape.iter().map(|side| *side as i64).collect(), data));
            self
        }
    }

    impl Tensors for Made {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn at(&self, index: usize) -> Result<(Cow<'_, str>, TensorView<'_>), Unexpected> {
            let (name, shape, data) = self.0.get(index).ok_or_else(|| Unexpected::new("", "an output", "none"))?;
            let view =
                TensorView::new(shape, data).ok_or_else(|| Unexpected::new(name, "values for its shape", "not"))?;
            Ok((name.into(), view))
        }

        fn named(&self, name: &str) -> Result<TensorView<'_>, Unexpected> {
            let index = self.0.iter().position(|(known, ..)| known == name);
            Ok(self.at(index.ok_or_else(|| Unexpected::new(name, "present", "missing"))?)?.1)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::made::Made;
    use super::*;

    #[test]
    fn a_shape_must_describe_its_data() {
        let data = [0.0; 12];
        assert!(TensorView::new(&[3, 4], &data).is_some());
        assert!(TensorView::new(&[0, 7], &[]).is_some());
        for shape in [&[3, 5][..], &[-3, -4], &[i64::MAX, i64::MAX, 2], &[1 << 32, 1 << 32], &[]] {
            assert_eq!(TensorView::new(shape, &data), None, "{shape:?}");
        }
    }

    #[test]
    fn rows_are_counted_with_and_without_a_batch() {
        let data = [0.0; 12];
        assert_eq!(TensorView::new(&[3, 4], &data).unwrap().rows(4), Some(3));
        assert_eq!(TensorView::new(&[1, 3, 4], &data).unwrap().rows(4), Some(3));
        assert_eq!(TensorView::new(&[2, 3, 2], &data).unwrap().rows(2), None);
        assert_eq!(TensorView::new(&[3, 4], &data).unwrap().rows(3), None);
        assert_eq!(TensorView::new(&[0, 7], &[]).unwrap().rows(7), Some(0));
        assert_eq!(TensorView::new(&[3, 0], &[]).unwrap().rows(0), None);
    }

    #[test]
    fn a_table_is_found_by_its_shape_and_a_missing_one_is_described() {
        let outputs = Made::default().with("a", &[3, 4], vec![1.0; 12]).with("b", &[1, 3, 2], vec![2.0; 6]);
        assert_eq!(outputs.table("boxes", 3, 2).unwrap(), [2.0; 6]);
        let error = outputs.table("boxes", 3, 10).unwrap_err();
        assert!(error.expected.contains("[3, 10]") && error.found.contains("[1, 3, 2]"), "{error:?}");
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        assert_eq!(probability(1.0005, "x"), Ok(1.0));
        for value in [f32::NAN, f32::INFINITY, -0.5, 2.0] {
            assert!(probability(value, "x").is_err(), "{value}");
        }
    }

    #[test]
    fn a_softmax_of_huge_logits_stays_finite() {
        let p: Vec<f32> = softmax(&[3e38, 3e38, -3e38]).collect();
        assert_eq!(p, [0.5, 0.5, 0.0]);
    }
}
