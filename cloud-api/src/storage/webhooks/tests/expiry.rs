//! What is too old to be told.

use super::super::expiry::EXPIRED;
use super::*;

#[tokio::test]
async fn what_is_too_old_is_given_up_in_the_audit_oldest_first_and_nothing_else() {
    let api = Api::new().await;
    let storage = &api.app.storage;
    let (own, scope) = (register(storage, &of(CUSTOMER), "own", &Kind::ALL).await, of(CUSTOMER));
    let at = |ms| START.plus_ms(ms);
    for ms in [2, 0, 1] {
        let one = move |tx: &Transaction<'_>| announce(tx, Kind::AccessEvent, &site(), &[("event_id", "e-1")], at(ms));
        storage.write(one).await.unwrap();
    }
    // The outbox hands out the oldest first, too.
    let ids: Vec<String> = take(storage, &own, at(2)).await.into_iter().map(|message| message.message_id).collect();
    assert_eq!(storage.give_up_messages(at(-1), 9, at(5)).await.unwrap(), 0);
    assert_eq!(storage.give_up_messages(at(1), 1, at(5)).await.unwrap(), 1);
    assert_eq!(storage.give_up_messages(at(1), 9, at(6)).await.unwrap(), 1);
    assert_eq!(storage.give_up_messages(at(1), 9, at(7)).await.unwrap(), 0);
    assert_eq!(storage.webhook(&scope, &own).await.unwrap().unwrap().waiting, 1);
    let audited: Vec<_> = storage.audit_entries(&scope, None, 9).await.unwrap();
    let mut given_up: Vec<_> = audited.into_iter().map(|e| (e.at, e.action, e.target, e.outcome)).collect();
    given_up.sort();
    let entry = |ms, id: &String| (at(ms), GIVEN_UP.to_owned(), Some(id.clone()), EXPIRED.to_owned());
    assert_eq!(given_up, [entry(5, &ids[0]), entry(6, &ids[1])]);

    // One that was under way then is not told of twice, whatever becomes of it.
    let failed = Attempt { outcome: Outcome::TimedOut, status: None, next: None };
    storage.settle_message(&own, &ids[0], failed, at(8)).await.unwrap();
    assert_eq!(storage.audit_entries(&scope, None, 9).await.unwrap().len(), 2);
}
