//! What looking at a frame allocates once the first frames have been seen: nothing of our own but the evidence it returns.
//!
//! Counted are the allocations of Rust code in this thread. The binding of ONNX Runtime makes a few small ones for the
//! handles of each run's outputs; the test measures them on a session of its own. ONNX Runtime's own memory is its arena,
//! which it keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use allocation_counter::{AllocationInfo, measure};
use cardea_models::{FacePipeline, Frame, Pack, PlatePipeline};
use ort::session::Session;
use ort::value::TensorRef;
use support::{Model, onnx, runtime, tiny_pack};

/// Vectors in one reading: its probabilities, its text, and the text's characters.
const READING: u64 = 3;
/// Vectors in one probe.
const PROBE: u64 = 1;

fn pipelines() -> (PlatePipeline, FacePipeline) {
    let models = [Model::plate_detector(), Model::reader(), Model::face_detector(), Model::embedder()];
    let mut pack = Pack::load(tiny_pack(&models).path(), &runtime(), 1).unwrap();
    (pack.take_plate_pipeline().unwrap(), pack.take_face_pipeline().unwrap())
}

/// A dark frame with one white spot, which is a plate or a face to the tiny detectors, at each given cell of 8x8 pixels.
fn spots(cells: &[(u32, u32)]) -> Frame {
    let mut frame = Frame::filled(320, 160, [0; 3]);
    for (column, row) in cells {
        for i in 0..64 {
            frame.set_pixel(column * 8 + i % 8, row * 8 + i / 8, [255; 3]);
        }
    }
    frame
}

/// What `work` allocates once it has run a few times.
fn steady(mut work: impl FnMut()) -> AllocationInfo {
    for _ in 0..3 {
        work();
    }
    let info = measure(&mut work);
    assert_eq!(measure(&mut work), info, "not steady");
    assert_eq!(info.bytes_current, 0, "something is kept from frame to frame");
    info
}

/// Allocations of the binding alone, for one run of a model.
fn binding(model: &[u8], [height, width]: [usize; 2]) -> u64 {
    let mut session = Session::builder(runtime().environment()).unwrap().commit_from_memory(model).unwrap();
    let picture = vec![0.0_f32; height * width];
    steady(|| {
        let input = TensorRef::from_array_view(([1, 1, height, width], picture.as_slice())).unwrap();
        session.run(ort::inputs![input]).unwrap();
    })
    .count_total
}

#[test]
fn a_frame_without_anything_on_it_allocates_nothing() {
    let (mut plates, mut faces) = pipelines();
    let empty = spots(&[]);
    let looked = steady(|| drop(plates.run(&empty).unwrap()));
    assert_eq!(looked.count_total, binding(&onnx::plate_detector(), [160, 320]));
    let looked = steady(|| drop(faces.run(&empty).unwrap()));
    assert_eq!(looked.count_total, binding(&onnx::face_detector(), [160, 320]));
}

#[test]
fn plates_and_faces_allocate_the_evidence_about_them() {
    let (mut plates, mut faces) = pipelines();
    let detect = binding(&onnx::plate_detector(), [160, 320]);
    let read = binding(&onnx::reader([16, 23]), [16, 23]);
    for cells in [&[(20, 10)][..], &[(8, 10), (30, 10)]] {
        let frame = spots(cells);
        let looked = steady(|| assert_eq!(plates.run(&frame).unwrap().plates.len(), cells.len()));
        assert_eq!(looked.count_total, detect + 1 + cells.len() as u64 * (read + READING));
    }
    let detect = binding(&onnx::face_detector(), [160, 320]);
    let embed = binding(&onnx::embedder([64, 64]), [64, 64]);
    let frame = spots(&[(20, 10)]);
    let looked = steady(|| assert!(faces.run(&frame).unwrap().faces[0].template.is_some()));
    assert_eq!(looked.count_total, detect + 1 + embed + PROBE);
}

#[test]
fn a_jpeg_needs_a_copy_of_the_file_and_a_few_rows() {
    let mut frame = Frame::filled(1280, 720, [0; 3]);
    for i in 0..1280 * 720 {
        let level = (i % 1280 * 7 / 5 + i / 1280) as u8;
        frame.set_pixel(i % 1280, i / 1280, [level, level / 2, 90]);
    }
    let jpeg = frame.to_jpeg(85).unwrap();
    let decoded = steady(|| frame.decode_into(&jpeg).unwrap());
    let rows = (decoded.bytes_max - jpeg.len() as u64) / (1280 * 3);
    assert!(rows <= 64, "as many bytes as {rows} rows of the picture");
    assert!(decoded.count_total <= 64, "{} allocations", decoded.count_total);
}
