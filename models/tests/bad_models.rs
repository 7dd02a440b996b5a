//! Model files that are damaged, dishonest or hostile: each is refused with the reason, or answers with an error, and none
//! brings the process down. Real ONNX Runtime.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;

use cardea_models::{Frame, InferenceError, Pack, PackError};
use support::onnx::{self, DOUBLE, FLOAT, adding, answering, boasting, external, immense, quotient};
use support::{Model, RGB, runtime, tiny_pack};

const READER_INPUT: [i64; 4] = [1, 1, 16, 23];

fn refusal(model: Model) -> PackError {
    Pack::load(tiny_pack(&[model]).path(), &runtime(), 1).expect_err("the pack is bad")
}

fn reader(bytes: Vec<u8>) -> Model {
    Model { bytes, ..Model::reader() }
}

/// An error and everything below it.
fn whole(error: &dyn Error) -> String {
    let below = error.source().map(|source| format!(": {}", whole(source))).unwrap_or_default();
    format!("{error}{below}")
}

#[test]
fn weights_in_another_file_are_refused_wherever_that_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let beside = folder.path().join("weights.bin");
    fs::write(&beside, [0; 16 * 23 * 4]).unwrap();
    for location in ["/etc/passwd", "../../../../etc/passwd", "weights.bin", beside.to_str().unwrap()] {
        let error = refusal(reader(adding(&READER_INPUT, FLOAT, &[16, 23], &external(location))));
        assert!(matches!(&error, PackError::Mismatch { problem, .. } if problem.contains("another file")), "{error}");
    }
}

#[test]
fn sizes_that_no_memory_holds_are_refused() {
    for (sides, data) in [(&[1 << 40, 1 << 40][..], &[][..]), (&[1 << 30, 16, 23], &[0; 16]), (&[-4], &[0; 16])] {
        let error = refusal(reader(adding(&READER_INPUT, FLOAT, sides, &onnx::raw(data))));
        assert!(matches!(error, PackError::Session { .. } | PackError::WarmUp { .. }), "{sides:?}: {}", whole(&error));
    }
    // made while it runs: more bytes than an address has, and more than any memory
    for sides in [[1 << 40, 1 << 40, 4], [1, 1 << 45, 11]] {
        let error = refusal(reader(immense(&READER_INPUT, &sides)));
        assert!(matches!(error, PackError::Session { .. } | PackError::WarmUp { .. }), "{sides:?}: {}", whole(&error));
    }
    // only claimed: refused before it runs
    for columns in [1 << 25, 1 << 62] {
        let error = refusal(reader(boasting(&READER_INPUT, columns)));
        assert!(
            matches!(&error, PackError::Mismatch { problem, .. } if problem.contains("larger")),
            "{}",
            whole(&error)
        );
    }
}

#[test]
fn inputs_of_another_type_or_order_are_refused_with_both() {
    let double = adding(&[1, 1, 16, 23], DOUBLE, &[16, 23], &onnx::raw(&[0; 16 * 23 * 8]));
    assert!(matches!(refusal(reader(double)), PackError::Session { .. } | PackError::Mismatch { .. }));
    let pixels = "channels = \"gray\"\nmean = [128.0]\nstd = [10.0]\nlayout = \"nhwc\"";
    let error = refusal(Model { pixels, ..Model::reader() });
    assert!(error.to_string().contains("f32 [1, 16 x 23, 1]"), "{error}");
    let pixels = "channels = \"gray\"\ndtype = \"u8\"";
    let error = refusal(Model { pixels, ..Model::reader() });
    assert!(error.to_string().contains("u8 [1, 1, 16 x 23]"), "{error}");
}

#[test]
fn other_numbers_of_outputs_are_refused_with_their_names() {
    for (decode, needed) in [("kind = \"scrfd\"", "9 outputs"), ("kind = \"retina-face\"\nsoftmax = true", "3 outputs")]
    {
        let model = Model {
            bytes: answering(&[1, 3, 64, 64], &[("boxes", &[8, 4], vec![0.0; 32])]),
            pixels: RGB,
            input: "size = [64, 64]".into(),
            decode: decode.into(),
            threshold: 0.5,
            ..Model::face_detector()
        };
        let error = refusal(model);
        assert!(error.to_string().contains(needed) && error.to_string().contains("boxes"), "{error}");
    }
}

/// One entry per family: role, size of the input, decode keys, and outputs whose count is right and whose shapes are not.
fn misshapen() -> Vec<Model> {
    let model = |role, size: i64, decode: &str, outputs: usize| {
        let names: Vec<String> = (0..outputs).map(|i| format!("out{i}")).collect();
        let answers: Vec<onnx::Answer<'_>> =
            names.iter().map(|name| (&**name, &[1, 5, 3][..], vec![0.0; 15])).collect();
        Model {
            id: "misshapen",
            role,
            bytes: answering(&[1, 3, size, size], &answers),
            pixels: RGB,
            input: format!("size = [{size}, {size}]"),
            decode: decode.into(),
            threshold: 0.5,
            ..Model::reader()
        }
    };
    vec![
        model("face-detector", 64, "kind = \"scrfd\"", 9),
        model("face-detector", 64, "kind = \"retina-face\"\nsoftmax = true", 3),
        model("plate-detector", 64, "kind = \"yolo\"\nform = \"end-to-end\"", 1),
        model("plate-detector", 64, "kind = \"yolo\"\nform = \"raw\"\nclasses = 3", 1),
        model("pad", 80, "kind = \"live-class\"\nclasses = 3\nlive = 1\ncrop_scale = 2.7\nsoftmax = true", 1),
        model("plate-reader", 32, "kind = \"ctc\"\nalphabet = \"0123456789\"\nblank = 10", 1),
        model("plate-reader", 32, "kind = \"slots\"\nalphabet = \"0123456789_\"\nslots = 9\nsoftmax = true", 1),
    ]
}

