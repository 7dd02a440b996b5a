//! Who may pass when, against a simulated house: postures by key, hours and order; anti-passback and two factors with real
//! models.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use cardea_daemon::local::{Carried, LocalOrder, OrderRefusal, PostureOrder};
use cardea_daemon::seam::OrderRequest;
use cardea_hardware::sim::physics::{INPUT_EXIT_BUTTON, INPUT_KEY_LOCK, INPUT_KEY_OPEN, INPUT_LOOP};
use cardea_hardware::sim::{Fault, IO_PART};
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{AccessPointId, PlateId, SubjectToken};
use cardea_protocol::message::{Change, CommandOutcome};
use support::pictures::{at_the_door, empty_scene, enrol, recognition, sample};
use support::{Site, Wish, house};
use tokio::sync::oneshot;

const DONE: [CommandOutcome; 2] = [CommandOutcome::Accepted, CommandOutcome::Confirmed];
const ALWAYS: &str = "[[schedule]]\nid = \"always\"\ntime_zone = \"Asia/Tokyo\"\nhours = [\"mon-sun 00:00-24:00\"]\n";
const KNOWN: &str = "A123BC77";

fn refused(reason: &str) -> Vec<CommandOutcome> {
    vec![CommandOutcome::Refused { reason: reason.into() }]
}

async fn order(site: &Site, order: LocalOrder) -> Result<Carried, OrderRefusal> {
    let (reply, answer) = oneshot::channel();
    site.gate.orders.send(OrderRequest { order, reply }).await.unwrap();
    answer.await.unwrap()
}

async fn posture(site: &Site, at: Option<&str>, posture: PostureOrder) -> Result<Carried, OrderRefusal> {
    let access_point = at.map(|id| AccessPointId::new(id).unwrap());
    order(site, LocalOrder::Posture { access_point, posture }).await
}

/// The postures told so far of one access point, each with its cause.
async fn told(site: &Site, id: &str) -> Vec<String> {
    let of = |event: &cardea_protocol::event::Event| event.access_point.as_ref().is_some_and(|p| p.as_str() == id);
    let events = site.events().await.into_iter().filter(of);
    let name =
        |kind| if let EventKind::Posture { posture, cause } = kind { Some(posture + " " + &cause) } else { None };
    events.filter_map(|event| name(event.kind)).collect()
}

async fn until_told(site: &Site, id: &str, last: &str) {
    let waiting = async {
        while told(site, id).await.last().is_none_or(|told| told != last) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(support::PATIENCE, waiting).await.is_ok(), "{:?}", told(site, id).await);
}

#[tokio::test]
async fn a_key_locks_everything_down_and_lets_everybody_out() {
    let sections = "[posture]\nlockdown = \"key-lock\"\n".to_owned();
    let site = Site::start(Wish { sections, ..Wish::default() }).await;
    site.sim.set_input(INPUT_KEY_LOCK, Some(true)).unwrap();
    until_told(&site, "door-1", "locked-down input").await;
    until_told(&site, "barrier-1", "locked-down input").await;
    assert_eq!(site.outcomes(site.order("door-1"), true).await, refused("locked-down"));
    assert_eq!(site.outcomes(site.order("barrier-1"), true).await, refused("locked-down"));
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    site.until("the lock is released to someone inside", |site| site.sim.state().relays[4]).await;
    site.sim.set_input(INPUT_KEY_LOCK, Some(false)).unwrap();
    until_told(&site, "barrier-1", "normal normal").await;
    assert_eq!(site.outcomes(site.order("barrier-1"), true).await, DONE);
    site.finish().await;
}

#[tokio::test]
async fn a_key_holds_a_door_open_and_a_lockdown_ends_that() {
    let door = "[access_point.rules]\nfree_access = \"key-open\"\nlockdown = \"key-lock\"\n".to_owned();
    let site = Site::start(Wish { door, ..Wish::default() }).await;
    site.sim.set_input(INPUT_KEY_OPEN, Some(true)).unwrap();
    site.until("it is held open", |site| site.state_of("door-1") == "held" && site.sim.state().relays[4]).await;
    site.sim.set_input(INPUT_KEY_LOCK, Some(true)).unwrap();
    site.until("it is locked", |site| !site.sim.state().relays[4]).await;
    site.sim.set_input(INPUT_KEY_LOCK, Some(false)).unwrap();
    site.until("the key still says so", |site| site.sim.state().relays[4]).await;
    site.sim.set_input(INPUT_KEY_OPEN, Some(false)).unwrap();
    site.until("it is locked again", |site| !site.sim.state().relays[4]).await;
    assert_eq!(
        told(&site, "door-1").await,
        ["held-open input", "locked-down input", "held-open input", "normal normal"]
    );
    assert!(told(&site, "barrier-1").await.is_empty());
    site.finish().await;
}

