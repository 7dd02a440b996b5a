//! The whole chain over tiny networks whose right answer is known: positions, text, templates, enrolment, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use cardea_models::face::TemplateError;
use cardea_models::{
    Area, EnrolError, FacePipeline, Frame, Gallery, Pack, PlatePipeline, Point, Template, TrackReading,
};
use support::{ALPHABET, Model, runtime, tiny_pack};

fn plates() -> PlatePipeline {
    Pack::load(tiny_pack(&[Model::plate_detector(), Model::reader()]).path(), &runtime(), 1)
        .unwrap()
        .take_plate_pipeline()
        .unwrap()
}

fn faces() -> FacePipeline {
    Pack::load(tiny_pack(&[Model::face_detector(), Model::embedder()]).path(), &runtime(), 1)
        .unwrap()
        .take_face_pipeline()
        .unwrap()
}

fn paint(frame: &mut Frame, x: u32, y: u32, width: u32, height: u32, colour: impl Fn(u32, u32) -> u8) {
    for i in 0..width * height {
        frame.set_pixel(x + i % width, y + i / width, [colour(i % width, i / width); 3]);
    }
}

/// A dark frame with one white spot of 8x8 pixels at each given cell of 8x8.
fn spots(cells: &[(u32, u32)]) -> Frame {
    let mut frame = Frame::filled(320, 160, [0; 3]);
    for (column, row) in cells {
        paint(&mut frame, column * 8, row * 8, 8, 8, |_, _| 255);
    }
    frame
}

/// A crop for the tiny reader: step by step, the character's column is bright.
fn written(text: &str) -> Frame {
    let mut crop = Frame::filled(23, 16, [0; 3]);
    for (i, c) in text.chars().enumerate() {
        let class = ALPHABET.chars().position(|known| known == c).unwrap() as u32;
        crop.set_pixel(class, 2 * i as u32, [255; 3]);
        crop.set_pixel(22, 2 * i as u32 + 1, [255; 3]);
    }
    crop
}

fn face_frame(seed: u32, size: u32) -> Frame {
    let mut frame = spots(&[(20, 10)]);
    // everything but the peak stays below the detector's threshold
    paint(&mut frame, 100, 30, size, size, |x, y| ((x / 3 * 31 + y / 3 * 17 + seed * 97) % 120) as u8);
    paint(&mut frame, 160, 80, 8, 8, |_, _| 255);
    frame
}

#[test]
fn a_plate_is_found_where_it_is_whatever_the_frame_size() {
    let mut pipeline = plates();
    // 12.7 (white) x 2.0 pixels around the centre of the cell
    let half = 25.4;
    let small = pipeline.run(&spots(&[(20, 10)])).unwrap();
    assert_eq!(small.plates.len(), 1);
    let corners = small.plates[0].detection.corners;
    let expected = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
    for (corner, (x, y)) in corners.iter().zip(expected) {
        assert!(corner.distance(Point::new(164.0 + half * x, 84.0 + half * y)) < 0.1, "{corners:?}");
    }
    assert!(small.plates[0].reading.is_some() && small.plates[0].detection.score > 0.99);

    let mut large = Frame::filled(1280, 640, [0; 3]);
    paint(&mut large, 640, 320, 32, 32, |_, _| 255);
    let large = pipeline.run(&large).unwrap();
    let centre = large.plates[0].detection.bbox();
    assert!((centre.x + centre.width / 2.0 - 656.0).abs() < 0.5 && (centre.width - 8.0 * half).abs() < 1.0);

    assert!(pipeline.run(&Frame::filled(320, 160, [0; 3])).unwrap().plates.is_empty());
}

#[test]
fn within_a_region_of_interest_a_plate_is_found_where_it_is_and_those_outside_are_not() {
    let mut pipeline = plates();
    let mut frame = Frame::filled(1280, 640, [0; 3]);
    // cells of the whole picture's grid, and of the right half's
    paint(&mut frame, 640, 320, 32, 32, |_, _| 255);
    paint(&mut frame, 64, 320, 32, 32, |_, _| 255);
    assert_eq!(pipeline.run(&frame).unwrap().plates.len(), 2);
    let right = Area::around([(0.5, 0.0), (1.0, 1.0)], 0.0);
    let seen = pipeline.run_in(&frame, right).unwrap().plates;
    // twice the pixels make more cells of one spot, and one peak of them
    assert!(!seen.is_empty() && seen.iter().all(|plate| plate.detection.bbox().x > 500.0), "{seen:?}");
    let nearest =
        seen.iter().map(|plate| (plate.detection.bbox().x + plate.detection.bbox().width / 2.0 - 656.0).abs());
    assert!(nearest.fold(f32::INFINITY, f32::min) <= 16.0, "{seen:?}");
    assert!(pipeline.run_in(&frame, Area::around([(0.2, 0.0), (0.4, 1.0)], 0.02)).unwrap().plates.is_empty());
}