#[test]
fn outputs_of_other_shapes_are_refused_with_both() {
    for model in misshapen() {
        let decode = model.decode.clone();
        let error = refusal(model);
        assert!(matches!(&error, PackError::WarmUp { source: InferenceError::Output { .. }, .. }), "{decode}: {error}");
        let text = whole(&error);
        assert!(text.contains("[1, 5, 3]") && text.contains("expected"), "{decode}: {text}");
    }
}

#[test]
fn outputs_that_are_no_numbers_are_refused_when_the_pack_is_loaded() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut values = vec![0.0; 16 * 23];
        values[100] = value;
        let error = refusal(reader(answering(&READER_INPUT, &[("logits", &[1, 16, 23], values)])));
        assert!(whole(&error).contains("finite numbers for a blank picture"), "{}", whole(&error));
    }
}

#[test]
fn an_answer_that_stops_being_a_number_is_an_error() {
    // red over green: fine for the grey of the first run, nothing over nothing in the dark
    let model = Model { bytes: quotient([16, 23]), pixels: RGB, ..Model::reader() };
    let mut reader = Pack::load(tiny_pack(&[model]).path(), &runtime(), 1).unwrap().take_plate_reader().unwrap();
    reader.read(&Frame::filled(23, 16, [90; 3])).unwrap();
    let error = reader.read(&Frame::filled(23, 16, [0; 3])).unwrap_err();
    assert!(error.to_string().contains("finite numbers of shape"), "{error}");
    reader.read(&Frame::filled(23, 16, [90; 3])).unwrap();
}

#[test]
fn a_share_that_is_no_probability_is_refused_when_the_pack_is_loaded() {
    for (p, told) in [([0.5, 0.9, 0.3], "sum to 1.7"), ([-3.0, 9.0, 0.1], "probabilities of 0 to 1")] {
        let model = Model {
            id: "pad",
            role: "pad",
            bytes: answering(&[1, 3, 8, 8], &[("p", &[1, 3], p.to_vec())]),
            pixels: RGB,
            input: "size = [8, 8]".into(),
            decode: "kind = \"live-class\"\nclasses = 3\nlive = 1\ncrop_scale = 2.7\nsoftmax = true".into(),
            threshold: 0.5,
            ..Model::reader()
        };
        let error = refusal(model);
        assert!(whole(&error).contains(told), "{}", whole(&error));
    }
}

#[test]
fn what_is_no_file_is_not_read() {
    let folder = tiny_pack(&[Model::reader()]);
    let file = folder.path().join("tiny-reader.onnx");
    for other in ["/dev/zero", "/dev"] {
        fs::remove_file(&file).unwrap();
        symlink(other, &file).unwrap();
        let error = Pack::open(folder.path()).unwrap_err();
        assert!(whole(&error).contains("not a regular file"), "{}", whole(&error));
    }
}

#[test]
fn a_manifest_that_is_too_large_or_no_text_is_refused() {
    let folder = tiny_pack(&[Model::reader()]);
    let manifest = folder.path().join("manifest.toml");
    let text = fs::read(&manifest).unwrap();
    let padded = [text.as_slice(), &vec![b'\n'; 1 << 20]].concat();
    fs::write(&manifest, padded).unwrap();
    assert!(matches!(Pack::open(folder.path()), Err(PackError::TooLarge { limit: 1_048_576, .. })));
    fs::write(&manifest, [text.as_slice(), b"# \xff\xfe"].concat()).unwrap();
    let error = Pack::open(folder.path()).unwrap_err();
    assert!(whole(&error).contains("not UTF-8"), "{}", whole(&error));
}

/// Whatever byte of a model is broken, loading it or running it is an answer or an error.
#[test]
fn broken_model_files_are_errors_at_worst() {
    let good = onnx::plate_detector();
    for at in (0..good.len()).step_by(3) {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            let folder = tiny_pack(&[Model { bytes, ..Model::plate_detector() }]);
            if let Ok(mut pack) = Pack::load(folder.path(), &runtime(), 1) {
                let _ = pack.take_plate_detector().unwrap().detect(&Frame::filled(64, 48, [200; 3]));
            }
        }
    }
    for length in (0..good.len()).step_by(7) {
        let folder = tiny_pack(&[Model { bytes: good[..length].to_vec(), ..Model::plate_detector() }]);
        let _ = Pack::load(folder.path(), &runtime(), 1);
    }
}
