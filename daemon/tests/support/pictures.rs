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

/// A pack of public face and PAD models from the optional folder of shared models, in a folder of its own; `None`, with a
/// word, where that folder is not there.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn pack_with_pad() -> Option<tempfile::TempDir> {
    let models = root().join("../shared/models");
    if !models.is_dir() {
        eprintln!("skipped: there is no folder {} with public models", models.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("models/tests/packs/public.toml"), folder.path().join("manifest.toml")).unwrap();
    for model in std::fs::read_dir(models).unwrap() {
        let model = model.unwrap();
        std::os::unix::fs::symlink(model.path(), folder.path().join(model.file_name())).unwrap();
    }
    Some(folder)
}

/// A photograph of a living face, or of a face on paper, from the shared folder.
pub(crate) fn presented(live: bool) -> Bytes {
    let name = if live { "real_image_T1.jpg" } else { "fake_image_F1.jpg" };
    std::fs::read(root().join("../shared/eval/antispoof").join(name)).unwrap().into()
}

/// A sample picture's bytes.
pub(crate) fn sample(name: &str) -> Bytes {
    let path = root().join(".tools/samples").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run setup/samples.py", path.display())).into()
}

/// The biometric reference of the person in a sample photograph.
pub(crate) fn enrol(photo: &str) -> Vec<u8> {
    enrol_with(&recognition().0, &sample(photo))
}

/// The biometric reference of the person in a photograph, by the models of `pack`.
pub(crate) fn enrol_with(pack: &Path, photo: &[u8]) -> Vec<u8> {
    let template = face_pipeline(pack).enrol(&Frame::decode(photo).unwrap()).unwrap();
    template.to_bytes().to_vec()
}

fn face_pipeline(pack: &Path) -> FacePipeline {
    let (_, library) = recognition();
    Pack::load(pack, &Runtime::load(&library).unwrap(), 1).unwrap().take_face_pipeline().unwrap()
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
