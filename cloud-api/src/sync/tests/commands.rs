//! Orders to open.

use cardea_protocol::id::{AccessPointId, CommandId};
use cardea_protocol::message::{Command, CommandOutcome, Down, MAX_COMMAND_LIFE_MS, Up};

use super::broker::{On, on_each_broker};
use super::cloud::Cloud;
use super::controller::{Controller, Talk};
use crate::sync::{OpenError, SyncSettings};

async fn command(talk: &mut Talk) -> Command {
    match talk.next().await {
        Down::Command(command) => command,
        other => panic!("a command, not {other:?}"),
    }
}

fn open(cloud: &Cloud, point: &AccessPointId) -> tokio::task::JoinHandle<Result<CommandOutcome, OpenError>> {
    let (sync, point, site) = (cloud.sync.clone(), point.clone(), cloud.site.clone());
    tokio::spawn(async move { sync.open(CommandId::random(), &point, &site).await })
}

/// In session, which the first statement of freshness shows.
async fn in_session(gate: &Controller, cloud: &Cloud) -> Talk {
    let mut talk = gate.begin(cloud).await;
    assert!(matches!(talk.next_any().await, Down::Freshness { .. }));
    talk
}

async fn an_order_is_for_this_boot_is_short_lived_and_ends_with_its_final_outcome(on: On) {
    let cloud = Cloud::start(on).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let point = gate.access_point().id;
    let mut talk = in_session(&gate, &cloud).await;
    let before = cloud.now();
    let waiting = open(&cloud, &point);
    let order = command(&mut talk).await;
    assert_eq!((&order.boot_id, &order.access_point), (&gate.boot, &point));
    let life = order.expires_at.since_ms(before);
    assert!(life > 0 && life <= MAX_COMMAND_LIFE_MS, "{life}");
    let result = |outcome| Up::CommandResult { command_id: order.command_id.clone(), outcome };
    talk.say(result(CommandOutcome::Accepted)).await;
    let confirmed = talk.say(result(CommandOutcome::Confirmed)).await;
    assert_eq!(waiting.await.unwrap().unwrap(), CommandOutcome::Confirmed);

    // The outcome of the first, replayed and repeated, is not the outcome of the second.
    let waiting = open(&cloud, &point);
    let second = command(&mut talk).await;
    talk.publish(confirmed).await;
    talk.say(result(CommandOutcome::Confirmed)).await;
    let refusal = CommandOutcome::Refused { reason: "interlocked".to_owned() };
    talk.say(Up::CommandResult { command_id: second.command_id, outcome: refusal.clone() }).await;
    assert_eq!(waiting.await.unwrap().unwrap(), refusal);
}

async fn nothing_is_sent_to_who_is_away(on: On) {
    let cloud = Cloud::with(on, SyncSettings { freshness_interval_ms: 60_000, command_wait_ms: 1_000 }).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let point = gate.access_point().id;
    assert!(matches!(open(&cloud, &point).await.unwrap(), Err(OpenError::UnknownAccessPoint)), "not reported yet");
    let talk = in_session(&gate, &cloud).await;
    let elsewhere = AccessPointId::new("elsewhere").unwrap();
    assert!(matches!(open(&cloud, &elsewhere).await.unwrap(), Err(OpenError::UnknownAccessPoint)));

    talk.pipe.leave();
    loop {
        match open(&cloud, &point).await.unwrap() {
            Err(OpenError::Unreachable) => break,
            // Sent before the disconnection was noticed; it ends with the session.
            Err(OpenError::Unanswered) => {}
            other => panic!("{other:?}"),
        }
    }
    // Back again, it hears nothing of what it missed.
    let mut talk = in_session(&gate, &cloud).await;
    let waiting = open(&cloud, &point);
    let order = command(&mut talk).await;
    talk.say(Up::CommandResult { command_id: order.command_id, outcome: CommandOutcome::NotConfirmed }).await;
    assert_eq!(waiting.await.unwrap().unwrap(), CommandOutcome::NotConfirmed);
}

async fn an_unanswered_order_says_so_and_an_accepted_one_is_accepted(on: On) {
    let cloud = Cloud::with(on, SyncSettings { freshness_interval_ms: 60_000, command_wait_ms: 300 }).await;
    let gate = Controller::claimed(&cloud, "gate-1").await;
    let point = gate.access_point().id;
    let mut talk = in_session(&gate, &cloud).await;
    let waiting = open(&cloud, &point);
    let order = command(&mut talk).await;
    assert!(matches!(waiting.await.unwrap(), Err(OpenError::Unanswered)));
    if !cloud.has_hooks() {
        // Nothing but this tells that the controller is gone: it is to begin again.
        assert!(matches!(talk.next().await, Down::Reconnect { .. }));
        talk = in_session(&gate, &cloud).await;
    }
    // Its outcome comes too late: nobody waits, nothing breaks.
    talk.say(Up::CommandResult { command_id: order.command_id, outcome: CommandOutcome::Confirmed }).await;

    let waiting = open(&cloud, &point);
    let order = command(&mut talk).await;
    talk.say(Up::CommandResult { command_id: order.command_id, outcome: CommandOutcome::Accepted }).await;
    assert_eq!(waiting.await.unwrap().unwrap(), CommandOutcome::Accepted);
}

on_each_broker! {
    an_order_is_for_this_boot_is_short_lived_and_ends_with_its_final_outcome,
    nothing_is_sent_to_who_is_away,
    an_unanswered_order_says_so_and_an_accepted_one_is_accepted,
}
