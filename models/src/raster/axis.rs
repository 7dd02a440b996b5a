//! Scaling along one axis: which source pixels make up each target pixel, and with which weights.

/// The source pixels and weights behind each target pixel of one axis.
#[derive(Debug, Default)]
pub(super) struct Axis {
    lengths: (usize, usize),
    /// First source pixel, and where its weights begin.
    starts: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

impl Axis {
    /// For `from` source pixels and `to` target pixels; nothing to do when that is as before.
    pub(super) fn prepare(&mut self, from: usize, to: usize) {
        if self.lengths == (from, to) {
            return;
        }
        self.lengths = (from, to);
        self.starts.clear();
        self.weights.clear();
        let step = from as f64 / to as f64;
        for i in 0..to {
            if step > 1.0 {
                let (low, high) = (i as f64 * step, ((i + 1) as f64 * step).min(from as f64));
                let first = low.floor() as usize;
                self.starts.push((first, self.weights.len()));
                for pixel in first..(high.ceil() as usize).min(from) {
                    let covered = high.min((pixel + 1) as f64) - low.max(pixel as f64);
                    self.weights.push((covered / (high - low)) as f32);
                }
            } else {
                let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
                let first = centre.floor() as usize;
                let share = (centre - first as f64) as f32;
                self.starts.push((first, self.weights.len()));
                self.weights.push(1.0 - share);
                if first + 1 < from {
                    self.weights.push(share);
                }
            }
        }
        self.starts.push((0, self.weights.len()));
    }

    /// The first source pixel of target pixel `i`, and the weights from there on.
    #[inline]
    pub(super) fn taps(&self, i: usize) -> (usize, &[f32]) {
        let (first, begin) = self.starts[i];
        (first, &self.weights[begin..self.starts[i + 1].1])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weights_sum_to_one_inside_the_source(from in 1_usize..400, to in 1_usize..400) {
            let mut axis = Axis::default();
            axis.prepare(from, to);
            for i in 0..to {
                let (first, weights) = axis.taps(i);
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-4);
                prop_assert!(first + weights.len() <= from);
            }
        }
    }
}
