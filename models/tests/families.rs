//! Every family of models from file to answer, over tiny networks that give a known output: what stands in the manifest,
//! what ONNX Runtime hands over, and where in the frame it ends up.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use cardea_models::plate::Shapes;
use cardea_models::{FaceDetector, Frame, Pack, PlateDetection, PlateDetector, PlateReader, Point, Rect};
use support::onnx::{FLOAT, UINT8, answering, interleaved_reader};
use support::{Model, RGB, runtime, tiny_pack};

fn load(model: Model) -> Pack {
    Pack::load(tiny_pack(&[model]).path(), &runtime(), 1).unwrap()
}

fn faces(decode: &str, size: i64, answers: &[support::onnx::Answer<'_>]) -> FaceDetector {
    let model = Model {
        bytes: answering(&[1, 3, size, size], answers),
        pixels: RGB,
        input: format!("size = [{size}, {size}]"),
        decode: decode.into(),
        threshold: 0.5,
        ..Model::face_detector()
    };
    load(model).take_face_detector().unwrap()
}

fn plates(decode: &str, answers: &[support::onnx::Answer<'_>]) -> PlateDetector {
    let model = Model {
        bytes: answering(&[1, 3, 64, 64], answers),
        pixels: RGB,
        input: "size = [64, 64]".into(),
        decode: decode.into(),
        threshold: 0.5,
        ..Model::plate_detector()
    };
    load(model).take_plate_detector().unwrap()
}

/// Zeros but for the given places.
fn sparse(count: usize, values: &[(usize, f32)]) -> Vec<f32> {
    let mut data = vec![0.0; count];
    for (at, value) in values {
        data[*at] = *value;
    }
    data
}

fn near(point: Point, x: f32, y: f32) -> bool {
    point.distance(Point::new(x, y)) < 0.01
}

/// The input is 64 x 64, so a frame of this size is scaled by a half.
fn frame() -> Frame {
    Frame::filled(128, 128, [90; 3])
}

#[test]
fn scrfd_finds_a_face() {
    // stride 16: 4 x 4 cells with 2 anchors; the second anchor of row 1, column 2 lies at (32, 16)
    let anchor = (4 + 2) * 2 + 1;
    let levels = [(8, 128), (16, 32), (32, 8)];
    let names: Vec<Vec<String>> = ["score", "bbox", "kps"]
        .iter()
        .map(|kind| levels.iter().map(|(stride, _)| format!("{kind}_{stride}")).collect())
        .collect();
    let mut answers: Vec<support::onnx::Answer<'_>> = Vec::new();
    let shapes: Vec<[i64; 2]> =
        [1, 4, 10].iter().flat_map(|width| levels.iter().map(move |(_, count)| [*count, *width])).collect();
    for (i, shape) in shapes.iter().enumerate() {
        let (kind, level) = (i / 3, i % 3);
        let values: Vec<(usize, f32)> = match (kind, level) {
            (0, 1) => vec![(anchor, 0.9)],
            (1, 1) => (0..4).map(|side| (anchor * 4 + side, 1.0)).collect(),
            (2, 1) => (0..10).map(|i| (anchor * 10 + i, i as f32 / 16.0)).collect(),
            _ => Vec::new(),
        };
        answers.push((&names[kind][level], shape, sparse((shape[0] * shape[1]) as usize, &values)));
    }
    let found = faces("kind = \"scrfd\"", 64, &answers).detect(&frame()).unwrap();
    assert_eq!(found.len(), 1);
    assert!((found[0].score - 0.9).abs() < 1e-6);
    assert!(near(Point::new(found[0].bbox.x, found[0].bbox.y), 32.0, 0.0), "{found:?}");
    assert!((found[0].bbox.width - 64.0).abs() < 0.01 && (found[0].bbox.height - 64.0).abs() < 0.01);
    assert!(near(found[0].landmarks[0], 64.0, 34.0) && near(found[0].landmarks[4], 80.0, 50.0), "{found:?}");
}

#[test]
fn retina_face_finds_a_face() {
    // steps 32 and 64: 2 x 2 cells with one prior of 20 pixels, then 1 cell with one of 40; the fourth prior is at (48, 48)
    let decode = "kind = \"retina-face\"\nsteps = [32, 64]\nmin_sizes = [[20.0], [40.0]]\nsoftmax = false\nvariances = [0.1, 0.2]";
    let answers = [
        ("landms", &[1, 5, 10][..], sparse(50, &[(30, -5.0), (31, 5.0)])),
        ("loc", &[1, 5, 4], sparse(20, &[(12, 1.0), (15, 5.0 * 2.0_f32.ln())])),
        ("conf", &[1, 5, 2], vec![5.0, -5.0, 5.0, -5.0, 5.0, -5.0, -5.0, 5.0, 5.0, -5.0]),
    ];
    let found = faces(decode, 64, &answers).detect(&frame()).unwrap();
    assert_eq!(found.len(), 1);
    let bbox = found[0].bbox;
    // centre moved by a tenth of 20, height doubled; all times 2 in the frame
    assert!(near(Point::new(bbox.x, bbox.y), 80.0, 56.0), "{bbox:?}");
    assert!((bbox.width - 40.0).abs() < 0.01 && (bbox.height - 80.0).abs() < 0.01, "{bbox:?}");
    assert!(near(found[0].landmarks[0], 76.0, 116.0) && near(found[0].landmarks[1], 96.0, 96.0));
}

#[test]
fn end_to_end_yolo_finds_plates_and_nothing_in_nothing() {
    let decode = "kind = \"yolo\"\nform = \"end-to-end\"";
    let rows = vec![0.0, 10.0, 20.0, 40.0, 30.0, 0.0, 0.8, 0.0, 1.0, 1.0, 9.0, 9.0, 0.0, 0.3];
    let found = plates(decode, &[("output", &[2, 7], rows)]).detect(&frame()).unwrap();
    assert_eq!(found.len(), 1);
    let [tl, tr, br, bl] = found[0].corners;
    assert!(near(tl, 20.0, 40.0) && near(tr, 80.0, 40.0) && near(br, 80.0, 60.0) && near(bl, 20.0, 60.0), "{found:?}");
    // what such an export gives where there is no plate: no row at all
    assert!(plates(decode, &[("output", &[0, 7], Vec::new())]).detect(&frame()).unwrap().is_empty());
}

#[test]
fn raw_yolo_finds_plates_by_their_corners() {
    let decode = "kind = \"yolo\"\nform = \"raw\"\nclasses = 2\nclass = 1\npoints = 4\npoint_values = 3";
    // three candidates, one after the other; the first is of the other class, the last overlaps the second
    let candidate = |scores: [f32; 2], x: f32| {
        let points = [(x - 9.0, 18.0), (x + 9.0, 20.0), (x + 8.0, 26.0), (x - 10.0, 24.0)];
        let mut values = vec![x, 22.0, 20.0, 8.0, scores[0], scores[1]];
        values.extend(points.iter().flat_map(|(x, y)| [*x, *y, 0.99]));
        values
    };
    let table = [candidate([0.9, 0.1], 50.0), candidate([0.0, 0.95], 20.0), candidate([0.0, 0.6], 21.0)];
    let data: Vec<f32> = (0..18).flat_map(|plane| table.iter().map(move |values| values[plane])).collect();
    let found = plates(decode, &[("output0", &[1, 18, 3], data)]).detect(&frame()).unwrap();
    assert_eq!(found.len(), 1);
    assert!(near(found[0].corners[0], 22.0, 36.0) && near(found[0].corners[2], 56.0, 52.0), "{found:?}");
}

const SLOTTED: &str = "kind = \"slots\"\nalphabet = \"0123456789ABC_\"\nslots = 9\nsoftmax = false";

const BYTES: &str = "channels = \"gray\"\nlayout = \"nhwc\"\ndtype = \"u8\"";
const FLOATS: &str = "channels = \"gray\"\nlayout = \"nhwc\"\nmean = [100.0]\nstd = [10.0]";

fn slot_reader(element: i64, pixels: &'static str) -> PlateReader {
    let model = Model {
        bytes: interleaved_reader([9, 14], element),
        pixels,
        input: "size = [9, 14]".into(),
        decode: SLOTTED.into(),
        ..Model::reader()
    };
    load(model).take_plate_reader().unwrap()
}

/// Rows are slots, columns classes; the pad is the last one.
fn slotted(text: &str) -> Frame {
    let mut crop = Frame::filled(14, 9, [0; 3]);
    for (row, c) in text.chars().chain("_________".chars()).take(9).enumerate() {
        crop.set_pixel("0123456789ABC_".find(c).unwrap() as u32, row as u32, [40; 3]);
    }
    crop
}

#[test]
fn a_reader_with_slots_reads_interleaved_bytes_and_floats() {
    for (element, pixels) in [(UINT8, BYTES), (FLOAT, FLOATS)] {
        let mut reader = slot_reader(element, pixels);
        let reading = reader.read(&slotted("A123BC77")).unwrap();
        assert_eq!(reading.text(), "A123BC77");
        assert!(reading.match_score("A123BC77") > 3.0, "{}", reading.match_score("A123BC77"));
        for other in ["A123BC7", "A123BC777", "A128BC77", "B123BC77"] {
            assert!(reading.match_score(other) < -3.0, "{other}: {}", reading.match_score(other));
        }
    }
}

#[test]
fn slots_know_the_shapes_of_plates() {
    let mut reader = slot_reader(UINT8, BYTES);
    reader.expect(&Shapes::new([["ABC", "0123456789", "0123456789"]]).unwrap());
    let mut crop = slotted("B17");
    // a glimpse of a second letter, likelier than the digit by two nats
    crop.set_pixel(12, 1, [42; 3]);
    let reading = reader.read(&crop).unwrap();
    assert_eq!(reading.text(), "BC7");
    assert_eq!(reading.hypotheses(1)[0].text, "B17");
}

#[test]
fn a_plate_that_keeps_its_proportions_leaves_the_rest_grey() {
    let corners = [(50.0, 50.0), (190.0, 50.0), (190.0, 80.0), (50.0, 80.0)].map(|(x, y)| Point::new(x, y));
    let plate = PlateDetection { corners, score: 1.0 };
    // the plate's right end is bright, and that is where the pad's column is
    let mut frame = Frame::filled(240, 200, [0; 3]);
    for i in 0..60 * 200 {
        frame.set_pixel(182 + i % 58, i / 58, [255; 3]);
    }
    let read = |pixels| slot_reader(UINT8, pixels).read_plate(&frame, &plate).unwrap().unwrap().text();
    assert_eq!(read(BYTES), "");
    // three of the nine rows show the plate; in the grey of the others all classes are alike, and the first is taken
    const KEPT: &str = "channels = \"gray\"\nlayout = \"nhwc\"\ndtype = \"u8\"\naspect = \"keep\"";
    assert_eq!(read(KEPT), "000000");
}

#[test]
fn presentation_attack_detection_averages_its_models() {
    let model = |id, live: f32, scale| Model {
        id,
        role: "pad",
        bytes: answering(&[1, 3, 8, 8], &[("p", &[1, 3], vec![1.0 - live, live, 0.0])]),
        pixels: RGB,
        input: "size = [8, 8]".into(),
        decode: format!("kind = \"live-class\"\nclasses = 3\nlive = 1\ncrop_scale = {scale:?}\nsoftmax = true"),
        threshold: 0.5,
        ..Model::reader()
    };
    let folder = tiny_pack(&[model("a", 0.9, 2.7), model("b", 0.2, 4.0)]);
    let mut pad = Pack::load(folder.path(), &runtime(), 1).unwrap().take_face_pad().unwrap();
    assert_eq!(pad.models().collect::<Vec<_>>(), ["a", "b"]);
    let score = pad.score(&frame(), &Rect { x: 40.0, y: 40.0, width: 30.0, height: 40.0 }).unwrap().unwrap();
    assert!((score.live - 0.55).abs() < 1e-6, "{score:?}");
    assert_eq!(pad.score(&frame(), &Rect::default()).unwrap(), None);
}
