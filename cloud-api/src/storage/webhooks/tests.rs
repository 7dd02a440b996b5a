//! What is told to whom, and what becomes of it, in either database.

use cardea_protocol::digest::Digest;
use cardea_protocol::event::{AccessDecision, Event, EventKind};
use cardea_protocol::id::{ControllerId, ErasureId, EventId, Revision, SiteId};
use cardea_protocol::message::Receipt;
use serde_json::{Value, json};

use super::outbox::{Attempt, DISABLED, DueMessage, DueWebhook, GIVEN_UP, announce};
use super::*;
use crate::storage::sites::Scope;
use crate::testing::{Api, CONTROLLER, CUSTOMER, OTHER_CUSTOMER, SITE, START, SUBJECT, as_admin, consent};

mod expiry;

fn of(customer: &str) -> Scope {
    Scope::Customer(CustomerId::new(customer).unwrap())
}

fn gate() -> ControllerId {
    ControllerId::new(CONTROLLER).unwrap()
}

fn site() -> SiteId {
    SiteId::new(SITE).unwrap()
}

async fn register(storage: &Storage, scope: &Scope, name: &str, kinds: &[Kind]) -> WebhookId {
    let webhook_id = WebhookId::new(name).unwrap();
    let url = "https://hooks.example.org/cardea".to_owned();
    let new = NewWebhook { webhook_id: webhook_id.clone(), url, kinds: kinds.to_vec(), secret: b"wrapped".to_vec() };
    storage.register_webhook(scope, new, START).await.unwrap();
    webhook_id
}

async fn take(storage: &Storage, webhook: &WebhookId, now: Timestamp) -> Vec<DueMessage> {
    storage.take_messages(webhook, 100, now, now.plus_ms(60_000)).await.unwrap()
}

