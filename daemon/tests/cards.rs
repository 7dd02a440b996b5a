//! Cards from a simulated reader's pulses to the lock: registered, unknown, removed, tried, and while a board is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use cardea_access::card::CardNumber;
use cardea_hardware::sim::{Fault, IO_PART, Sim, SimConfig, SimHandle, WIEGAND_PART};
use cardea_protocol::card::CardHash;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::CardId;
use cardea_protocol::message::{CardEntry, Change, Validity};
use support::{Site, Wish};

/// The site with a reader at its door; the reader's wires are a second house's.
async fn site() -> (Site, SimHandle, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("wires.sock");
    let reader = Sim::start(SimConfig { wiegand: Some(socket.clone()), ..SimConfig::default() }).await.unwrap();
    let wires = socket.display();
    let sections = format!("[[reader]]\nid = \"door-reader\"\ndriver = \"wiegand-sim\"\nsocket = \"{wires}\"\n");
    let wish = Wish { sections, door: "reader = \"door-reader\"".into(), ..Wish::default() };
    (Site::start(wish).await, reader, folder)
}

fn admitted(id: &str, number: &str) -> Change {
    let hash = CardHash::of(&CardNumber::parse(number).unwrap());
    Change::CardAdmitted(CardEntry {
        card_id: CardId::new(id).unwrap(),
        hash,
        subject: None,
        validity: Validity::ALWAYS,
    })
}

/// Shows a card, once the controller listens.
async fn show(reader: &SimHandle, number: u16) {
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while let Err(error) = reader.act(WIEGAND_PART, "card", serde_json::json!({ "facility": 12, "number": number })) {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_registered_card_opens_until_it_is_removed_and_its_number_is_recorded_nowhere() {
    let (mut site, reader, _folder) = site().await;
    show(&reader, 34567).await;
    assert!(!site.decision("card-unknown").await.granted);
    assert_eq!(site.pulses("lock"), 0);
    site.apply(admitted("card-1", "w26:12:34567")).await;
    tokio::time::sleep(Duration::from_millis(1_600)).await; // the same card again, after it was taken away
    show(&reader, 34567).await;
    let decision = site.decision("card-admitted").await;
    assert!(decision.granted);
    assert_eq!((decision.credential.as_str(), decision.card_id), ("card", Some(CardId::new("card-1").unwrap())));
    site.until("the lock was released", |site| site.pulses("lock") == 1).await;
    site.apply(Change::CardRemoved { card_id: CardId::new("card-1").unwrap() }).await;
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    show(&reader, 34567).await;
    site.decision_after(2, "card-unknown").await;
    assert_eq!(site.pulses("lock"), 1);
    let events = serde_json::to_string(&site.events().await).unwrap();
    let hash = CardHash::of(&CardNumber::parse("w26:12:34567").unwrap());
    assert!(!events.contains("34567") && !events.contains(hash.as_str()));
    site.finish().await;
}

#[tokio::test]
async fn a_card_shown_while_the_board_is_lost_opens_nothing_then_or_later() {
    let (mut site, reader, _folder) = site().await;
    site.apply(admitted("card-1", "w26:12:1")).await;
    site.sim.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until("the board is lost", |site| site.state_of("door-1") == "fault").await;
    show(&reader, 1).await;
    assert!(!site.decision("equipment-fault").await.granted);
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until("the board is back", |site| site.state_of("door-1") == "closed").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(site.pulses("lock"), 0);
    site.finish().await;
}

#[tokio::test]
async fn trying_numbers_makes_the_reader_deaf_with_an_alarm() {
    let (mut site, reader, _folder) = site().await;
    site.apply(admitted("card-1", "w26:12:99")).await;
    for number in 1..=10 {
        show(&reader, number).await;
        let tried = usize::from(number);
        let deadline = tokio::time::Instant::now() + support::PATIENCE;
        while site.decisions().await.len() < tried {
            assert!(tokio::time::Instant::now() < deadline, "card {number} was not judged");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let tried = |kind: &EventKind| matches!(kind, EventKind::Alarm { alarm } if alarm == "cards-tried");
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while !site.events().await.iter().any(|event| tried(&event.kind)) {
        assert!(tokio::time::Instant::now() < deadline, "no alarm");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    show(&reader, 99).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((site.decisions().await.len(), site.pulses("lock")), (10, 0), "also a good card is not listened to");
    site.finish().await;
}
