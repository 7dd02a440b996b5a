//! Pictures for the cameras: public-domain photographs seen through an honest camera, and rendered street scenes.
//!
//! Nobody is drawn and nothing is pasted: a probe is the sample photograph with another light, distance, focus, tilt
//! and compression, as the same person gives on another day.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Rgb, RgbImage, imageops};

/// What the camera does to a photograph.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Size relative to the original.
    pub scale: f32,
    /// Head tilt, degrees, positive is clockwise.
    pub tilt_deg: f32,
    /// Light: added to every channel, of 255.
    pub brightness: i32,
    /// Contrast in percent; 0 leaves it.
    pub contrast: f32,
    /// Gaussian blur, pixels.
    pub blur_px: f32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

impl View {
    /// A good day.
    pub const PLAIN: Self = Self { scale: 1.0, tilt_deg: 0.0, brightness: 0, contrast: 0.0, blur_px: 0.0, quality: 92 };
    /// Evening, a little out of focus, head tilted.
    pub const EVENING: Self =
        Self { scale: 0.85, tilt_deg: 5.0, brightness: -28, contrast: -8.0, blur_px: 0.8, quality: 80 };
    /// Bright, nearer, tilted the other way.
    pub const BRIGHT: Self =
        Self { scale: 1.1, tilt_deg: -4.0, brightness: 22, contrast: 6.0, blur_px: 0.4, quality: 75 };
}

/// A sample photograph or rendered scene that `make setup` put into `.tools/samples`.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/samples").join(name)
}

/// The bytes of a sample.
pub fn sample_bytes(name: &str) -> anyhow::Result<Vec<u8>> {
    let path = sample(name);
    std::fs::read(&path).with_context(|| format!("reading {}: run `make setup` first", path.display()))
}

/// A sample photograph through the camera, as a JPEG.
pub fn photograph(name: &str, view: View) -> anyhow::Result<Vec<u8>> {
    let original = image::load_from_memory(&sample_bytes(name)?)?.to_rgb8();
    let (w, h) = (
        (original.width() as f32 * view.scale).round().max(1.0) as u32,
        (original.height() as f32 * view.scale).round().max(1.0) as u32,
    );
    let mut picture = imageops::resize(&original, w, h, imageops::FilterType::Triangle);
    if view.tilt_deg != 0.0 {
        picture = tilt(&picture, view.tilt_deg);
    }
    let mut picture = DynamicImage::ImageRgb8(picture);
    if view.blur_px > 0.0 {
        picture = picture.blur(view.blur_px);
    }
    jpeg(&picture.brighten(view.brightness).adjust_contrast(view.contrast), view.quality)
}

/// Two people side by side, for the enrolment that must refuse them.
pub fn side_by_side(left: &str, right: &str) -> anyhow::Result<Vec<u8>> {
    let height = 512;
    let [left, right] = [left, right].map(|name| -> anyhow::Result<RgbImage> {
        let picture = image::load_from_memory(&sample_bytes(name)?)?;
        Ok(picture.resize(u32::MAX, height, imageops::FilterType::Triangle).to_rgb8())
    });
    let (left, right) = (left?, right?);
    let mut both = RgbImage::new(left.width() + right.width(), height);
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, i64::from(left.width()), 0);
    jpeg(&DynamicImage::ImageRgb8(both), 92)
}

/// An empty scene: a plain gradient with nobody in it.
pub fn nobody() -> anyhow::Result<Vec<u8>> {
    let picture = RgbImage::from_fn(640, 480, |x, y| Rgb([90 + (x / 12) as u8, 100 + (y / 10) as u8, 120]));
    jpeg(&DynamicImage::ImageRgb8(picture), 90)
}

/// Nothing but one level of grey, 320 by 240.
pub fn grey(level: u8) -> anyhow::Result<Vec<u8>> {
    jpeg(&DynamicImage::ImageRgb8(RgbImage::from_pixel(320, 240, Rgb([level; 3]))), 90)
}

fn jpeg(picture: &DynamicImage, quality: u8) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    picture.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(Cursor::new(&mut bytes), quality))?;
    Ok(bytes)
}

/// Rotates about the centre, keeping the size; the border repeats the edge.
fn tilt(picture: &RgbImage, degrees: f32) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (w, h) = picture.dimensions();
    let (cx, cy) = ((w as f32 - 1.0) / 2.0, (h as f32 - 1.0) / 2.0);
    RgbImage::from_fn(w, h, |x, y| {
        let (dx, dy) = (x as f32 - cx, y as f32 - cy);
        let sx = (cos * dx + sin * dy + cx).clamp(0.0, w as f32 - 1.0);
        let sy = (cos * dy - sin * dx + cy).clamp(0.0, h as f32 - 1.0);
        imageops::interpolate_bilinear(picture, sx, sy).unwrap_or(Rgb([0, 0, 0]))
    })
}