#[tokio::test]
async fn hours_hold_open_and_an_order_locks_down() {
    let door = "[access_point.rules]\nfree_hours = \"always\"\n".to_owned();
    let site = Site::start(Wish { sections: ALWAYS.into(), door, ..Wish::default() }).await;
    site.until("it is held open", |site| site.sim.state().relays[4]).await;
    let carried = posture(&site, None, PostureOrder::Lockdown).await.unwrap();
    assert!(
        carried
            .postures
            .values()
            .all(|status| (status.posture.as_str(), status.cause.as_str()) == ("locked-down", "local"))
    );
    assert!(carried.stored.unwrap().await.unwrap());
    site.until("it is locked", |site| !site.sim.state().relays[4]).await;
    assert_eq!(site.store.kept().await.unwrap().lockdowns, ["barrier-1", "door-1"]);
    let carried = posture(&site, Some("door-1"), PostureOrder::Normal).await.unwrap();
    assert!(carried.stored.unwrap().await.unwrap());
    site.until("the hours count again", |site| site.sim.state().relays[4]).await;
    assert_eq!(site.store.kept().await.unwrap().lockdowns, ["barrier-1"]);
    assert_eq!(
        posture(&site, Some("door-2"), PostureOrder::Normal).await.unwrap_err(),
        OrderRefusal::NoSuchAccessPoint
    );
    site.finish().await;
}

#[tokio::test]
async fn hours_hold_nothing_open_before_the_clock_is_known_to_be_right() {
    let door = "[access_point.rules]\nfree_hours = \"always\"\n".to_owned();
    let site = Site::start(Wish { sections: ALWAYS.into(), door, clock_not_set: true, ..Wish::default() }).await;
    assert_eq!(site.outcomes(site.order("door-1"), true).await[0], CommandOutcome::Accepted, "orders count");
    site.until("it is locked again", |site| !site.sim.state().relays[4]).await;
    assert!(told(&site, "door-1").await.is_empty());
    site.state_fresh().await;
    site.until("the cloud has told the time", |site| site.state_of("door-1") == "held").await;
    site.finish().await;
}

#[tokio::test]
async fn an_order_to_hold_open_ends_with_the_board_and_is_refused_without_it() {
    let site = Site::start(Wish::default()).await;
    posture(&site, Some("door-1"), PostureOrder::FreeAccess).await.unwrap();
    site.until("it is held open", |site| site.sim.state().relays[4]).await;
    site.sim.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until("the fault is seen", |site| site.state_of("door-1") == "fault").await;
    assert_eq!(posture(&site, None, PostureOrder::FreeAccess).await.unwrap_err(), OrderRefusal::Equipment);
    until_told(&site, "door-1", "normal normal").await;
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until("it is back and shut", |site| site.state_of("door-1") == "closed").await;
    site.until("it is locked", |site| !site.sim.state().relays[4]).await;
    assert_eq!(site.pulses("lock"), 1, "nothing opens later");
    site.finish().await;
}

#[tokio::test]
async fn an_order_for_which_nobody_waits_any_more_is_not_carried_out() {
    let site = Site::start(Wish::default()).await;
    let (reply, answer) = oneshot::channel();
    drop(answer);
    let late = LocalOrder::Posture { access_point: None, posture: PostureOrder::FreeAccess };
    site.gate.orders.send(OrderRequest { order: late, reply }).await.unwrap();
    let postures = posture(&site, None, PostureOrder::Normal).await.unwrap().postures;
    assert!(postures.values().all(|status| status.posture == "normal"));
    assert!(told(&site, "door-1").await.is_empty());
    site.finish().await;
}

#[tokio::test]
async fn in_a_fire_a_lock_whose_board_comes_back_is_released_again_while_the_panel_s_is_lost() {
    let panel = house(false).await;
    let sections = format!(
        "[[board]]\nid = \"io2\"\ndriver = \"modbus-tcp\"\naddress = \"{}\"\nunit = 1\n\
         timing = {{ poll_ms = 10, request_timeout_ms = 300, deliver_within_ms = 700, reconnect_max_ms = 200 }}\n\
         [[input]]\nid = \"panel\"\nboard = \"io2\"\nchannel = {INPUT_KEY_OPEN}\n",
        panel.modbus_addr()
    );
    let site = Site::start(Wish { sections, door: "fire = \"panel\"\n".into(), ..Wish::default() }).await;
    panel.set_input(INPUT_KEY_OPEN, Some(true)).unwrap();
    site.until("the fire releases the lock", |site| site.sim.state().relays[4]).await;
    panel.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until("the panel's board is lost", |site| site.state_of("door-1") == "fault").await;
    site.sim.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until("the lock's too", |site| site.state_of("barrier-1") == "fault").await;
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until("it is locked as it comes back, and released again", |site| {
        site.pulses("lock") == 2 && site.sim.state().relays[4]
    })
    .await;
    site.finish().await;
}

