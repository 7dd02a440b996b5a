//! Delivery with the real outbox, a manual clock, and receivers that do as they are told.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};
use rand::SeedableRng as _;
use tokio::sync::Notify;

use super::*;
use crate::storage::engine::Transaction;
use crate::storage::sites::Scope;
use crate::storage::webhooks::expiry::EXPIRED;
use crate::storage::webhooks::outbox::{GIVEN_UP, announce};
use crate::storage::webhooks::{NewWebhook, Webhook};
use crate::testing::{Api, CUSTOMER, SITE, START};
use crate::webhooks::Kind;
use crate::webhooks::schedule::{MAX_PAUSE_MS, RETRIES_S};

/// A receiver for each URL: what it answers, and what it got. One without an answer never gives one.
#[derive(Default)]
struct Receivers {
    status: Mutex<HashMap<String, u16>>,
    got: Mutex<Vec<Outgoing>>,
    arrived: Notify,
}

impl Receivers {
    fn answers(&self, url: &str, status: u16) {
        self.status.lock().unwrap().insert(url.to_owned(), status);
    }

    fn got(&self, url: &str) -> Vec<Outgoing> {
        self.got.lock().unwrap().iter().filter(|message| message.url == url).cloned().collect()
    }
}

#[async_trait]
impl Post for Receivers {
    async fn post(&self, message: Outgoing) -> Answer {
        let status = self.status.lock().unwrap().get(&message.url).copied();
        self.got.lock().unwrap().push(message);
        self.arrived.notify_one();
        match status {
            Some(status) => Answer { outcome: Outcome::of_status(status), status: Some(status) },
            None => std::future::pending().await,
        }
    }
}

const URL: &str = "https://hooks.example.org/";
const OTHER_URL: &str = "https://other.example.org/";

struct World {
    api: Api,
    receivers: Arc<Receivers>,
    courier: Courier,
}

fn scope() -> Scope {
    Scope::Customer(CustomerId::new(CUSTOMER).unwrap())
}

fn courier(api: &Api, receivers: &Arc<Receivers>) -> Courier {
    let means = Means {
        storage: api.app.storage.clone(),
        vault: api.app.vault.clone(),
        clock: api.clock.clone(),
        post: receivers.clone(),
    };
    Courier::new(means, StdRng::seed_from_u64(1))
}

impl World {
    async fn new() -> Self {
        let api = Api::new().await;
        let receivers = Arc::new(Receivers::default());
        let world = Self { courier: courier(&api, &receivers), api, receivers };
        world.register("w-1", URL).await;
        world
    }

    async fn register(&self, name: &str, url: &str) {
        let webhook_id = WebhookId::new(name).unwrap();
        let secret = self.api.app.vault.wrap_webhook_secret(&webhook_id, b"a secret of 32 bytes of the test").unwrap();
        let new = NewWebhook { webhook_id, url: url.to_owned(), kinds: vec![Kind::AccessEvent], secret };
        self.api.app.storage.register_webhook(&scope(), new, START).await.unwrap();
    }

    async fn announce(&self) {
        let site = SiteId::new(SITE).unwrap();
        let one = move |tx: &Transaction<'_>| announce(tx, Kind::AccessEvent, &site, &[("event_id", "e-1")], START);
        self.api.app.storage.write(one).await.unwrap();
    }

    /// Begins what is due, and waits for it.
    async fn deliver(&mut self) {
        self.courier.begin_due().await.unwrap();
        self.courier.settled().await;
    }

    async fn webhook(&self) -> Webhook {
        self.api.app.storage.webhook(&scope(), &WebhookId::new("w-1").unwrap()).await.unwrap().unwrap()
    }

    fn advance(&self, ms: i64) {
        self.api.clock.advance_ms(u32::try_from(ms).unwrap());
    }
}

#[tokio::test]
async fn a_message_is_delivered_once_signed_and_with_its_time() {
    let mut world = World::new().await;
    world.receivers.answers(URL, 204);
    world.announce().await;
    world.deliver().await;
    world.deliver().await;
    let got = world.receivers.got(URL);
    assert_eq!(got.len(), 1);
    let Outgoing { id, timestamp_s, signatures, body, .. } = &got[0];
    assert_eq!(*timestamp_s, START.0 / 1_000);
    let secret = Zeroizing::new(b"a secret of 32 bytes of the test".to_vec());
    assert_eq!(*signatures, signing::signatures(&[secret], id, *timestamp_s, body));
    assert!(id.starts_with("msg_"));
    assert_eq!((world.webhook().await.waiting, world.webhook().await.failing_since), (0, None));
}

#[tokio::test]
async fn a_failed_message_is_tried_on_the_schedule_under_one_id_and_then_given_up_in_the_audit() {
    let mut world = World::new().await;
    world.receivers.answers(URL, 500);
    world.announce().await;
    world.deliver().await;
    for (n, wait_s) in (1..).zip(RETRIES_S) {
        // A tenth less than the schedule at the earliest, a tenth more at the latest.
        world.advance(wait_s * 900 - 1);
        world.deliver().await;
        assert_eq!(world.receivers.got(URL).len(), n, "too early");
        world.advance(wait_s * 200 + 1);
        world.deliver().await;
        assert_eq!(world.receivers.got(URL).len(), n + 1, "retry {n}");
    }
    world.advance(RETRIES_S[8] * 1_000);
    world.deliver().await;
    let got = world.receivers.got(URL);
    assert_eq!(got.len(), 10);
    assert!(got.iter().all(|one| one.id == got[0].id && one.body == got[0].body));
    assert!(
        got.windows(2).all(|two| two[0].timestamp_s < two[1].timestamp_s && two[0].signatures != two[1].signatures)
    );
    let seen = world.webhook().await;
    assert_eq!((seen.waiting, seen.failing_since, seen.disabled_at), (0, Some(START), None));
    let (action, _, target, outcome) = world.api.app.storage.recent_actions(1).await.unwrap().remove(0);
    assert_eq!((&*action, target.as_deref(), &*outcome), (GIVEN_UP, Some(&*got[0].id), "refused"));
}