/// What a webhook has to tell: kinds and data.
async fn told(storage: &Storage, webhook: &WebhookId, now: Timestamp) -> Vec<(String, Value)> {
    let messages = take(storage, webhook, now).await;
    for message in &messages {
        let done = Attempt { outcome: Outcome::Delivered, status: Some(200), next: None };
        storage.settle_message(webhook, &message.message_id, done, now).await.unwrap();
    }
    let mut told: Vec<(String, Value)> = messages
        .into_iter()
        .map(|message| {
            let body: Value = serde_json::from_str(&message.body).unwrap();
            (body["type"].as_str().unwrap().to_owned(), body["data"].clone())
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn kinds(told: &[(String, Value)]) -> Vec<&str> {
    told.iter().map(|(kind, _)| kind.as_str()).collect()
}

async fn applied(storage: &Storage, revision: u64, at: Timestamp) {
    storage.record_applied(&gate(), Revision(revision), &Digest::from_bytes([0; 32]), true, at).await.unwrap();
}

#[tokio::test]
async fn a_withdrawal_and_its_erasure_are_told_with_ids_alone_and_to_their_customer_alone() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    api.activate(CONTROLLER).await;
    let own = register(storage, &of(CUSTOMER), "own", &Kind::ALL).await;
    let some = register(storage, &of(CUSTOMER), "some", &[Kind::AccessEvent]).await;
    let other = register(storage, &of(OTHER_CUSTOMER), "other", &Kind::ALL).await;
    let given = api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
    let consent_id = given.text("consent_id").to_owned();
    let path = format!("/v1/sites/{SITE}/consents/{consent_id}/withdrawal");
    let erasure_id = api.post_empty(&path, as_admin()).await.text("erasure_id").to_owned();
    api.post_empty(&path, as_admin()).await;

    let now = api.app.now();
    let data = json!({"site_id": SITE, "consent_id": consent_id, "erasure_id": erasure_id});
    assert_eq!(told(storage, &own, now).await, [("consent.withdrawn".to_owned(), data)], "once");
    let receipt = Receipt {
        erasure: ErasureId::new(&*erasure_id).unwrap(),
        controller: gate(),
        revision: Revision(1),
        templates_erased: 0,
        verified: true,
        at: now,
    };
    for _ in 0..2 {
        storage.store_receipt(&receipt, "jws", now).await.unwrap();
    }
    let data = json!({"site_id": SITE, "erasure_id": erasure_id});
    assert_eq!(told(storage, &own, now).await, [("erasure.completed".to_owned(), data)], "once");
    assert!(told(storage, &some, now).await.is_empty() && told(storage, &other, now).await.is_empty());
}

#[tokio::test]
async fn a_sale_is_told_once_every_controller_blocks() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    api.activate(CONTROLLER).await;
    let own = register(storage, &of(CUSTOMER), "own", &[Kind::SaleCompleted]).await;
    let path = format!("/v1/sites/{SITE}/property-sales");
    let sale = api.post(&path, &json!({"plates": ["A123BC77"], "subjects": []}), as_admin()).await;
    let revision = sale.json["revision"].as_u64().unwrap();
    let now = api.app.now();
    applied(storage, revision - 1, now).await;
    assert!(told(storage, &own, now).await.is_empty());
    applied(storage, revision, now).await;
    let data = json!({"site_id": SITE, "sale_id": sale.text("sale_id")});
    assert_eq!(told(storage, &own, now).await, [("property-sale.completed".to_owned(), data)]);
    applied(storage, revision, now).await;
    assert!(told(storage, &own, now).await.is_empty(), "once");

    // One with an erasure waits for it; here by the end of the only controller.
    let sale = json!({"plates": [], "subjects": [SUBJECT]});
    let revision = api.post(&path, &sale, as_admin()).await.json["revision"].as_u64().unwrap();
    applied(storage, revision, now).await;
    assert!(told(storage, &own, now).await.is_empty());
    storage.decommission_controller(&Scope::Operator, &gate(), now).await.unwrap();
    assert_eq!(kinds(&told(storage, &own, now).await), ["property-sale.completed"]);
    // Where there is no controller at all, it is in force at once.
    api.post(&path, &json!({"plates": ["A124BC77"], "subjects": []}), as_admin()).await;
    assert_eq!(kinds(&told(storage, &own, now).await), ["property-sale.completed"]);
}

#[tokio::test]
async fn an_access_decision_is_told_once_and_nothing_of_it_but_its_id() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let own = register(storage, &of(CUSTOMER), "own", &Kind::ALL).await;
    let decision: AccessDecision =
        serde_json::from_value(json!({"credential": "plate", "granted": true, "reason": "plate-admitted"})).unwrap();
    let event =
        |seq, kind| Event { id: EventId::new(format!("e-{seq}")).unwrap(), seq, at: START, access_point: None, kind };
    let events =
        vec![event(1, EventKind::AccessDecision(decision)), event(2, EventKind::Alarm { alarm: "forced".to_owned() })];
    for _ in 0..2 {
        storage.store_events(&site(), &gate(), events.clone(), START).await.unwrap();
    }
    let data = json!({"site_id": SITE, "event_id": "e-1"});
    assert_eq!(told(storage, &own, START).await, [("access.event".to_owned(), data)]);
}

#[tokio::test]
async fn presence_is_told_as_it_changes_to_the_operator_too() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    api.activate(CONTROLLER).await;
    let presence = [Kind::ControllerReachable, Kind::ControllerUnreachable];
    let own = register(storage, &of(CUSTOMER), "own", &presence).await;
    let operators = register(storage, &Scope::Operator, "operators", &presence).await;
    let came = || storage.write(|tx| super::super::presence::came(tx, &gate(), START));
    came().await.unwrap();
    came().await.unwrap();
    let data = json!({"site_id": SITE, "controller_id": CONTROLLER});
    for webhook in [&own, &operators] {
        assert_eq!(told(storage, webhook, START).await, [("controller.reachable".to_owned(), data.clone())]);
    }
    storage.record_disconnected(&gate(), START).await.unwrap();
    storage.record_disconnected(&gate(), START).await.unwrap();
    assert_eq!(kinds(&told(storage, &own, START).await), ["controller.unreachable"]);
    for lost in ["restart", "revocation"] {
        came().await.unwrap();
        match lost {
            "restart" => storage.forget_connections(START).await.unwrap(),
            _ => storage.revoke_controller(&Scope::Operator, &gate(), START).await.unwrap(),
        }
        assert_eq!(
            kinds(&told(storage, &own, START).await),
            ["controller.reachable", "controller.unreachable"],
            "{lost}"
        );
    }
}

