//! Colours as a model wants them: order of the planes and normalisation, folded into a few factors.

use crate::manifest::{Channels, Input};

/// What becomes of a colour in each plane of an input.
#[derive(Debug, Clone, Copy)]
pub(super) enum Planes {
    /// Each plane is one channel (0 red, 1 green, 2 blue), scaled and shifted.
    Colours([(usize, f32, f32); 3]),
    /// One plane of brightness: a share of each channel, and a shift.
    Brightness([f32; 3], f32),
}

impl Planes {
    /// The mapping of values of 0 to 255 that `input` asks for.
    pub(super) fn new(input: &Input) -> Self {
        // a checked manifest has a mean and a deviation for each plane
        let factors = |plane: usize| {
            let (mean, std) = (input.mean.get(plane).unwrap_or(&0.0), input.std.get(plane).unwrap_or(&1.0));
            (1.0 / std, -mean / std)
        };
        match input.channels {
            Channels::Rgb | Channels::Bgr => Self::Colours(std::array::from_fn(|plane| {
                let (scale, shift) = factors(plane);
                (if input.channels == Channels::Rgb { plane } else { 2 - plane }, scale, shift)
            })),
            Channels::Gray => {
                let (scale, shift) = factors(0);
                Self::Brightness([0.299, 0.587, 0.114].map(|share: f32| share * scale), shift)
            }
        }
    }

    /// How many planes there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Colours(_) => 3,
            Self::Brightness(..) => 1,
        }
    }

    /// The value of a grey of `level` in `plane`.
    pub(super) fn grey(&self, plane: usize, level: u8) -> f32 {
        let mut value = [0.0];
        let level = [f32::from(level)];
        self.write(plane, [&level; 3], 1.0, &mut value);
        value[0]
    }

    /// Writes a row of `plane`, given the row's red, green and blue values times `unit`.
    #[inline(always)]
    pub(super) fn write(&self, plane: usize, rgb: [&[f32]; 3], unit: f32, row: &mut [f32]) {
        match self {
            Self::Colours(mapping) => {
                let (channel, scale, shift) = mapping[plane];
                let scale = scale / unit;
                for (value, level) in row.iter_mut().zip(rgb[channel]) {
                    *value = level * scale + shift;
                }
            }
            Self::Brightness(shares, shift) => {
                let [red_share, green_share, blue_share] = shares.map(|share| share / unit);
                for (((value, red), green), blue) in row.iter_mut().zip(rgb[0]).zip(rgb[1]).zip(rgb[2]) {
                    *value = red_share * red + green_share * green + blue_share * blue + shift;
                }
            }
        }
    }
}
