//! Plates that another camera reads: its word, its picture, and what this controller makes of both. And a camera over RTSP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use cardea_hardware::sim::physics::INPUT_LOOP;
use cardea_protocol::event::AccessDecision;
use cardea_protocol::id::PlateId;
use cardea_protocol::message::{Change, PlateEntry, Validity};
use serde_json::json;
use support::pictures::{recognition, sample};
use support::{Site, Wish};

/// The plate of `car-day.jpg`, and one that no picture here shows.
const SHOWN: &str = "A123BC77";
const ANOTHER: &str = "B456CE99";

async fn site(keys: &str) -> Site {
    let mut site = unregistered(keys).await;
    site.admit_plate("plate-1", SHOWN).await;
    site.admit_plate("plate-2", ANOTHER).await;
    site
}

/// With no plate registered.
async fn unregistered(keys: &str) -> Site {
    as_wished(keys, Wish { barrier: "anpr = \"lane\"".into(), ..Wish::default() }).await
}

/// The same with a barrier of the caller's.
async fn as_wished(keys: &str, wish: Wish) -> Site {
    let anpr = format!("[[anpr]]\nid = \"lane\"\ndriver = \"hikvision\"\nurl = \"ANPR_URL\"\n{keys}\n");
    let site = Site::start(Wish { recognition: Some(recognition()), sections: anpr, ..wish }).await;
    // What the plate camera sends stands before the other camera: the barrier's own sees nothing.
    site.sim.set_picture("plate-cam", sample("yard.jpg")).unwrap();
    site.sim.set_picture("face-cam", sample("car-day.jpg")).unwrap();
    site.until("the plate camera answers", |site| site.gate.status.devices().get("lane") == Some(&Some(true))).await;
    site
}

