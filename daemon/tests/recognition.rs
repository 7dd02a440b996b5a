//! Cars and people before the cameras: the whole way from a picture over HTTP to a relay over Modbus, with real models.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use cardea_daemon::local::CaptureStatus;
use cardea_hardware::sim::Fault;
use cardea_hardware::sim::physics::INPUT_LOOP;
use cardea_protocol::id::{ErasureId, SubjectToken};
use cardea_protocol::message::Change;
use support::pictures::{at_the_door, empty_scene, enrol, enrol_with, pack_with_pad, presented, recognition, sample};
use support::{Site, Wish};

/// The plate of `car-day.jpg`, `car-night.jpg` and `car-dirt.jpg`, and that of `car-other.jpg`: the first is a part of it.
const KNOWN: &str = "A123BC77";
const OTHER: &str = "A123BC777";

fn wish() -> Wish {
    Wish { recognition: Some(recognition()), auto_push: true, ..Wish::default() }
}

fn resident() -> SubjectToken {
    SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_plate_on_the_loop_raises_the_boom_until_the_car_has_gone() {
    let mut site = Site::start(wish()).await;
    site.admit_plate("plate-1", KNOWN).await;
    site.admit_plate("plate-2", "A123BC777").await;
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    let decision = site.decision("plate-admitted").await;
    assert_eq!(decision.plate_id.unwrap().as_str(), "plate-1");
    assert!(decision.score > decision.threshold);
    let t = decision.timings;
    let stages = [t.capture_ms, t.detect_ms, t.read_ms, t.decide_ms, t.relay_ms];
    assert!(stages.iter().all(|ms| ms.is_some_and(|ms| ms >= 0.0)), "{stages:?}");
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    // The car stands there for longer than the boom would wait for one: one decision, one pulse, and no closing.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!((site.pulses("open"), site.pulses("close"), site.decisions().await.len()), (1, 0, 1));
    site.sim.set_picture("plate-cam", sample("yard.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dirt_and_night_do_not_keep_a_registered_car_out() {
    let mut site = Site::start(wish()).await;
    site.admit_plate("plate-1", KNOWN).await;
    for (i, picture) in ["car-dirt.jpg", "car-night.jpg"].into_iter().enumerate() {
        site.sim.set_picture("plate-cam", sample(picture)).unwrap();
        site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
        site.decision_after(i, "plate-admitted").await;
        site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
        site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
        site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    }
    assert_eq!(site.pulses("open"), 2);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_that_contains_a_registered_one_is_refused_once_and_admitted_when_registered_itself() {
    let mut site = Site::start(wish()).await;
    site.admit_plate("plate-1", KNOWN).await;
    site.sim.set_picture("plate-cam", sample("car-other.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    let refusal = site.decision("plate-unknown").await;
    assert!(!refusal.granted && refusal.plate_id.is_none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (0, 1));
    // Its owner registers it while the car still stands there.
    site.admit_plate("plate-2", OTHER).await;
    assert_eq!(site.decision("plate-admitted").await.plate_id.unwrap().as_str(), "plate-2");
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_without_a_car_on_the_loop_moves_nothing() {
    let mut site = Site::start(wish()).await;
    site.admit_plate("plate-1", KNOWN).await;
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (0, 0));
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_in_the_background_moves_nothing() {
    // The car stands in the middle. The zone is the left quarter, whose surroundings do not reach it; or that and a strip
    // below, whose surroundings are the whole picture.
    for (zone, seen) in [
        ("zone = [[0.0, 0.0], [0.25, 0.0], [0.25, 1.0], [0.0, 1.0]]", false),
        ("zone = [[0.0, 0.0], [0.25, 0.0], [0.25, 0.95], [1.0, 0.95], [1.0, 1.0], [0.0, 1.0]]", true),
    ] {
        let mut site = Site::start(Wish { barrier: zone.to_owned(), ..wish() }).await;
        site.admit_plate("plate-1", KNOWN).await;
        site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
        site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
        site.until("it was looked at", |site| {
            let enough = |capture: &CaptureStatus| capture.recognised >= 3 && (!seen || capture.outside_zone >= 3);
            site.gate.status.captures().values().any(enough)
        })
        .await;
        let outside: u64 = site.gate.status.captures().values().map(|capture| capture.outside_zone).sum();
        assert_eq!(outside > 0, seen, "{zone}");
        assert_eq!((site.pulses("open"), site.decisions().await.len()), (0, 0));
        site.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_walks_in_a_stranger_does_not_and_an_erased_resident_does_not_either() {
    let mut site = Site::start(wish()).await;
    site.sim.set_picture("face-cam", empty_scene()).unwrap();
    site.add_template("template-1", &resident(), &enrol("grace_hopper.jpg")).await;

    site.sim.set_picture("face-cam", at_the_door("astronaut.png")).unwrap();
    let refusal = site.decision("face-below-threshold").await;
    assert!(!refusal.granted && refusal.subject.is_none() && refusal.score < refusal.threshold);
    assert_eq!(site.pulses("lock"), 0);

    site.sim.set_picture("face-cam", empty_scene()).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    site.sim.set_person(true);
    site.sim.set_picture("face-cam", at_the_door("grace_hopper.jpg")).unwrap();
    let decision = site.decision("face-admitted").await;
    assert_eq!(decision.subject, Some(resident()));
    site.until("the door was opened", |site| site.sim.state().door.open).await;
    site.sim.set_picture("face-cam", empty_scene()).unwrap();
    site.until("it is shut and locked", |site| site.state_of("door-1") == "closed" && !site.sim.state().relays[4])
        .await;

    let before = site.decisions().await.len();
    site.apply(Change::SubjectErased { erasure: ErasureId::random(), subject: resident() }).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    site.sim.set_picture("face-cam", at_the_door("grace_hopper.jpg")).unwrap();
    let refusal = site.decision_after(before, "face-unknown").await;
    assert!(!refusal.granted && refusal.subject.is_none());
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_staleness_limit_a_face_is_refused_and_a_plate_still_admitted() {
    let sections = "[biometrics]\nmax_staleness_s = 1\n".to_owned();
    let mut site = Site::start(Wish { sections, ..wish() }).await;
    site.sim.set_picture("face-cam", empty_scene()).unwrap();
    site.admit_plate("plate-1", KNOWN).await;
    site.add_template("template-1", &resident(), &enrol("grace_hopper.jpg")).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    site.sim.set_picture("face-cam", at_the_door("grace_hopper.jpg")).unwrap();
    assert!(!site.decision("face-stale").await.granted);
    assert_eq!(site.pulses("lock"), 0);
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    assert!(site.decision("plate-admitted").await.granted);
    // The network is back: the same face, still at the door, is admitted.
    site.state_fresh().await;
    assert!(site.decision("face-admitted").await.granted);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_was_unplugged_comes_back_by_itself() {
    let mut site = Site::start(wish()).await;
    site.add_template("template-1", &resident(), &enrol("grace_hopper.jpg")).await;
    site.sim.set_picture("face-cam", at_the_door("grace_hopper.jpg")).unwrap();
    let door = |site: &Site| site.equipment().into_iter().find(|point| point.id.as_str() == "door-1").unwrap();
    site.sim.set_fault("face-cam", Fault::Dead).unwrap();
    site.until("its loss is seen", |site| !door(site).reachable).await;
    // Without its camera, the door still opens by order.
    assert!(!site.outcomes(site.order("door-1"), true).await.is_empty());
    let before = site.decisions().await.len();
    site.sim.set_fault("face-cam", Fault::None).unwrap();
    site.until("it is back", |site| door(site).reachable).await;
    assert!(site.decision_after(before, "face-admitted").await.granted);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_usable_pack_orders_still_open_and_an_alarm_says_so() {
    let (_, library) = recognition();
    let nowhere = std::env::temp_dir().join("no-such-pack");
    let site = Site::start(Wish { recognition: Some((nowhere, library)), ..Wish::default() }).await;
    site.outcomes(site.order("barrier-1"), true).await;
    assert_eq!(site.pulses("open"), 1);
    let events = serde_json::to_string(&site.events().await).unwrap();
    assert!(events.contains("recognition-unavailable"));
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_for_liveness_a_door_that_requires_it_opens_to_no_face() {
    let mut site = Site::start(Wish { pad: Some("require"), ..wish() }).await;
    site.add_template("template-1", &resident(), &enrol("grace_hopper.jpg")).await;
    site.admit_plate("plate-1", KNOWN).await;
    let events = serde_json::to_string(&site.events().await).unwrap();
    assert!(events.contains("pad-unavailable"), "{events}");
    site.sim.set_picture("face-cam", at_the_door("grace_hopper.jpg")).unwrap();
    // Long enough for a face to have been decided about: the plate is, and the barrier is not concerned.
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    assert!(site.decision("plate-admitted").await.granted);
    assert_eq!(site.pulses("lock"), 0);
    assert!(!site.outcomes(site.order("door-1"), true).await.is_empty(), "an order opens all the same");
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demonstration_opens_no_door_unless_the_site_says_so() {
    let mut site = Site::start(Wish { demo_refused: true, ..wish() }).await;
    site.add_template("template-1", &resident(), &enrol("grace_hopper.jpg")).await;
    site.sim.set_picture("face-cam", at_the_door("grace_hopper.jpg")).unwrap();
    let refusal = site.decision("face-model-demo").await;
    assert!(!refusal.granted);
    assert_eq!(site.pulses("lock"), 0);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_face_opens_and_a_photograph_of_one_counts_as_the_door_says() {
    let Some(pack) = pack_with_pad() else { return };
    let recognition = Some((pack.path().to_owned(), recognition().1));
    for (pad, on_paper) in [("require", "face-spoof"), ("log", "face-admitted")] {
        let mut site = Site::start(Wish { pad: Some(pad), recognition: recognition.clone(), ..wish() }).await;
        site.sim.set_picture("face-cam", empty_scene()).unwrap();
        site.add_template("template-1", &resident(), &enrol_with(pack.path(), &presented(true))).await;
        let other = SubjectToken::new("0d6b1a52-2c0e-4d9f-8f0a-7b6c5d4e3f2a").unwrap();
        site.add_template("template-2", &other, &enrol_with(pack.path(), &presented(false))).await;
        site.sim.set_picture("face-cam", presented(true)).unwrap();
        let live = site.decision("face-admitted").await;
        assert_eq!((live.subject, live.liveness.as_deref()), (Some(resident()), Some("live")), "{pad}");
        site.sim.set_picture("face-cam", empty_scene()).unwrap();
        site.until("the door is shut again", |site| site.state_of("door-1") == "closed").await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let before = site.decisions().await.len();
        site.sim.set_picture("face-cam", presented(false)).unwrap();
        let paper = site.decision_after(before, on_paper).await;
        assert_eq!((paper.granted, paper.liveness.as_deref()), (pad == "log", Some("spoof")));
        site.finish().await;
    }
}
