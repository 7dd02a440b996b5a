//! Guest passes, from the call that gives one to the controllers at which it ends.

use cardea_protocol::event::{AccessDecision, Event, EventKind};
use cardea_protocol::id::EventId;
use cardea_protocol::message::{Command, CommandOutcome, Down, Up};
use cardea_protocol::rfc3339;
use serde_json::{Value, json};

use super::broker::{On, on_each_broker};
use super::cloud::Cloud;
use super::controller::{Controller, Talk};
use crate::storage::StorageError;
use crate::storage::engine::params;
use crate::sync::SyncSettings;
use crate::testing::{Answer, Api, CUSTOMER, as_admin};

const DAY_MS: i64 = 86_400_000;

/// A house of a customer's with a controller in session.
struct House {
    cloud: Cloud,
    api: Api,
    gate: Controller,
    talk: Talk,
}

impl House {
    async fn start(on: On, command_wait_ms: u64) -> Self {
        let cloud = Cloud::with(on, SyncSettings { freshness_interval_ms: 60_000, command_wait_ms }).await;
        let api = Api::in_session(&cloud.storage, &cloud.sync, cloud.now()).await;
        let site = cloud.site.clone();
        let give = cloud.storage.write(move |tx| {
            tx.execute("INSERT INTO customer_sites VALUES (?1, ?2)", params![site.as_str(), CUSTOMER])?;
            Ok::<_, StorageError>(())
        });
        give.await.unwrap();
        let gate = Controller::claimed(&cloud, "gate-1").await;
        let mut talk = gate.begin(&cloud).await;
        assert!(matches!(talk.next_any().await, Down::Freshness { .. }), "in session");
        Self { cloud, api, gate, talk }
    }

    /// Gives a pass, and answers with its path.
    async fn give(&self, plate: Option<&str>) -> String {
        let passes = format!("/v1/sites/{}/guest-passes", self.cloud.site);
        let until = rfc3339::format(self.api.app.now().plus_ms(DAY_MS));
        let given = self.api.post(&passes, &json!({"plate": plate, "valid_until": until}), as_admin()).await;
        assert_eq!(given.status, 201, "{}", given.json);
        format!("{passes}/{}", given.text("pass_id"))
    }

    async fn state(&self, pass: &str) -> String {
        self.api.get(pass, as_admin()).await.text("state").to_owned()
    }

    async fn open(&self, pass: &str, key: &str) -> Answer {
        let gate = json!({"access_point": self.gate.access_point().id});
        self.api.post_json_keyed(&format!("{pass}/open"), &gate, key, as_admin()).await
    }

    /// Opens with a pass; the controller gets the order and answers so, or not at all.
    async fn opened(&mut self, pass: &str, key: &str, outcomes: &[CommandOutcome]) -> Answer {
        let gate = json!({"access_point": self.gate.access_point().id});
        let path = format!("{pass}/open");
        let answering = async {
            let order = order(&mut self.talk).await;
            for outcome in outcomes {
                let (command_id, outcome) = (order.command_id.clone(), outcome.clone());
                self.talk.say(Up::CommandResult { command_id, outcome }).await;
            }
        };
        tokio::join!(self.api.post_json_keyed(&path, &gate, key, as_admin()), answering).0
    }
}

async fn order(talk: &mut Talk) -> Command {
    match talk.next().await {
        Down::Command(command) => command,
        other => panic!("a command, not {other:?}"),
    }
}

fn outcome(answer: &Answer) -> (u16, &str, &Value) {
    (answer.status, answer.text("state"), &answer.json["reason"])
}

