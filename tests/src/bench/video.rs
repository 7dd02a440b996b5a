//! H.264 of a 1280x720 camera to pixels, beside FFmpeg's decoder (through OpenCV), one thread each, in turn.
//!
//! The stream is made here: a sample picture that the camera pans over, with the noise of a sensor, an IDR picture each second
//! of 25 pictures; its bit rate is among the figures. Cardea's time is that of the whole path from the coded picture to one that may be
//! looked at: the sizes are checked, and the planes copied. FFmpeg's is that of reading from the file and decoding, without a
//! copy.

use std::path::Path;

use anyhow::Context as _;
use cardea_hardware::ImageKind;
use cardea_hardware::camera::h264::{Pictures, Unit};
use image::RgbImage;
use image::imageops::{self, FilterType};
use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, FrameRate, IntraFramePeriod, RateControlMode};
use openh264::formats::{RgbSliceU8, YUVBuffer};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::peer::Peer;
use super::{Summary, cpu_ms, median, percentile};
use crate::picture;

const SIZE: (u32, u32) = (1280, 720);
const FPS: u32 = 25;
/// Ten seconds.
const PICTURES: usize = 250;
/// What the picture is enlarged to, so that there is room to pan.
const FIELD: (u32, u32) = (1440, 810);
/// The largest change of a channel by noise.
const NOISE: i16 = 3;
/// As in the configuration of a camera.
const LIMITS: (u32, usize) = (4_194_304, 8 * 1024 * 1024);
const PEER: &str = "FFmpeg (OpenCV), reading and decoding";

/// Measures both on the same stream, which is kept beside the figures.
pub fn run(out: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let stream = stream()?;
    let file = out.join("pan.h264");
    std::fs::write(&file, stream.concat())?;
    let file = file.canonicalize()?;
    let mut peer = Peer::start("video.py", &[json!({ "file": file }).to_string()])?;
    let mut pictures = Pictures::new(LIMITS.0, LIMITS.1);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (i, data) in stream.iter().enumerate() {
        let unit = Unit { data: data.clone(), captured_at: None };
        let start = cpu_ms();
        pictures.push(unit, false).map_err(anyhow::Error::msg)?;
        let shown = pictures.decode().map_err(anyhow::Error::msg)?;
        ours.push(cpu_ms() - start);
        let shown = shown.with_context(|| format!("picture {i} was not shown"))?;
        anyhow::ensure!(
            shown.kind == ImageKind::I420 { width: SIZE.0, height: SIZE.1 },
            "picture {i} has another size"
        );
        let answer = peer.ask()?;
        theirs.push(answer["cpu_ms"].as_f64().context("the peer did not say how long it took")?);
    }
    let mbit = stream.iter().map(Vec::len).sum::<usize>() as f64 * 8.0 * f64::from(FPS) / PICTURES as f64 / 1e6;
    let (p99, peer_p99) = (percentile(&mut ours, 0.99), percentile(&mut theirs, 0.99));
    summary.beside("video: decoding a 1280x720 picture of H.264", median(ours), "ms", PEER, median(theirs));
    summary.beside("video: decoding a 1280x720 picture of H.264, p99", p99, "ms", PEER, peer_p99);
    summary.alone("video: the stream, Mbit/s at 25 pictures a second", mbit, "");
    Ok(())
}

/// The coded pictures, each with its start codes.
fn stream() -> anyhow::Result<Vec<Vec<u8>>> {
    let config = EncoderConfig::new()
        .max_frame_rate(FrameRate::from_hz(FPS as f32))
        .rate_control_mode(RateControlMode::Off)
        .intra_frame_period(IntraFramePeriod::from_num_frames(FPS));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
    let field = image::load_from_memory(&picture::sample_bytes("car-day.jpg")?)?;
    let field = field.resize_exact(FIELD.0, FIELD.1, FilterType::Triangle).to_rgb8();
    let mut dice = StdRng::seed_from_u64(1);
    let grains: Vec<i16> = (0..SIZE.0 * SIZE.1).map(|_| dice.random_range(-NOISE..=NOISE)).collect();
    let mut stream = Vec::new();
    for i in 0..PICTURES {
        let seen = grainy(pan(&field, i as u32), &grains, dice.random_range(0..grains.len()));
        let planes = YUVBuffer::from_rgb8_source(RgbSliceU8::new(seen.as_raw(), (SIZE.0 as usize, SIZE.1 as usize)));
        let coded = encoder.encode(&planes)?.to_vec();
        anyhow::ensure!(!coded.is_empty(), "the encoder left picture {i} out");
        stream.push(coded);
    }
    Ok(stream)
}

/// What is seen at one moment: two pixels further to the side with each picture, one further down, and back.
fn pan(field: &RgbImage, moment: u32) -> RgbImage {
    let swing = |step: u32, room: u32| {
        let at = moment * step % (2 * room);
        at.min(2 * room - at)
    };
    let (x, y) = (swing(2, FIELD.0 - SIZE.0), swing(1, FIELD.1 - SIZE.1));
    imageops::crop_imm(field, x, y, SIZE.0, SIZE.1).to_image()
}

/// With the same noise in each picture, but elsewhere.
fn grainy(mut picture: RgbImage, grains: &[i16], from: usize) -> RgbImage {
    for (pixel, grain) in picture.pixels_mut().zip(grains.iter().cycle().skip(from)) {
        pixel.0 = pixel.0.map(|channel| (i16::from(channel) + grain).clamp(0, 255) as u8);
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_camera_swings_within_its_field() {
        let field = RgbImage::from_fn(FIELD.0, FIELD.1, |x, y| image::Rgb([(x % 251) as u8, (y % 241) as u8, 0]));
        let corner = |moment| pan(&field, moment).get_pixel(0, 0).0;
        assert_eq!((corner(0), corner(10), corner(80)), ([0, 0, 0], [20, 10, 0], [160, 80, 0]));
        assert_eq!((corner(160)[0], corner(180)[1]), (0, 0), "it comes back, each way in its own time");
        for moment in 0..400 {
            assert_eq!(pan(&field, moment).dimensions(), SIZE);
        }
    }
}
