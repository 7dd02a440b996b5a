//! The project's own pack, `models/base`: complete, licensed, calibrated, and able to do what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::PathBuf;

use cardea_models::{Frame, Pack, Role, TrackReading};
use support::pictures::{picture, rows, verify};
use support::{root, runtime, shared};

const MAX_PACK_BYTES: u64 = 12 << 20;

fn base() -> PathBuf {
    root().join("models/base")
}

#[test]
fn the_base_pack_is_complete_licensed_and_calibrated() {
    let manifest = Pack::open(&base()).unwrap();
    let mut bytes = 0;
    for role in [Role::FaceDetector, Role::FaceEmbedder, Role::PlateDetector, Role::PlateReader] {
        let model = manifest.model(role).unwrap_or_else(|| panic!("no {role}"));
        assert_eq!(model.licence, "MIT OR Apache-2.0", "{}", model.id);
        assert!(root().join(&model.source).is_file(), "{} names no script: {}", model.id, model.source);
        let card = model.threshold.evaluation.as_ref().expect("a threshold says where it was measured");
        assert!(root().join(card).is_file(), "{} names no card: {card}", model.id);
        bytes += std::fs::metadata(base().join(&model.file)).unwrap().len();
    }
    let embedder = manifest.model(Role::FaceEmbedder).unwrap();
    let rate = embedder.threshold.false_match_rate.expect("an embedder's threshold stands for a false-match rate");
    assert!(rate > 0.0 && rate <= 1e-3, "{rate}");
    assert!(bytes <= MAX_PACK_BYTES, "{bytes} bytes");
}

#[test]
fn the_base_pack_runs_and_sees_nothing_in_an_empty_frame() {
    let mut pack = Pack::load(&base(), &runtime(), 1).unwrap();
    let (mut plates, mut faces) = (pack.take_plate_pipeline().unwrap(), pack.take_face_pipeline().unwrap());
    for (width, height) in [(1280, 720), (640, 480), (480, 640), (33, 17)] {
        for level in [0, 114, 255] {
            let frame = Frame::filled(width, height, [level; 3]);
            assert!(plates.run(&frame).unwrap().plates.is_empty(), "{width}x{height} {level}");
            assert!(faces.run(&frame).unwrap().faces.is_empty(), "{width}x{height} {level}");
        }
    }
}

/// The pictures are drawn by `models/train`: `python -m plates scene --text A123BC77 --kind day|night|dirt --seed 3`.
#[test]
fn a_drawn_car_is_admitted_by_its_own_plate_only() {
    let mut plates = Pack::load(&base(), &runtime(), 1).unwrap().take_plate_pipeline().unwrap();
    let threshold = f64::from(plates.reader().threshold().value);
    for kind in ["day", "night", "dirt"] {
        let found = plates.run(&picture(&root().join(format!("models/tests/pictures/{kind}.jpg")))).unwrap();
        let best = found.plates.first().unwrap_or_else(|| panic!("{kind}: no plate"));
        let mut track = TrackReading::new(1);
        track.add(best.reading.clone().unwrap());
        assert!(track.match_score("A123BC77") >= threshold, "{kind}: {}", track.match_score("A123BC77"));
        for other in ["A123BC777", "A123BC7", "A723BC77", "A123BC17", "K123BC77", "A123BE77"] {
            assert!(track.match_score(other) < 0.0, "{kind}: {other} scores {}", track.match_score(other));
        }
    }
}

#[test]
fn photographed_plates_are_read_and_never_taken_for_another() {
    let Some(shared) = shared() else { return };
    let mut plates = Pack::load(&base(), &runtime(), 1).unwrap().take_plate_pipeline().unwrap();
    let threshold = f64::from(plates.reader().threshold().value);
    let folder = shared.join("eval/plates/ru_web");
    let labels: Vec<_> = rows(&folder.join("labels.csv")).into_iter().step_by(3).collect();
    let (mut admitted, mut mistaken) = (0, 0);
    for label in &labels {
        let found = plates.run(&picture(&folder.join("images").join(&label[0]))).unwrap();
        let readings = || found.plates.iter().filter_map(|plate| plate.reading.as_ref());
        admitted += usize::from(readings().any(|reading| reading.match_score(&label[5]) >= threshold));
        mistaken += labels
            .iter()
            .filter(|other| other[0] != label[0] && readings().any(|r| r.match_score(&other[5]) >= threshold))
            .count();
    }
    assert!(admitted * 10 >= labels.len() * 3, "{admitted} of {}", labels.len());
    assert_eq!(mistaken, 0);
}

#[test]
fn strangers_are_refused_and_people_stand_out() {
    let Some(shared) = shared() else { return };
    let mut faces = Pack::load(&base(), &runtime(), 1).unwrap().take_face_pipeline().unwrap();
    let verified = verify(&mut faces, &shared.join("eval/faces/lfw"), 100);
    assert!(verified.impostors_accepted <= 1, "{verified:?}");
    // the embedder's card says how many it misses at this false-match rate; more than chance is all that is asked here
    assert!(verified.genuine_accepted * 5 >= verified.genuine, "{verified:?}");
}
