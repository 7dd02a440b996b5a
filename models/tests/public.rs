//! Public models and our pilots, described by the same manifest format, on real pictures. Runs where the optional
//! ../shared folder is; elsewhere each test returns at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use cardea_models::{FacePipeline, Frame, Pack, Template, TrackReading};
use support::{linked_pack, runtime, shared};

fn picture(path: &Path) -> Frame {
    Frame::decode(&fs::read(path).unwrap()).unwrap()
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(|field| field.trim().to_owned()).collect()).collect()
}

/// The template of the face nearest to the centre, as LFW means it.
fn central(pipeline: &mut FacePipeline, frame: &Frame) -> Option<Template> {
    let centre = cardea_models::Point::new(frame.width() as f32 / 2.0, frame.height() as f32 / 2.0);
    let distance = |face: &cardea_models::FaceDetection| face.landmarks[2].distance(centre);
    let faces = pipeline.run(frame).unwrap().faces;
    let face = faces.into_iter().min_by(|a, b| distance(&a.detection).total_cmp(&distance(&b.detection)))?;
    face.template
}

/// Share of the first `count` pairs of LFW View 2 that the pack's threshold decides rightly.
fn verification_accuracy(pipeline: &mut FacePipeline, folder: &Path, count: usize) -> f64 {
    let threshold = pipeline.embedder().threshold().value;
    let mut templates: HashMap<String, Option<Template>> = HashMap::new();
    let pairs: Vec<_> = rows(&folder.join("pairs.csv")).into_iter().step_by(9).take(count).collect();
    let mut right = 0;
    for pair in &pairs {
        for name in &pair[1..3] {
            if !templates.contains_key(name) {
                let template = central(pipeline, &picture(&folder.join("images").join(name)));
                templates.insert(name.clone(), template);
            }
        }
        let accepted = match (&templates[&pair[1]], &templates[&pair[2]]) {
            (Some(a), Some(b)) => a.compare(b).unwrap() >= threshold,
            _ => false,
        };
        right += usize::from(accepted == (pair[3] == "1"));
    }
    right as f64 / pairs.len() as f64
}

#[test]
fn yunet_and_face_reid_tell_people_apart() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_pipeline().unwrap();
    let accuracy = verification_accuracy(&mut pipeline, &shared.join("eval/faces/lfw"), 40);
    assert!(accuracy >= 0.95, "{accuracy}");
}

#[test]
fn the_small_public_pack_tells_people_apart() {
    let Some(shared) = shared() else { return };
    let pack = linked_pack("public_small.toml", &shared.join("models"));
    let mut pipeline = Pack::load(pack.path(), &runtime(), 2).unwrap().take_face_pipeline().unwrap();
    let accuracy = verification_accuracy(&mut pipeline, &shared.join("eval/faces/lfw"), 40);
    assert!(accuracy >= 0.95, "{accuracy}");
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
