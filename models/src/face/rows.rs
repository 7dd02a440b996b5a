//! Rows of numbers in one piece of memory that leave nothing behind.
//!
//! A `Vec` that grows by itself frees its old memory as it is, and one that shrinks keeps what it held. Here both are
//! overwritten, so that an erased template is gone.

use zeroize::{DefaultIsZeroes, Zeroize};

/// Rows of `width` values each, one after the other.
pub(super) struct Rows<T: DefaultIsZeroes> {
    width: usize,
    count: usize,
    /// `count` rows, followed by zeros up to the memory's end.
    values: Vec<T>,
}

impl<T: DefaultIsZeroes> Rows<T> {
    /// No rows yet, of `width` values each.
    pub(super) fn new(width: usize) -> Self {
        Self { width, count: 0, values: Vec::new() }
    }

    /// The values of row `i`.
    pub(super) fn row(&self, i: usize) -> &[T] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The values of all rows, in order.
    pub(super) fn all(&self) -> &[T] {
        &self.values[..self.count * self.width]
    }

    /// Appends a row of `width` values.
    pub(super) fn push(&mut self, row: &[T]) {
        let used = self.count * self.width;
        if used + self.width > self.values.len() {
            let mut larger = vec![T::default(); (2 * used).max(64 * self.width)];
            larger[..used].copy_from_slice(&self.values[..used]);
            std::mem::replace(&mut self.values, larger).zeroize();
        }
        self.values[used..used + self.width].copy_from_slice(row);
        self.count += 1;
    }

    /// Moves the last row into the place of row `i`, and overwrites what the last row leaves behind.
    pub(super) fn swap_remove(&mut self, i: usize) {
        let last = (self.count - 1) * self.width;
        self.values.copy_within(last..last + self.width, i * self.width);
        self.values[last..last + self.width].zeroize();
        self.count -= 1;
    }
}

impl<T: DefaultIsZeroes> Drop for Rows<T> {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_is_overwritten() {
        let mut rows = Rows::new(3);
        for i in 1_i32..=100 {
            rows.push(&[i, -i, i]);
        }
        rows.swap_remove(40);
        assert_eq!(rows.row(40), [100, -100, 100]);
        assert_eq!(rows.row(98), [99, -99, 99]);
        assert_eq!(rows.all().len(), 99 * 3);
        assert!(rows.values.iter().all(|v| v.abs() != 41));
        assert!(rows.values[99 * 3..].iter().all(|v| *v == 0));
        rows.swap_remove(98);
        assert!(rows.values.iter().all(|v| v.abs() != 99));
    }
}