#[test]
fn a_second_look_keeps_the_plate_where_it_is() {
    // the tiny detector says the same number of pixels at every scale, so its plates grow or shrink from near: one of 152
    // pixels stays the same plate, and one of 51 is not taken for it. A cell of its input is up to 13 pixels of the frame.
    for (point_scale, width) in [("6.0", 152.4), ("2.0", 50.8)] {
        let mut model = Model::plate_detector();
        model.decode = format!(
            "kind = \"centre-points\"\nstride = 8\npoint_scale = {point_scale}\npoints = 4\nsecond_look = true"
        );
        let pack = tiny_pack(&[model, Model::reader()]);
        let mut pipeline = Pack::load(pack.path(), &runtime(), 1).unwrap().take_plate_pipeline().unwrap();
        for cell in [(20, 10), (38, 1), (0, 19)] {
            let seen = pipeline.run(&spots(&[cell])).unwrap().plates;
            assert_eq!(seen.len(), 1);
            let bbox = seen[0].detection.bbox();
            let centre = Point::new(bbox.x + bbox.width / 2.0, bbox.y + bbox.height / 2.0);
            let expected = Point::new(cell.0 as f32 * 8.0 + 4.0, cell.1 as f32 * 8.0 + 4.0);
            let grown = bbox.width / width;
            assert!(centre.distance(expected) < 9.0 && (0.99..1.7).contains(&grown), "{cell:?}: {bbox:?}");
            assert!(seen[0].reading.is_some());
        }
    }
    let mut faces = Model::face_detector();
    faces.decode += "\nsecond_look = true";
    let error = Pack::open(tiny_pack(&[faces, Model::embedder()]).path()).unwrap_err();
    assert!(format!("{error:?}").contains("second_look"), "{error:?}");
}

#[test]
fn plates_that_overlap_are_one_and_those_apart_are_two() {
    let mut pipeline = plates();
    assert_eq!(pipeline.run(&spots(&[(20, 10), (21, 10)])).unwrap().plates.len(), 1);
    assert_eq!(pipeline.run(&spots(&[(8, 10), (30, 10)])).unwrap().plates.len(), 2);
}

#[test]
fn a_crop_is_read_and_weighed_against_admitted_plates() {
    let mut pack = Pack::load(tiny_pack(&[Model::reader()]).path(), &runtime(), 1).unwrap();
    let mut reader = pack.take_plate_reader().unwrap();
    let mut track = TrackReading::new(4);
    for _ in 0..3 {
        let reading = reader.read(&written("A123BC77")).unwrap();
        assert_eq!(reading.text(), "A123BC77");
        assert!(reading.match_score("A123BC77") > 10.0 && reading.match_score("A123BC7") < -10.0);
        track.add(reading);
    }
    let admitted = |text: &str| ["A123BC777", "A123BC77"].into_iter().find(|plate| *plate == text);
    assert_eq!(track.best_match(admitted).unwrap().plate, "A123BC77");
    assert!(f64::from(reader.threshold().value) < track.match_score("A123BC77"));
    let error = reader.read(&Frame::filled(24, 16, [0; 3])).unwrap_err();
    assert!(error.to_string().contains("[16, 23]"), "{error}");
}

#[test]
fn a_person_is_enrolled_found_again_and_erased() {
    let mut pipeline = faces();
    let template = |pipeline: &mut FacePipeline, seed| pipeline.enrol(&face_frame(seed, 120)).unwrap();
    let (anna, boris) = (template(&mut pipeline, 1), template(&mut pipeline, 6));
    let mut gallery = Gallery::new(pipeline.embedder().model());
    gallery.add("anna", &anna).unwrap();
    gallery.add("boris", &Template::from_bytes(&boris.to_bytes()).unwrap()).unwrap();

    let seen = pipeline.run(&face_frame(6, 120)).unwrap();
    let probe = seen.faces[0].template.as_ref().unwrap();
    let found = gallery.search(probe).unwrap().unwrap();
    assert_eq!(found.id, "boris");
    assert!(found.score_cosine > 0.999 && found.runner_up_cosine.unwrap() < found.score_cosine);

    assert_eq!(gallery.remove(&"boris"), 1);
    assert_eq!(gallery.search(probe).unwrap().unwrap().id, "anna");
    assert!(matches!(Gallery::new("another").add("x", &anna), Err(TemplateError::ForeignModel { .. })));
}

#[test]
fn a_face_of_a_few_pixels_is_found_but_makes_no_probe() {
    let mut pipeline = faces();
    // as in enrolment: the eyes are 50.8 / 8 pixels apart, and 32 / 2.5 are needed
    let mut far = Frame::filled(40, 20, [0; 3]);
    paint(&mut far, 20, 10, 1, 1, |_, _| 255);
    let seen = pipeline.run(&far).unwrap();
    assert_eq!(seen.faces.len(), 1);
    assert!(seen.faces[0].template.is_none());
    assert!(pipeline.run(&face_frame(1, 120)).unwrap().faces[0].template.is_some());
}

#[test]
fn a_photo_that_cannot_serve_is_refused_with_the_reason() {
    let mut pipeline = faces();
    assert!(matches!(pipeline.enrol(&Frame::filled(320, 160, [0; 3])), Err(EnrolError::NoFace)));
    assert!(matches!(pipeline.enrol(&spots(&[(8, 10), (30, 10)])), Err(EnrolError::SeveralFaces { count: 2 })));
    // scaled up eightfold for the detector: the eyes are 50.8 / 8 pixels apart in the photo
    let mut small = Frame::filled(40, 20, [0; 3]);
    paint(&mut small, 20, 10, 1, 1, |_, _| 255);
    let Err(EnrolError::TooSmall { eye_distance_px, needed_px }) = pipeline.enrol(&small) else {
        panic!("a face of a few pixels was enrolled");
    };
    assert!(eye_distance_px < needed_px && (needed_px - 32.0 / 1.5).abs() < 0.01, "{eye_distance_px} {needed_px}");
    let mut smooth = Frame::filled(320, 160, [0; 3]);
    paint(&mut smooth, 0, 0, 320, 160, |x, y| {
        let (dx, dy) = (x as f32 - 164.0, y as f32 - 84.0);
        (255.0 * (-(dx * dx + dy * dy) / 4_000.0).exp()) as u8
    });
    assert!(matches!(pipeline.enrol(&smooth), Err(EnrolError::Blurred)));
}
