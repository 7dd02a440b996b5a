//! How pixels become a model's input tensor.

use serde::Deserialize;

/// Order of the input's colour planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue.
    Rgb,
    /// Brightness (Rec. 601).
    Gray,
}

impl Channels {
    /// Number of planes.
    pub fn count(self) -> usize {
        match self {
            Self::Bgr | Self::Rgb => 3,
            Self::Gray => 1,
        }
    }
}

/// Order of the input tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, channels, height, width]`, as PyTorch exports.
    #[default]
    Nchw,
    /// `[1, height, width, channels]`, as Keras exports.
    Nhwc,
}

/// Type of the input tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// `(value - mean) / std` on values of 0 to 255.
    #[default]
    F32,
    /// Values of 0 to 255 as they are: the model normalises them itself.
    U8,
}

/// How a plate that has not the input's proportions is brought into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// It fills the whole input.
    #[default]
    Stretch,
    /// It keeps its proportions; what remains on two sides is grey (114).
    Keep,
}

/// How pixels become the input tensor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Order of the planes.
    pub channels: Channels,
    /// Subtracted, one value per plane. Zeros for [`ElementType::U8`], where the manifest gives none.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// Divided by, one value per plane. Ones for [`ElementType::U8`], where the manifest gives none.
    #[serde(default)]
    pub std: Vec<f32>,
    /// Order of the axes.
    #[serde(default)]
    pub layout: Layout,
    /// Type of the elements.
    #[serde(default)]
    pub dtype: ElementType,
    /// For a plate reader: what becomes of other proportions.
    #[serde(default)]
    pub aspect: Aspect,
    /// Fixed height and width, in pixels.
    pub size: Option<[usize; 2]>,
    /// Dynamic input: both sides are multiples of this, in pixels.
    pub multiple_of: Option<usize>,
    /// Dynamic input: the frame is scaled so that its longer side has this many pixels.
    pub max_side: Option<usize>,
}

impl Input {
    /// Fills in what raw values leave out, so that whoever feeds the model knows one rule only.
    pub(super) fn complete(&mut self) {
        if self.dtype == ElementType::U8 && self.mean.is_empty() && self.std.is_empty() {
            self.mean = vec![0.0; self.channels.count()];
            self.std = vec![1.0; self.channels.count()];
        }
    }

    /// The tensor's shape for a picture of `size` (height, width).
    pub(crate) fn shape(&self, [height, width]: [usize; 2]) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [1, self.channels.count(), height, width],
            Layout::Nhwc => [1, height, width, self.channels.count()],
        }
    }

    /// A number that divides both sides of every input.
    pub(super) fn divisor(&self) -> usize {
        match self.size {
            Some([h, w]) => gcd(h, w),
            None => self.multiple_of.unwrap_or(1),
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
