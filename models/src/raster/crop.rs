//! A small picture cut out of a frame: what a reader or an embedder looks at.

use zeroize::Zeroizing;

use super::planes::Planes;
use super::room;
use crate::frame::Frame;
use crate::manifest::{Channels, Input};

/// Pixels of one or three channels. Its memory is kept from crop to crop, and overwritten when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Crop {
    height: usize,
    width: usize,
    /// 1 for brightness, 3 for red, green and blue.
    channels: usize,
    pixels: Zeroizing<Vec<u8>>,
    /// Red, green and blue, or the brightness, of all pixels, one channel after the other.
    values: Zeroizing<Vec<f32>>,
}

impl Crop {
    /// Makes this a picture of `size` (height, width) with the channels that `wanted` needs. What it shows is not defined.
    pub(crate) fn reset(&mut self, [height, width]: [usize; 2], wanted: Channels) {
        (self.height, self.width) = (height, width);
        self.channels = wanted.count();
        room(&mut self.pixels, height * width * self.channels);
    }

    /// Makes every pixel a grey of `level`.
    pub(crate) fn fill(&mut self, level: u8) {
        self.pixels.fill(level);
    }

    /// Copies a picture in colour.
    pub(crate) fn copy(&mut self, frame: &Frame) {
        self.reset([frame.height() as usize, frame.width() as usize], Channels::Rgb);
        self.pixels.copy_from_slice(frame.rgb());
    }

    /// Height and width.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Values per pixel.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// The values of row `y`, pixel by pixel.
    pub(super) fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let stride = self.width * self.channels;
        &mut self.pixels[y * stride..][..stride]
    }

    /// Writes it as the normalised planes of an input of its size.
    pub(crate) fn write(&mut self, input: &Input, tensor: &mut Vec<f32>) {
        let planes = Planes::new(input);
        let count = self.height * self.width;
        self.split();
        room(tensor, count * planes.count());
        let values = &self.values;
        let channel = |c: usize| if self.channels == 3 { &values[c * count..][..count] } else { &values[..count] };
        for (p, plane) in tensor.chunks_exact_mut(count).enumerate() {
            planes.write(p, [channel(0), channel(1), channel(2)], 1.0, plane);
        }
    }

    /// Sharpness: the variance of the Laplacian of the brightness (Pech-Pacheco et al., 2000), relative to the variance of
    /// the brightness itself, so that a dim picture is not taken for a blurred one. 0 for a blank crop.
    pub(crate) fn sharpness(&mut self) -> f32 {
        self.split();
        let count = self.height * self.width;
        if self.channels == 3 {
            let (red, rest) = self.values.split_at_mut(count);
            let (green, blue) = rest.split_at(count);
            for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
                *red = 0.299 * *red + 0.587 * green + 0.114 * blue;
            }
        }
        let luma = &self.values[..count];
        let (mut edges, mut tones) = (Moments::default(), Moments::default());
        for y in 1..self.height.saturating_sub(1) {
            let row = |y: usize| &luma[y * self.width..][..self.width];
            let (above, here, below) = (row(y - 1), row(y), row(y + 1));
            for x in 1..self.width.saturating_sub(1) {
                edges.add(here[x - 1] + here[x + 1] + above[x] + below[x] - 4.0 * here[x]);
                tones.add(here[x]);
            }
        }
        if tones.variance() > 1.0 { edges.variance() / tones.variance() } else { 0.0 }
    }

    /// The picture as a frame; `None` for one without pixels.
    pub(crate) fn into_frame(self) -> Option<Frame> {
        let grey = |level: &u8| [*level; 3];
        let rgb = if self.channels == 3 { self.pixels.to_vec() } else { self.pixels.iter().flat_map(grey).collect() };
        Frame::from_rgb(self.width as u32, self.height as u32, rgb).ok()
    }

    /// Fills `values` from `pixels`.
    fn split(&mut self) {
        let count = self.height * self.width;
        room(&mut self.values, count * self.channels);
        if self.channels == 1 {
            for (value, level) in self.values.iter_mut().zip(self.pixels.iter()) {
                *value = f32::from(*level);
            }
            return;
        }
        let (red, rest) = self.values.split_at_mut(count);
        let (green, blue) = rest.split_at_mut(count);
        for (((pixel, red), green), blue) in self.pixels.chunks_exact(3).zip(red).zip(green).zip(blue) {
            (*red, *green, *blue) = (f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2]));
        }
    }
}

#[derive(Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f32) {
        let value = f64::from(value);
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn variance(&self) -> f32 {
        if self.count == 0.0 {
            return 0.0;
        }
        (self.squares / self.count - (self.sum / self.count).powi(2)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{input, noise};
    use super::*;

    #[test]
    fn planes_are_what_the_input_asks_for() {
        let frame = noise(16, 8);
        let mut crop = Crop::default();
        crop.copy(&frame);
        let mut tensor = Vec::new();
        crop.write(&input(Channels::Gray, Some([8, 16])), &mut tensor);
        assert!(tensor.iter().zip(frame.luma()).all(|(a, b)| (a - b).abs() < 1e-3));
        crop.write(&input(Channels::Bgr, Some([8, 16])), &mut tensor);
        for (i, pixel) in frame.rgb().chunks_exact(3).enumerate() {
            let found = [tensor[256 + i], tensor[128 + i], tensor[i]];
            assert_eq!(found, [pixel[0], pixel[1], pixel[2]].map(f32::from));
        }
        assert_eq!(crop.into_frame(), Some(frame));
    }

    #[test]
    fn brightness_alone_serves_every_input() {
        let mut crop = Crop::default();
        crop.reset([2, 3], Channels::Gray);
        crop.fill(100);
        let mut tensor = Vec::new();
        crop.write(&input(Channels::Rgb, Some([2, 3])), &mut tensor);
        assert_eq!(tensor, [100.0; 18]);
        crop.write(&input(Channels::Gray, Some([2, 3])), &mut tensor);
        assert!(tensor.iter().all(|v| (v - 100.0).abs() < 1e-3) && tensor.len() == 6);
        assert_eq!(crop.into_frame(), Some(Frame::filled(3, 2, [100; 3])));
    }

    #[test]
    fn a_crop_without_pixels_is_no_frame() {
        assert_eq!(Crop::default().into_frame(), None);
        assert_eq!(Crop::default().sharpness(), 0.0);
    }
}