async fn a_guest_who_was_let_in_at_one_controller_ends_at_the_other(on: On) {
    let mut house = House::start(on, 10_000).await;
    let mut other = Controller::claimed(&house.cloud, "gate-2").await;
    let mut other_talk = other.begin(&house.cloud).await;
    assert!(matches!(other_talk.next_any().await, Down::Freshness { .. }), "in session");
    let pass = house.give(Some("A123BC77")).await;
    house.gate.follow(&mut house.talk, 1).await;
    other.follow(&mut other_talk, 1).await;
    let guest = other.held.plates.values().next().unwrap().clone();
    assert!(guest.single_entry);

    let (at, ends_at) = (house.cloud.now(), house.cloud.now().plus_ms(300_000));
    let decision = json!({"credential": "plate", "granted": true, "reason": "plate-admitted"});
    let decision: AccessDecision = serde_json::from_value(decision).unwrap();
    let decision = AccessDecision { plate_id: Some(guest.plate_id.clone()), ends_at: Some(ends_at), ..decision };
    let point = Some(house.gate.access_point().id);
    let event =
        Event { id: EventId::random(), seq: 1, at, access_point: point, kind: EventKind::AccessDecision(decision) };
    house.talk.say(Up::Events { events: vec![event] }).await;

    other.follow(&mut other_talk, 2).await;
    let ended = &other.held.plates[&guest.plate_id];
    assert_eq!(ended.validity.until, Some(ends_at));
    assert_eq!((&ended.plate, ended.single_entry, ended.validity.from), (&guest.plate, true, guest.validity.from));
    assert_eq!(house.state(&pass).await, "used");
    // The one that let the guest in hears that the event is stored, and of the change like the other.
    let mut stored = None;
    while stored.is_none() || house.gate.held.cursor.0 < 2 {
        match house.talk.next().await {
            Down::EventsStored { through } => stored = Some(through),
            message => house.gate.apply(&mut house.talk, message).await,
        }
    }
    assert_eq!(stored, Some(1));
    assert_eq!(house.gate.held.plates, other.held.plates);
}

async fn a_pass_opens_once(on: On) {
    let mut house = House::start(on, 10_000).await;
    let pass = house.give(None).await;
    let both = [CommandOutcome::Accepted, CommandOutcome::Confirmed];
    let answer = house.opened(&pass, "key-1", &both).await;
    assert_eq!(outcome(&answer), (200, "confirmed", &Value::Null));
    assert_eq!(house.state(&pass).await, "used");
    // Nothing is sent for these.
    assert_eq!(
        outcome(&house.open(&pass, "key-1").await),
        (200, "confirmed", &Value::Null),
        "the first call's outcome"
    );
    assert_eq!(outcome(&house.open(&pass, "key-2").await), (200, "refused", &json!("guest-pass-used")));
    // The next order is that of another pass.
    let another = house.give(None).await;
    let answer = house.opened(&another, "key-3", &[CommandOutcome::NotConfirmed]).await;
    assert_eq!(outcome(&answer), (200, "not-confirmed", &Value::Null));
    assert_eq!((&*house.state(&pass).await, &*house.state(&another).await), ("used", "used"));
}

async fn a_pass_is_used_where_the_answer_stays_out(on: On) {
    let mut house = House::start(on, 300).await;
    let pass = house.give(None).await;
    assert_eq!(house.opened(&pass, "key-1", &[]).await.problem(), (504, "controller-unanswered"));
    assert_eq!(house.state(&pass).await, "used", "it may have opened");
    assert_eq!(outcome(&house.open(&pass, "key-2").await), (200, "refused", &json!("guest-pass-used")));
}

async fn a_pass_is_given_back_where_the_controller_refuses(on: On) {
    let mut house = House::start(on, 10_000).await;
    let pass = house.give(None).await;
    let refusal = CommandOutcome::Refused { reason: "interlocked".to_owned() };
    let answer = house.opened(&pass, "key-1", &[refusal]).await;
    assert_eq!(outcome(&answer), (200, "refused", &json!("interlocked")));
    assert_eq!(house.state(&pass).await, "valid");
    let answer = house.opened(&pass, "key-2", &[CommandOutcome::Confirmed]).await;
    assert_eq!(outcome(&answer), (200, "confirmed", &Value::Null));
    assert_eq!(house.state(&pass).await, "used");
}

on_each_broker! {
    a_guest_who_was_let_in_at_one_controller_ends_at_the_other,
    a_pass_opens_once,
    a_pass_is_used_where_the_answer_stays_out,
    a_pass_is_given_back_where_the_controller_refuses,
}
