//! Events: bounded, ordered, kept until stored.

use super::*;

fn event(kind: EventKind, at: i64) -> Event {
    Event { id: EventId::random(), seq: 0, at: Timestamp(at), access_point: None, kind }
}

fn state_event(n: i64) -> Event {
    event(EventKind::AccessPointState { state: "open".to_owned() }, n)
}

fn alarm(n: i64) -> Event {
    event(EventKind::Alarm { alarm: "forced".to_owned() }, n)
}

async fn all_events(store: &Store) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let more = store.events(all.last().map_or(0, |event| event.seq)).await.unwrap();
        if more.is_empty() {
            return all;
        }
        assert!(more.len() <= 100);
        all.extend(more);
    }
}

#[tokio::test]
async fn a_full_outbox_drops_the_oldest_of_least_worth_and_says_how_many() {
    let store = Store::in_memory(options()).unwrap();
    for n in 0..40 {
        store.push_event(alarm(n));
    }
    for n in 0..200 {
        store.push_event(state_event(n));
    }
    let events = all_events(&store).await;
    assert!(events.len() <= 100, "{}", events.len());
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let alarms = events.iter().filter(|e| matches!(e.kind, EventKind::Alarm { .. })).count();
    assert_eq!(alarms, 40, "alarms are worth more than states");
    let states: Vec<i64> =
        events.iter().filter(|e| matches!(e.kind, EventKind::AccessPointState { .. })).map(|e| e.at.0).collect();
    assert!(states.windows(2).all(|pair| pair[0] + 1 == pair[1]) && states.last() == Some(&199), "the newest stay");
    let dropped: Vec<u64> = events
        .iter()
        .filter_map(|e| if let EventKind::Dropped { count } = e.kind { Some(count) } else { None })
        .collect();
    assert_eq!(dropped, [200 - states.len() as u64], "one report, and it counts right");
}

#[tokio::test]
async fn the_outbox_is_bounded_in_bytes_too() {
    let store =
        Store::in_memory(StoreOptions { events: EventsConfig { max_rows: 1_000_000, max_kib: 64 }, ..options() })
            .unwrap();
    for n in 0..100 {
        let detail = Some("x".repeat(1_000));
        store.push_event(event(EventKind::Equipment { equipment: "camera".to_owned(), reachable: false, detail }, n));
    }
    let events = all_events(&store).await;
    assert!(events.len() < 66, "{}", events.len());
    assert_eq!(store.events_waiting().await.unwrap(), events.len() as u64);
}

#[tokio::test]
async fn stored_events_go_and_numbers_are_never_used_again() {
    let store = Store::in_memory(options()).unwrap();
    let grew = store.outbox_grew();
    for n in 0..3 {
        store.push_event(alarm(n));
    }
    let events = store.events(0).await.unwrap();
    assert!(grew.has_changed().unwrap());
    assert_eq!(events.len(), 3);
    assert_eq!(store.events(0).await.unwrap(), events, "offered again until stored");
    store.events_stored(events[1].seq).await.unwrap();
    assert_eq!(store.events(0).await.unwrap(), events[2..]);
    store.events_stored(events[2].seq).await.unwrap();
    store.push_event(alarm(9));
    assert!(store.events(0).await.unwrap()[0].seq > events[2].seq);
}