fn tell(site: &Site, plate: &str, id: &str, picture: bool, confidence: f32) {
    let camera = picture.then_some("face-cam");
    let passage = json!({"plate": plate, "id": id, "confidence": confidence, "camera": camera});
    site.sim.act("anpr", "pass", passage).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_told_plate_that_its_picture_shows_opens_once() {
    let site = site("").await;
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    tell(&site, "unknown", "0", true, 0.9);
    tell(&site, SHOWN, "1", true, 0.5);
    tell(&site, SHOWN, "2", true, 0.9);
    let decision = site.decision("plate-admitted").await;
    assert_eq!(decision.plate_id.unwrap().as_str(), "plate-1");
    assert!(decision.score > decision.threshold);
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    // The same event again, and the same car that is told again.
    tell(&site, SHOWN, "2", true, 0.9);
    tell(&site, SHOWN, "3", true, 0.9);
    tell(&site, ANOTHER, "4", true, 0.9);
    site.decision("plate-picture-differs").await;
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (1, 2));
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_elses_plate_in_the_text_does_not_open() {
    let site = site("accept_text_only = true").await;
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    tell(&site, ANOTHER, "1", true, 1.0);
    let refusal = site.decision("plate-picture-differs").await;
    assert!(!refusal.granted && refusal.plate_id.is_none());
    // A picture that shows no plate shows not this one.
    site.sim.set_picture("face-cam", sample("yard.jpg")).unwrap();
    tell(&site, SHOWN, "2", true, 1.0);
    site.decision_after(1, "plate-picture-differs").await;
    assert_eq!(site.pulses("open"), 0);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_alone_opens_only_where_the_site_says_so() {
    for (keys, reason, pulses) in [("", "plate-text-only", 0), ("accept_text_only = true", "plate-admitted", 1)] {
        let site = site(keys).await;
        site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
        tell(&site, SHOWN, "1", false, 1.0);
        let decision = site.decision(reason).await;
        assert_eq!(decision.score, None);
        if pulses > 0 {
            site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
        }
        assert_eq!(site.pulses("open"), pulses);
        site.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_told_before_its_car_is_on_the_loop_opens_when_it_comes() {
    let site = site("").await;
    tell(&site, SHOWN, "1", true, 0.9);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (0, 0));
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    site.decision("plate-admitted").await;
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_told_long_before_a_car_comes_is_over() {
    let site = site("").await;
    tell(&site, SHOWN, "1", true, 0.9);
    // Evidence lasts three seconds.
    tokio::time::sleep(Duration::from_secs(4)).await;
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    tell(&site, ANOTHER, "2", true, 0.9);
    site.decision("plate-picture-differs").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (0, 1));
    site.finish().await;
}

/// So many seconds ago, as the camera's clock would say.
fn ago(site: &Site, s: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(site.clock.now().0 / 1_000 - s).unwrap();
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_camera_had_kept_back_opens_nothing() {
    let site = site("").await;
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    let pass = |id: &str, date: String, again: bool| {
        let passage = json!({"plate": SHOWN, "id": id, "camera": "face-cam", "date": date, "again": again});
        site.sim.act("anpr", "pass", passage).unwrap();
    };
    pass("1", ago(&site, 0), true);
    pass("2", ago(&site, 3_600), false);
    site.decision("evidence-too-old").await;
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (0, 1));
    pass("3", ago(&site, 0), false);
    site.decision_after(1, "plate-admitted").await;
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    site.finish().await;
}

/// A car comes, its plate is told, and it goes again; the decision is the first after `skip` others.
async fn comes(site: &Site, id: &str, skip: usize, reason: &str) -> AccessDecision {
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    tell(site, SHOWN, id, false, 1.0);
    let decision = site.decision_after(skip, reason).await;
    if decision.granted {
        site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    }
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    decision
}

/// How long a guest's plate is good after its first entry.
const ENTRY_MS: i64 = 5 * 60_000;

/// Admits the plate for one entry within a day.
async fn admit_guest(site: &mut Site) {
    let until = Some(site.clock.now().plus_ms(24 * 3_600_000));
    let validity = Validity { from: None, until };
    let guest = PlateEntry::new(PlateId::new("plate-1").unwrap(), SHOWN.into());
    site.apply(Change::PlateAdmitted(PlateEntry { single_entry: true, validity, ..guest })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_plate_that_waits_for_a_second_factor_is_spent() {
    let barrier =
        "anpr = \"lane\"\npad = \"off\"\nrules = { second_factor = { first = \"plate\", second = \"face\" } }";
    let wish = Wish { barrier: barrier.to_owned(), barrier_also: "\"face\", ", ..Wish::default() };
    let mut site = as_wished("accept_text_only = true", wish).await;
    admit_guest(&mut site).await;
    let awaited = comes(&site, "1", 0, "second-factor-awaited").await;
    assert!(!awaited.granted);
    let ends_at = awaited.ends_at.expect("the event says when the pass ends, although nothing has opened yet");
    site.pass_time(ENTRY_MS - 120_000).await;
    let again = comes(&site, "2", 1, "second-factor-awaited").await;
    assert_eq!(again.ends_at, Some(ends_at), "the first time counts");
    site.pass_time(120_000).await;
    let late = comes(&site, "3", 2, "expired").await;
    assert_eq!((late.granted, late.ends_at), (false, None));
    assert_eq!(site.pulses("open"), 0);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_let_in_again_for_five_minutes_and_not_after_a_restart_either() {
    let mut site = unregistered("accept_text_only = true").await;
    admit_guest(&mut site).await;

    let before = site.clock.now();
    let ends_at = comes(&site, "1", 0, "plate-admitted").await.ends_at.expect("the event says when the pass ends");
    assert!((before.plus_ms(ENTRY_MS)..=site.clock.now().plus_ms(ENTRY_MS)).contains(&ends_at), "{ends_at:?}");
    site.pass_time(ENTRY_MS - 120_000).await;
    let again = comes(&site, "2", 1, "plate-admitted").await;
    assert_eq!(again.ends_at, Some(ends_at), "the first entry counts");
    let site = site.restart().await;
    let again = comes(&site, "3", 2, "plate-admitted").await;
    assert_eq!(again.ends_at, Some(ends_at), "also after a restart");
    site.pass_time(120_000).await;
    let late = comes(&site, "4", 3, "expired").await;
    assert_eq!((late.granted, late.ends_at), (false, None));
    let site = site.restart().await;
    assert!(!comes(&site, "5", 4, "expired").await.granted);
    assert_eq!(site.decisions().await.len(), 5);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_plate_over_rtsp_raises_the_boom() {
    let mut site = Site::start(Wish { recognition: Some(recognition()), rtsp: true, ..Wish::default() }).await;
    site.admit_plate("plate-1", SHOWN).await;
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    let decision = site.decision("plate-admitted").await;
    assert!(decision.timings.capture_ms.is_some(), "{:?}", decision.timings);
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    site.finish().await;
}