#[tokio::test]
async fn what_is_undone_is_not_told() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let own = register(storage, &of(CUSTOMER), "own", &Kind::ALL).await;
    let undone = storage.write(|tx| {
        announce(tx, Kind::AccessEvent, &site(), &[("event_id", "e-1")], START)?;
        Err::<(), _>(StorageError::Corrupt("test"))
    });
    assert!(undone.await.is_err());
    assert!(told(storage, &own, START).await.is_empty());
}

async fn announced(storage: &Storage) {
    let one = |tx: &Transaction<'_>| announce(tx, Kind::AccessEvent, &site(), &[("event_id", "e-1")], START);
    storage.write(one).await.unwrap();
}

#[tokio::test]
async fn a_message_that_nobody_answers_for_is_taken_again_under_the_same_id() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let own = register(storage, &of(CUSTOMER), "own", &Kind::ALL).await;
    announced(storage).await;
    let due = DueWebhook { webhook_id: own.clone(), failing_since: None, last_attempt_at: None };
    assert_eq!(storage.due_webhooks(START).await.unwrap(), [due]);
    let first = take(storage, &own, START).await;
    assert_eq!(first.len(), 1);
    assert!(take(storage, &own, START.plus_ms(59_999)).await.is_empty());
    assert!(storage.due_webhooks(START.plus_ms(59_999)).await.unwrap().is_empty());
    let second = take(storage, &own, START.plus_ms(60_000)).await;
    assert_eq!((&second[0].message_id, second[0].attempt), (&first[0].message_id, 2));
    assert_eq!(second[0].body, first[0].body);
}

#[tokio::test]
async fn failure_is_shown_and_the_last_one_is_in_the_audit() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let (own, scope) = (register(storage, &of(CUSTOMER), "own", &Kind::ALL).await, of(CUSTOMER));
    announced(storage).await;
    let message = take(storage, &own, START).await.remove(0).message_id;
    let attempt = |outcome, status, next| Attempt { outcome, status, next };
    let later = START.plus_ms(5_000);
    storage.settle_message(&own, &message, attempt(Outcome::TimedOut, None, Some(later)), START).await.unwrap();
    let seen = storage.webhook(&scope, &own).await.unwrap().unwrap();
    assert_eq!((seen.failing_since, seen.waiting), (Some(START), 1));
    let last = LastAttempt { message_id: message.clone(), at: START, outcome: Outcome::TimedOut, status: None };
    assert_eq!(seen.last, Some(last));

    assert_eq!(take(storage, &own, later).await[0].attempt, 2);
    storage.settle_message(&own, &message, attempt(Outcome::Refused, Some(500), None), later).await.unwrap();
    let seen = storage.webhook(&scope, &own).await.unwrap().unwrap();
    assert_eq!((seen.failing_since, seen.waiting, seen.last.unwrap().status), (Some(START), 0, Some(500)));
    let (action, who, target, outcome) = storage.recent_actions(1).await.unwrap().remove(0);
    assert_eq!((&*action, who, target, &*outcome), (GIVEN_UP, None, Some(message.clone()), "refused"));
    let audited = storage.audit_entries(&scope, None, 1).await.unwrap();
    assert_eq!(audited[0].target.as_ref(), Some(&message), "and its customer may read it");

    announced(storage).await;
    let message = take(storage, &own, later).await.remove(0).message_id;
    storage.settle_message(&own, &message, attempt(Outcome::Delivered, Some(204), None), later).await.unwrap();
    assert_eq!(storage.webhook(&scope, &own).await.unwrap().unwrap().failing_since, None);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_nothing_more() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let (own, scope) = (register(storage, &of(CUSTOMER), "own", &Kind::ALL).await, of(CUSTOMER));
    announced(storage).await;
    announced(storage).await;
    let message = take(storage, &own, START).await.remove(0).message_id;
    let gone = Attempt { outcome: Outcome::Gone, status: Some(410), next: None };
    storage.settle_message(&own, &message, gone, START).await.unwrap();
    announced(storage).await;
    let seen = storage.webhook(&scope, &own).await.unwrap().unwrap();
    assert_eq!((seen.disabled_at, seen.waiting), (Some(START), 0));
    let (action, _, target, outcome) = storage.recent_actions(1).await.unwrap().remove(0);
    assert_eq!((&*action, target.as_deref(), &*outcome), (DISABLED, Some("own"), "done"));
}

