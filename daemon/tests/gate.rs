//! The gate without recognition: orders, buttons, loops and boards, against a simulated house over real Modbus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use cardea_hardware::sim::physics::{INPUT_CONTACT, INPUT_EXIT_BUTTON, INPUT_LOOP};
use cardea_hardware::sim::{Fault, IO_PART};
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{AccessPointId, BootId};
use cardea_protocol::message::CommandOutcome;
use support::{Site, Wish};

const DONE: [CommandOutcome; 2] = [CommandOutcome::Accepted, CommandOutcome::Confirmed];

fn refused(reason: &str) -> Vec<CommandOutcome> {
    vec![CommandOutcome::Refused { reason: reason.into() }]
}

#[tokio::test]
async fn the_boom_rises_on_order_and_comes_down_only_when_the_loop_is_clear() {
    let site = Site::start(Wish::default()).await;
    assert_eq!(site.outcomes(site.order("barrier-1"), true).await, DONE);
    assert_eq!(site.state_of("barrier-1"), "open");
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    // Well past the time for a car that never comes: it is here.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!((site.state_of("barrier-1").as_str(), site.pulses("close")), ("open", 0));
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    assert_eq!((site.pulses("open"), site.pulses("close")), (1, 1));
    let decision = site.decision("remote-open").await;
    assert!(decision.granted && decision.timings.relay_ms.is_some());
    site.finish().await;
}

#[tokio::test]
async fn a_car_that_comes_under_a_falling_boom_sends_it_up_again() {
    let site = Site::start(Wish::default()).await;
    site.outcomes(site.order("barrier-1"), true).await;
    site.until("it comes down again", |site| site.state_of("barrier-1") == "closing").await;
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    site.until("it is up again", |site| site.state_of("barrier-1") == "open").await;
    let obstructed = |kind: &EventKind| matches!(kind, EventKind::Alarm { alarm } if alarm == "obstructed");
    assert!(site.events().await.iter().any(|event| obstructed(&event.kind)));
    site.sim.set_input(INPUT_LOOP, Some(false)).unwrap();
    site.until("the boom is down", |site| site.state_of("barrier-1") == "closed").await;
    site.finish().await;
}

#[tokio::test]
async fn a_replayed_expired_or_misaddressed_order_does_nothing() {
    let site = Site::start(Wish::default()).await;
    let order = site.order("barrier-1");
    assert_eq!(site.outcomes(order.clone(), false).await, refused("command-replayed"));
    let mut late = order.clone();
    late.expires_at = site.clock.now().plus_ms(-1);
    assert_eq!(site.outcomes(late, true).await, refused("command-expired"));
    let mut long = order.clone();
    long.expires_at = site.clock.now().plus_ms(60_000);
    assert_eq!(site.outcomes(long, true).await, refused("command-expiry-too-far"));
    let mut before = order.clone();
    before.boot_id = BootId::random();
    assert_eq!(site.outcomes(before, true).await, refused("command-other-boot"));
    let mut elsewhere = order;
    elsewhere.access_point = AccessPointId::new("barrier-2").unwrap();
    assert_eq!(site.outcomes(elsewhere, true).await, refused("access-point-unknown"));
    assert_eq!(site.pulses("open"), 0);
    assert!(site.decisions().await.iter().all(|decision| !decision.granted));
    site.finish().await;
}

#[tokio::test]
async fn a_door_opens_on_order_and_by_the_button_and_locks_again() {
    let site = Site::start(Wish { auto_push: true, ..Wish::default() }).await;
    site.sim.set_person(true);
    assert_eq!(site.outcomes(site.order("door-1"), true).await, DONE);
    site.until("it is shut and locked", |site| site.state_of("door-1") == "closed" && !site.sim.state().relays[4])
        .await;
    // Nobody goes through: not confirmed, and locked again all the same.
    let outcomes = site.outcomes(site.order("door-1"), true).await;
    assert_eq!(outcomes, [CommandOutcome::Accepted, CommandOutcome::NotConfirmed]);
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    assert!(site.decision("exit-button").await.granted);
    site.until("it is locked", |site| !site.sim.state().relays[4]).await;
    assert_eq!(site.pulses("lock"), 3);
    site.finish().await;
}

#[tokio::test]
async fn a_forced_door_is_an_alarm() {
    let site = Site::start(Wish::default()).await;
    site.until("the door is known to be shut", |site| site.state_of("door-1") == "closed").await;
    site.sim.set_input(INPUT_CONTACT, Some(false)).unwrap();
    site.until("it is forced", |site| site.state_of("door-1") == "forced").await;
    let forced = |kind: &EventKind| matches!(kind, EventKind::Alarm { alarm } if alarm == "forced");
    assert!(site.events().await.iter().any(|event| forced(&event.kind)));
    assert_eq!(site.pulses("lock"), 0);
    site.finish().await;
}

#[tokio::test]
async fn a_dead_board_is_a_fault_comes_back_by_itself_and_moves_nothing() {
    let site = Site::start(Wish::default()).await;
    site.sim.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until("the fault is seen", |site| site.equipment().iter().all(|p| !p.reachable && p.state == "fault")).await;
    assert_eq!(site.outcomes(site.order("barrier-1"), true).await, refused("equipment-fault"));
    assert_eq!(site.outcomes(site.order("door-1"), true).await, refused("equipment-fault"));
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until("it is back", |site| site.equipment().iter().all(|p| p.reachable && p.state == "closed")).await;
    assert_eq!((site.pulses("open"), site.pulses("lock")), (0, 0), "nothing is done later");
    let reachable: Vec<bool> = site
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Equipment { equipment, reachable, .. } if equipment == "io1" => Some(reachable),
            _ => None,
        })
        .collect();
    assert_eq!(reachable, [false, true]);
    // It works again.
    assert_eq!(site.outcomes(site.order("barrier-1"), true).await, DONE);
    site.finish().await;
}

#[tokio::test]
async fn a_board_that_answers_nothing_is_a_refusal_in_time() {
    let site = Site::start(Wish::default()).await;
    site.sim.set_fault(IO_PART, Fault::Silent).unwrap();
    let outcomes = site.outcomes(site.order("barrier-1"), true).await;
    assert!(!outcomes.contains(&CommandOutcome::Confirmed), "{outcomes:?}");
    site.until("the fault is seen", |site| site.state_of("barrier-1") == "fault").await;
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until("it is back", |site| site.equipment().iter().all(|point| point.reachable)).await;
    assert_eq!(site.pulses("open"), 0);
    site.finish().await;
}

#[tokio::test]
async fn the_end_of_the_program_leaves_the_outputs_safe() {
    let site = Site::start(Wish::default()).await;
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    site.until("the lock is released", |site| site.sim.state().relays[4]).await;
    let sim = site.finish().await;
    assert!(!sim.state().relays[4]);
}

#[tokio::test]
async fn a_task_that_panics_is_noticed_and_leaves_the_outputs_safe() {
    let mut site = Site::start(Wish::default()).await;
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    site.until("the lock is released", |site| site.sim.state().relays[4]).await;
    site.gate.tasks.spawn_infallible("unlucky", async { panic!("on purpose") });
    let ended = site.gate.ended().await;
    assert_eq!((ended.task.as_str(), ended.fault.as_deref()), ("unlucky", Some("it panicked")));
    site.finish().await;
}
