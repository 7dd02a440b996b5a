//! Pixels to tensors: letterboxed scaling for detectors, and warped crops for what they found.
//!
//! Scaling down averages the covered area, scaling up interpolates linearly; both as OpenCV's `INTER_AREA` and
//! `INTER_LINEAR`, which the models were trained with. All buffers are kept, so that after the first frame of a size none
//! is allocated. The loops over whole frames are compiled for each instruction set that matters and chosen when they run.

#![expect(clippy::inline_always, reason = "only what is inlined into a dispatched closure gets its instruction set")]

mod axis;
mod crop;
mod letterbox;
mod planes;
mod warp;

use zeroize::DefaultIsZeroes;

pub(crate) use crop::Crop;
pub(crate) use letterbox::{Fit, Letterbox};
pub(crate) use warp::{Cut, Warper};

/// What lies outside the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// The nearest pixel inside.
    Replicate,
    /// Black.
    Black,
}

/// Gives `buffer` `length` elements, with whatever values. Memory that becomes too small is overwritten before it is
/// returned: it may have held a face.
pub(crate) fn room<T: DefaultIsZeroes>(buffer: &mut Vec<T>, length: usize) {
    if buffer.capacity() < length {
        zeroize::Zeroize::zeroize(buffer);
        *buffer = vec![T::default(); length];
    } else {
        buffer.resize(length, T::default());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::frame::Frame;
    use crate::manifest::{Channels, Input};

    pub(super) fn input(channels: Channels, size: Option<[usize; 2]>) -> Input {
        let planes = channels.count();
        let dynamic = size.is_none();
        Input {
            channels,
            mean: vec![0.0; planes],
            std: vec![1.0; planes],
            layout: crate::manifest::Layout::Nchw,
            dtype: crate::manifest::ElementType::F32,
            aspect: crate::manifest::Aspect::Stretch,
            size,
            multiple_of: dynamic.then_some(32),
            max_side: dynamic.then_some(64),
        }
    }

    pub(super) fn noise(width: u32, height: u32) -> Frame {
        let rgb = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        Frame::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn a_buffer_grows_and_shrinks_without_moving_what_it_held() {
        let mut buffer = vec![1_u8; 10];
        room(&mut buffer, 4);
        assert_eq!((buffer.len(), buffer.capacity()), (4, 10));
        room(&mut buffer, 20);
        assert_eq!(buffer, [0; 20]);
    }
}