#[tokio::test]
async fn a_receiver_that_recovers_gets_what_waited() {
    let mut world = World::new().await;
    world.receivers.answers(URL, 302);
    world.announce().await;
    world.deliver().await;
    assert!(world.webhook().await.failing_since.is_some(), "a redirection is no success");
    world.receivers.answers(URL, 200);
    world.advance(6_000);
    world.deliver().await;
    assert_eq!((world.webhook().await.waiting, world.webhook().await.failing_since), (0, None));
}

#[tokio::test]
async fn gone_ends_the_webhook() {
    let mut world = World::new().await;
    world.receivers.answers(URL, 410);
    world.announce().await;
    world.deliver().await;
    world.announce().await;
    world.advance(6_000);
    world.deliver().await;
    assert_eq!(world.receivers.got(URL).len(), 1);
    assert!(world.webhook().await.disabled_at.is_some());
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_no_other_and_has_only_so_many_attempts() {
    let mut world = World::new().await;
    world.register("w-2", OTHER_URL).await;
    world.receivers.answers(OTHER_URL, 200);
    for _ in 0..6 {
        world.announce().await;
    }
    let all_of_the_others = async {
        while world.receivers.got(OTHER_URL).len() < 6 {
            world.courier.begin_due().await.unwrap();
            // Those that hang never end.
            let ended = world.courier.attempts.join_next_with_id().await.unwrap();
            world.courier.ended(ended.map(|(id, ())| id));
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all_of_the_others).await.unwrap();
    world.courier.begin_due().await.unwrap();
    assert_eq!(world.receivers.got(URL).len(), AT_ONCE as usize);
}

#[tokio::test]
async fn what_was_under_way_when_the_cloud_ended_is_sent_again() {
    let mut world = World::new().await;
    world.announce().await;
    world.courier.begin_due().await.unwrap();
    world.receivers.arrived.notified().await;
    // The process ends: the attempt with it.
    world.courier = courier(&world.api, &world.receivers);
    world.receivers.answers(URL, 200);
    world.deliver().await;
    assert_eq!(world.receivers.got(URL).len(), 1, "it may still be under way");
    world.advance(LOST_MS);
    world.deliver().await;
    let got = world.receivers.got(URL);
    assert_eq!((got.len(), &got[1].id), (2, &got[0].id));
    assert_eq!(world.webhook().await.waiting, 0);
}

#[tokio::test]
async fn a_secret_that_does_not_decrypt_is_sent_nowhere_and_shown() {
    let mut world = World::new().await;
    let id = WebhookId::new("w-1").unwrap();
    world.api.app.storage.rotate_webhook_secret(&scope(), &id, vec![7; 60], Timestamp(0)).await.unwrap();
    world.announce().await;
    world.deliver().await;
    assert!(world.receivers.got(URL).is_empty());
    assert_eq!(world.webhook().await.last.unwrap().outcome, Outcome::NotSigned);
}

#[tokio::test]
async fn a_receiver_that_fails_is_asked_seldom_and_its_queue_ends_by_age() {
    let mut world = World::new().await;
    world.receivers.answers(URL, 500);
    // More than two at each step could bring to an end.
    let messages = 130;
    for _ in 0..messages {
        world.announce().await;
    }
    world.deliver().await;
    let mut before = world.receivers.got(URL).len();
    assert_eq!(before, AT_ONCE as usize);
    let wait_ms = 2 * MAX_PAUSE_MS;
    let steps = KEEP_MS / wait_ms;
    for step in 1..=steps {
        world.advance(if step == steps { wait_ms - 1 } else { wait_ms });
        world.deliver().await;
        let got = world.receivers.got(URL).len();
        assert!(got - before <= FAILING_AT_ONCE as usize, "{got} after {before} in step {step}");
        before = got;
    }
    assert!(world.webhook().await.waiting > 0, "nothing is given up early");
    world.advance(1);
    world.deliver().await;
    assert_eq!((world.webhook().await.waiting, world.receivers.got(URL).len()), (0, before));
    let actions = world.api.app.storage.recent_actions(messages).await.unwrap();
    let given_up: std::collections::BTreeSet<_> =
        actions.iter().filter(|one| one.0 == GIVEN_UP).filter_map(|one| one.2.clone()).collect();
    assert_eq!(given_up.len(), messages as usize, "each is in the audit");
    assert_eq!(actions[0].3, EXPIRED);
}

#[tokio::test]
async fn a_receiver_that_is_back_gets_all_at_the_pace_of_before() {
    let mut world = World::new().await;
    world.receivers.answers(URL, 500);
    for _ in 0..20 {
        world.announce().await;
    }
    let mut counts = Vec::new();
    for wait_ms in [0, 3_600_000, 0, MAX_PAUSE_MS - 1, 1] {
        world.advance(wait_ms);
        let before = world.receivers.got(URL).len();
        if counts.len() == 4 {
            world.receivers.answers(URL, 200);
        }
        world.deliver().await;
        counts.push(world.receivers.got(URL).len() - before);
    }
    assert_eq!(counts, [4, 2, 0, 0, 2]);
    for left in [14, 10, 6, 2, 0] {
        world.deliver().await;
        assert_eq!((world.webhook().await.waiting, world.webhook().await.failing_since), (left, None));
    }
}