#[tokio::test]
async fn outside_its_hours_a_barrier_takes_no_order_that_is_bound_to_them() {
    let sections = "[[schedule]]\nid = \"never\"\ntime_zone = \"UTC\"\nhours = []\n".to_owned();
    let barrier = "rules = { schedules = { remote = \"never\" } }".to_owned();
    let site = Site::start(Wish { sections, barrier, ..Wish::default() }).await;
    assert_eq!(site.outcomes(site.order("barrier-1"), true).await, refused("outside-hours"));
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_that_is_inside_does_not_come_in_again_until_it_is_forgotten() {
    let sections = "[[area]]\nid = \"yard\"\nanti_passback = \"timed\"\nwithin_min = 60\n".to_owned();
    let barrier = "rules = { area = \"yard\" }".to_owned();
    let mut site = Site::start(Wish { recognition: Some(recognition()), sections, barrier, ..Wish::default() }).await;
    site.admit_plate("plate-1", KNOWN).await;
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    site.decision("plate-admitted").await;
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    assert_eq!(site.store.kept().await.unwrap().inside.len(), 1);
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    assert!(!site.decision("passback-too-soon").await.granted);
    assert_eq!(site.pulses("open"), 1);
    let elsewhere = LocalOrder::ForgetInside { area: Some("garage".into()) };
    assert_eq!(order(&site, elsewhere).await.unwrap_err(), OrderRefusal::NoSuchArea);
    let carried = order(&site, LocalOrder::ForgetInside { area: Some("yard".into()) }).await.unwrap();
    assert_eq!(carried.forgotten, 1);
    site.decision_after(2, "plate-admitted").await;
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    assert_eq!(site.store.kept().await.unwrap().inside.len(), 1);
    site.apply(Change::PlateRemoved { plate_id: PlateId::new("plate-1").unwrap() }).await;
    assert!(site.store.kept().await.unwrap().inside.is_empty(), "it goes with the plate");
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_out_at_first_sight_is_known_to_have_left_once_that_is_sure() {
    let sections =
        "[plates]\nmin_frames = 5\n[[area]]\nid = \"yard\"\nanti_passback = \"timed\"\nwithin_min = 60\n".to_owned();
    let barrier = "rules = { area = \"yard\", direction = \"exit\" }".to_owned();
    let wish = Wish { recognition: Some(recognition()), sections, barrier, inside: Some(KNOWN), ..Wish::default() };
    let site = Site::start(wish).await;
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    assert!(site.decision("exit-free").await.granted);
    let leaving = async {
        while !site.store.kept().await.unwrap().inside.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(support::PATIENCE, leaving).await.is_ok(), "it is inside for ever");
    assert_eq!((site.pulses("open"), site.decisions().await.len()), (1, 1), "known, and not let out twice");
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}

#[tokio::test]
async fn a_lockdown_shuts_what_the_stop_button_has_left_open() {
    let barrier = "stop_button = \"key-open\"".to_owned();
    let site = Site::start(Wish { barrier, ..Wish::default() }).await;
    posture(&site, Some("barrier-1"), PostureOrder::FreeAccess).await.unwrap();
    site.until("it is held open", |site| {
        site.sim.state().barrier.position >= 1.0 && site.state_of("barrier-1") == "held"
    })
    .await;
    site.sim.set_input(INPUT_KEY_OPEN, Some(true)).unwrap();
    let stopped = async { while site.outcomes(site.order("barrier-1"), true).await != refused("equipment-fault") {} };
    assert!(tokio::time::timeout(support::PATIENCE, stopped).await.is_ok(), "it cannot be stopped");
    site.sim.set_input(INPUT_KEY_OPEN, Some(false)).unwrap();
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    site.until("both buttons were looked at", |site| site.pulses("lock") == 1).await;
    posture(&site, None, PostureOrder::Lockdown).await.unwrap();
    site.until("it is shut", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_waits_for_a_face() {
    let barrier = "pad = \"off\"\nrules = { second_factor = { first = \"plate\", second = \"face\" } }".to_owned();
    let barrier_also = "\"face\", ";
    let mut site =
        Site::start(Wish { recognition: Some(recognition()), barrier, barrier_also, ..Wish::default() }).await;
    site.sim.set_picture("plate-cam", empty_scene()).unwrap();
    site.sim.set_picture("face-cam", empty_scene()).unwrap();
    site.admit_plate("plate-1", KNOWN).await;
    let resident = SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap();
    site.add_template("template-1", &resident, &enrol("grace_hopper.jpg")).await;
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    site.sim.set_picture("plate-cam", at_the_door("grace_hopper.jpg")).unwrap();
    assert!(!site.decision("first-factor-missing").await.granted);
    site.sim.set_picture("plate-cam", sample("car-day.jpg")).unwrap();
    let first = site.decision("second-factor-awaited").await;
    assert_eq!((first.granted, first.credential.as_str()), (false, "plate"));
    assert_eq!(site.pulses("open"), 0, "half opens nothing");
    site.sim.set_picture("plate-cam", at_the_door("grace_hopper.jpg")).unwrap();
    assert_eq!(site.decision("face-admitted").await.subject, Some(resident));
    site.until("the boom is up", |site| site.state_of("barrier-1") == "open").await;
    assert_eq!(site.pulses("open"), 1);
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}
