//! Pictures from `.tools/samples` (see `setup/samples.py`), and what a camera makes of them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use cardea_models::{FacePipeline, Frame, Pack, Runtime};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pack and ONNX Runtime. `CARDEA_TEST_PACK` names another pack than the project's own.
pub(crate) fn recognition() -> (PathBuf, PathBuf) {
    let pack = std::env::var_os("CARDEA_TEST_PACK").map_or_else(|| root().join("models/base"), PathBuf::from);
    (pack, root().join(".tools/onnxruntime/libonnxruntime.so"))
}

/// A sample picture's bytes.
pub(crate) fn sample(name: &str) -> Bytes {
    let path = root().join(".tools/samples").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run setup/samples.py", path.display())).into()
}

/// The biometric reference of the person in a sample photograph.
pub(crate) fn enrol(photo: &str) -> Vec<u8> {
    let mut pipeline = face_pipeline();
    let template = pipeline.enrol(&Frame::decode(&sample(photo)).unwrap()).unwrap();
    template.to_bytes().to_vec()
}

fn face_pipeline() -> FacePipeline {
    let (pack, library) = recognition();
    Pack::load(&pack, &Runtime::load(&library).unwrap(), 1).unwrap().take_face_pipeline().unwrap()
}

/// What a door camera shows of the person in a sample photograph: smaller, darker, somewhere in the picture, compressed.
pub(crate) fn at_the_door(photo: &str) -> Bytes {
    let photo = Frame::decode(&sample(photo)).unwrap();
    let mut frame = Frame::filled(640, 480, [96, 100, 104]);
    // The photograph fills 420 pixels of the height.
    let scale = photo.height() as f32 / 420.0;
    let width = (photo.width() as f32 / scale) as u32;
    for y in 0..420 {
        for x in 0..width.min(600) {
            let [r, g, b] = average(&photo, x as f32 * scale, y as f32 * scale, scale);
            let dark = |v: f32| (v * 0.85 + 8.0) as u8;
            frame.set_pixel(x + 20, y + 40, [dark(r), dark(g), dark(b)]);
        }
    }
    frame.to_jpeg(80).unwrap().into()
}

/// Mean colour of the square of side `scale` at `x`, `y`.
fn average(photo: &Frame, x: f32, y: f32, scale: f32) -> [f32; 3] {
    let side = (scale.ceil() as u32).max(1);
    let mut sum = [0.0; 3];
    for i in 0..side * side {
        let at = (x as u32 + i % side, y as u32 + i / side);
        let pixel = photo.pixel(at.0.min(photo.width() - 1), at.1.min(photo.height() - 1)).unwrap_or_default();
        for (total, value) in sum.iter_mut().zip(pixel) {
            *total += f32::from(value);
        }
    }
    sum.map(|total| total / (side * side) as f32)
}

/// A scene in which nothing happens.
pub(crate) fn empty_scene() -> Bytes {
    Frame::filled(640, 480, [96, 100, 104]).to_jpeg(80).unwrap().into()
}
