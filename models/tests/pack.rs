//! Loading packs: what is accepted, and what is refused with which words. Real ONNX Runtime, tiny networks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::error::Error;
use std::fs;

use cardea_models::{Pack, PackError, Role, Runtime, RuntimeError};
use support::{Model, runtime, tiny_pack};
use tempfile::TempDir;

fn refusal(models: &[Model]) -> PackError {
    Pack::load(tiny_pack(models).path(), &runtime(), 1).expect_err("the pack is bad")
}

/// An error and everything below it.
fn whole(error: &dyn Error) -> String {
    let below = error.source().map(|source| format!(": {}", whole(source))).unwrap_or_default();
    format!("{error}{below}")
}

#[test]
fn a_good_pack_loads_and_tells_about_itself() {
    let folder = tiny_pack(&[Model::plate_detector(), Model::reader(), Model::face_detector(), Model::embedder()]);
    let mut pack = Pack::load(folder.path(), &runtime(), 1).unwrap();
    assert_eq!(pack.manifest().pack.name, "tiny");
    let embedder = pack.manifest().model(Role::FaceEmbedder).unwrap();
    assert_eq!((embedder.id.as_str(), embedder.threshold.value), ("tiny-embedder", 0.5));
    pack.take_plate_pipeline().unwrap();
    assert_eq!(pack.take_face_pipeline().unwrap().embedder().model(), "tiny-embedder");
    assert!(matches!(pack.take_face_pipeline(), Err(PackError::MissingRole { role: Role::FaceDetector, .. })));
    assert_eq!(Pack::open(folder.path()).unwrap().models.len(), 4);
}

#[test]
fn a_file_with_another_hash_is_refused_before_it_is_loaded() {
    let folder = tiny_pack(&[Model::reader()]);
    // not even a model: had ONNX Runtime seen it, the error would be another
    fs::write(folder.path().join("tiny-reader.onnx"), b"changed").unwrap();
    for error in [Pack::load(folder.path(), &runtime(), 1).unwrap_err(), Pack::open(folder.path()).unwrap_err()] {
        assert!(matches!(&error, PackError::WrongHash { model, .. } if model == "tiny-reader"), "{error}");
        let text = error.to_string();
        let found = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(b"changed"));
        assert!(text.contains("tiny-reader.onnx") && text.contains(&found), "{text}");
    }
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let error = refusal(&[Model { bytes: b"changed".to_vec(), ..Model::reader() }]);
    assert!(matches!(error, PackError::Session { .. }), "{error}");
}

#[test]
fn inputs_that_do_not_fit_are_refused_with_both_shapes() {
    let error = refusal(&[Model { input: "size = [16, 24]".into(), ..Model::reader() }]);
    let text = error.to_string();
    assert!(matches!(error, PackError::Mismatch { .. }), "{text}");
    assert!(text.contains("[1, 1, 16 x 24]") && text.contains("23"), "{text}");
    let error = refusal(&[Model { input: "size = [65, 64]".into(), ..Model::embedder() }]);
    assert!(matches!(error, PackError::Mismatch { .. }), "{error}");
}

#[test]
fn outputs_that_do_not_fit_are_refused_with_their_names() {
    let error = refusal(&[Model { bytes: support::onnx::plate_detector(), ..Model::face_detector() }]);
    assert!(error.to_string().contains("output `box` is missing, the file has heatmap, points"), "{error}");
    let error =
        refusal(&[Model { decode: "kind = \"ctc\"\nalphabet = \"0123456789\"\nblank = 10".into(), ..Model::reader() }]);
    assert!(matches!(error, PackError::WarmUp { .. }), "{error}");
    assert!(whole(&error).contains("[1, T, 11]"), "{}", whole(&error));
    let error = refusal(&[Model {
        decode: "kind = \"centre-points\"\nstride = 16\npoint_scale = 2.0\npoints = 4".into(),
        ..Model::plate_detector()
    }]);
    assert!(whole(&error).contains("the file does not fit its manifest entry"), "{}", whole(&error));
}

#[test]
fn a_damaged_folder_is_named() {
    let empty = TempDir::new().unwrap();
    let error = Pack::open(empty.path()).unwrap_err();
    assert!(error.to_string().contains("manifest.toml"), "{error}");

    let folder = tiny_pack(&[Model::reader()]);
    fs::remove_file(folder.path().join("tiny-reader.onnx")).unwrap();
    assert!(Pack::open(folder.path()).unwrap_err().to_string().contains("tiny-reader.onnx"));

    fs::write(folder.path().join("manifest.toml"), "[pack]\nname = \"x\"\ncolour = 3\n").unwrap();
    let error = Pack::open(folder.path()).unwrap_err();
    assert!(matches!(error, PackError::Manifest { .. }) && whole(&error).contains("colour"), "{}", whole(&error));
}

#[test]
fn a_missing_role_is_said() {
    let mut pack = Pack::load(tiny_pack(&[Model::reader()]).path(), &runtime(), 1).unwrap();
    let error = pack.take_plate_pipeline().unwrap_err();
    assert_eq!(error.to_string(), "model pack tiny has no plate-detector to use; install a pack that has one");
}

#[test]
fn the_runtime_is_loaded_once_and_from_one_place() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("none.so");
    assert!(matches!(Runtime::load(&missing), Err(RuntimeError::Missing { .. })));
    let first = runtime();
    assert_eq!(Runtime::load(first.library()).unwrap().library(), first.library());
    let other = folder.path().join("other.so");
    fs::write(&other, b"not a library").unwrap();
    let error = Runtime::load(&other).unwrap_err();
    assert!(matches!(error, RuntimeError::AlreadyLoaded { .. }), "{error}");
}