#[tokio::test]
async fn each_tenant_has_its_own_and_not_too_many() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let scopes = [of(CUSTOMER), of(OTHER_CUSTOMER), Scope::Operator];
    for (n, scope) in scopes.iter().enumerate() {
        register(storage, scope, &format!("w-{n}"), &[Kind::ControllerReachable]).await;
    }
    for (n, scope) in scopes.iter().enumerate() {
        let seen = storage.webhooks(scope).await.unwrap();
        assert_eq!(seen.iter().map(|w| w.webhook_id.to_string()).collect::<Vec<_>>(), [format!("w-{n}")]);
        let foreign = WebhookId::new(format!("w-{}", (n + 1) % 3)).unwrap();
        assert!(storage.webhook(scope, &foreign).await.unwrap().is_none());
        let rotated = storage.rotate_webhook_secret(scope, &foreign, b"other".to_vec(), START).await;
        assert!(matches!(rotated, Err(WebhookError::NotFound)));
        assert!(matches!(storage.remove_webhook(scope, &foreign).await, Err(WebhookError::NotFound)));
    }
    for n in 1..MAX_WEBHOOKS {
        register(storage, &scopes[0], &format!("more-{n}"), &[Kind::AccessEvent]).await;
    }
    let new = NewWebhook {
        webhook_id: WebhookId::random(),
        url: "https://a.example.org/".to_owned(),
        kinds: vec![Kind::AccessEvent],
        secret: vec![1],
    };
    assert!(matches!(storage.register_webhook(&scopes[0], new.clone(), START).await, Err(WebhookError::TooMany)));
    storage.remove_webhook(&scopes[0], &WebhookId::new("more-1").unwrap()).await.unwrap();
    storage.register_webhook(&scopes[0], new, START).await.unwrap();
}

#[tokio::test]
async fn two_secrets_sign_for_a_day_after_a_rotation() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let own = register(storage, &of(CUSTOMER), "own", &Kind::ALL).await;
    announced(storage).await;
    let until = storage.rotate_webhook_secret(&of(CUSTOMER), &own, b"second".to_vec(), START).await.unwrap();
    let before = until.plus_ms(-1);
    assert_eq!(take(storage, &own, before).await[0].secrets, [b"second".to_vec(), b"wrapped".to_vec()]);
    let after = before.plus_ms(60_000);
    assert_eq!(take(storage, &own, after).await[0].secrets, [b"second".to_vec()]);
    assert_eq!(storage.forget_former_secrets(before).await.unwrap(), 0);
    assert_eq!(storage.forget_former_secrets(until).await.unwrap(), 1, "and then the former one is gone");
    assert_eq!(take(storage, &own, after.plus_ms(60_000)).await[0].secrets, [b"second".to_vec()]);
}

#[tokio::test]
async fn a_rotation_that_is_repeated_keeps_the_secret_that_the_receiver_has() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let (own, scope) = (register(storage, &of(CUSTOMER), "own", &Kind::ALL).await, of(CUSTOMER));
    announced(storage).await;
    let rotated =
        async |secret: &[u8], at| storage.rotate_webhook_secret(&scope, &own, secret.to_vec(), at).await.unwrap();
    let until = rotated(b"never seen", START).await;
    let again = START.plus_ms(60_000);
    assert_eq!(rotated(b"third", again).await, until, "what the receiver has signs for as long as it was told");
    assert_eq!(take(storage, &own, again).await[0].secrets, [b"third".to_vec(), b"wrapped".to_vec()]);
    // Once that time is over the next rotation is one like the first, even before the former secret is deleted.
    assert_eq!(rotated(b"fourth", until).await, until.plus_ms(FORMER_SECRET_MS));
    assert_eq!(take(storage, &own, until).await[0].secrets, [b"fourth".to_vec(), b"third".to_vec()]);
}
