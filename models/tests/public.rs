//! Public models and our pilots, described by the same manifest format, on real pictures. Runs where the optional
//! ../shared folder is; elsewhere each test says so and returns.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use cardea_models::{Frame, Pack, TrackReading};
use support::pictures::{picture, rows, verify};
use support::{linked_pack, runtime, shared};

#[test]
fn yunet_and_face_reid_tell_people_apart() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_pipeline().unwrap();
    let verified = verify(&mut pipeline, &shared.join("eval/faces/lfw"), 40);
    assert!(verified.share_right() >= 0.95, "{verified:?}");
}

#[test]
fn the_small_public_pack_tells_people_apart() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public_small.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_pipeline().unwrap();
    let verified = verify(&mut pipeline, &shared.join("eval/faces/lfw"), 40);
    assert!(verified.share_right() >= 0.95, "{verified:?}");
}

#[test]
fn a_detector_of_any_size_finds_the_same_faces() {
    let Some(shared) = shared() else { return };
    let mut found = Vec::new();
    for manifest in ["public.toml", "public_small.toml", "public_dynamic.toml"] {
        let pack = linked_pack(manifest, &shared.join("models"));
        let mut detector = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_detector().unwrap();
        let portrait = picture(&shared.join("eval/faces/lfw/images/Abel_Pacheco_0001.jpg"));
        let faces = detector.detect(&portrait).unwrap();
        assert_eq!(faces.len(), 1, "{manifest}");
        found.push(faces[0]);
    }
    for other in &found[1..] {
        assert!(other.bbox.iou(&found[0].bbox) > 0.8, "{found:?}");
        assert!(other.landmarks.iter().zip(&found[0].landmarks).all(|(a, b)| a.distance(*b) < 6.0), "{found:?}");
    }
}

/// The mean live probabilities of the reference (crop, resize and models as the project publishes them, in Python) for the
/// boxes that YuNet gives at 640 pixels.
#[test]
fn a_live_face_and_a_picture_of_one_are_told_apart_as_by_the_reference() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_pipeline().unwrap().with_pad(true);
    let threshold = pipeline.pad().unwrap().threshold().value;
    for (name, live, reference) in [("real_image_T1.jpg", true, 0.9999), ("fake_image_F1.jpg", false, 0.3349)] {
        let seen = pipeline.run(&picture(&shared.join("eval/antispoof").join(name))).unwrap();
        let score = seen.faces[0].live.unwrap();
        assert_eq!(score >= threshold, live, "{name}: {score}");
        assert!((score - reference).abs() < 0.002, "{name}: {score}, the reference gives {reference}");
    }
    // nobody asked
    let mut pipeline = pipeline.with_pad(false);
    let seen = pipeline.run(&picture(&shared.join("eval/antispoof/real_image_T1.jpg"))).unwrap();
    assert_eq!((seen.faces[0].live, seen.faces[0].template.is_some()), (None, true));
}

#[test]
fn portraits_enrol_and_blurred_or_crowded_ones_do_not() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public_small.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_pipeline().unwrap();
    let images = shared.join("eval/faces/lfw/images");
    let portrait = picture(&images.join("Abel_Pacheco_0001.jpg"));
    pipeline.enrol(&portrait).unwrap();
    let mut two = Frame::filled(500, 250, [0; 3]);
    for i in 0..250 * 250 {
        let colour = portrait.pixel(i % 250, i / 250).unwrap();
        two.set_pixel(i % 250, i / 250, colour);
        two.set_pixel(250 + i % 250, i / 250, colour);
    }
    let error = pipeline.enrol(&two).unwrap_err();
    assert!(matches!(error, cardea_models::EnrolError::SeveralFaces { count: 2 }), "{error}");
}

#[test]
fn russian_plates_are_found_and_read() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_plate_pipeline().unwrap();
    let folder = shared.join("eval/plates/ru_web");
    let labels: Vec<_> = rows(&folder.join("labels.csv")).into_iter().step_by(4).collect();
    let (mut read, mut admitted, mut stranger) = (0, 0, 0);
    for label in &labels {
        let found = pipeline.run(&picture(&folder.join("images").join(&label[0]))).unwrap();
        let readings: Vec<_> = found.plates.iter().filter_map(|plate| plate.reading.as_ref()).collect();
        read += usize::from(readings.iter().any(|reading| reading.text() == label[5]));
        // the same plate with one digit changed must never be admitted in its place
        let other: String = label[5]
            .chars()
            .enumerate()
            .map(|(i, c)| if i == 2 { if c == '7' { '1' } else { '7' } } else { c })
            .collect();
        for reading in readings {
            let mut track = TrackReading::new(1);
            track.add(reading.clone());
            admitted += usize::from(track.match_score(&label[5]) >= 1.0);
            stranger += usize::from(other != label[5] && track.match_score(&other) >= 1.0);
        }
    }
    let total = labels.len();
    assert!(read * 100 >= total * 70 && admitted * 100 >= total * 70, "{read} read, {admitted} admitted of {total}");
    assert_eq!(stranger, 0);
}
