//! Each kind of data to its limit, and the documents to the rules.

use cardea_protocol::Timestamp;

use super::rules::RULES;
use super::*;
use crate::config::{Config, ConfigError};
use crate::storage::StorageError;
use crate::storage::engine::Transaction;
use crate::testing::{Api, CONTROLLER, OTHER_SITE, SITE, START};

/// Puts a row of that kind there that is over at `at`.
async fn put(api: &Api, kind: Kind, name: &str, at: Timestamp) {
    let (name, at) = (name.to_owned(), at.0);
    let sql: Vec<String> = match kind {
        Kind::Events => {
            vec![format!("INSERT INTO events VALUES ('{name}', '{SITE}', '{CONTROLLER}', {at}, 0, {at}, NULL, '{{}}')")]
        }
        Kind::Commands => vec![format!(
            "INSERT INTO commands VALUES ('{name}', '{SITE}', 'p', 'admin', NULL, 'sent', NULL, {at}, NULL, NULL)"
        )],
        Kind::Changes => vec![format!(
            "INSERT INTO changes SELECT '{SITE}', count(*) + 1, 'plate-removed', '{name}', {at} FROM changes"
        )],
        Kind::Answers => vec![format!(
            "INSERT INTO idempotent_answers (principal_id, idempotency_key, fingerprint, begun_at) SELECT 'admin', '{name}', wrapped_key, {at} FROM subject_keys"
        )],
        Kind::Consents => vec![
            format!("INSERT INTO consents VALUES ('{name}', '{SITE}', '{name}', 'v', 0, 'e', 0, {at}, 'withdrawal')"),
            format!("INSERT INTO consents VALUES ('active-{name}', '{SITE}', '{name}', 'v', 0, 'e', 0, NULL, NULL)"),
        ],
        Kind::Erasures => vec![
            format!("INSERT INTO erasures VALUES ('{name}', '{SITE}', 's', 'consent-withdrawn', NULL, 0, 1, {at})"),
            format!("INSERT INTO erasure_controllers VALUES ('{name}', '{CONTROLLER}', 'jws', 1, 0)"),
            format!(
                "INSERT INTO erasures VALUES ('open-{name}', '{SITE}', 's', 'consent-withdrawn', NULL, 0, 1, NULL)"
            ),
        ],
        Kind::Plates => vec![
            format!(
                "INSERT INTO plates SELECT '{name}', '{SITE}', wrapped_key, wrapped_key, NULL, NULL, 0, NULL, {at}, 0
                 FROM subject_keys"
            ),
            // For good, and at another site: a site has a plate once.
            format!(
                "INSERT INTO plates SELECT 'always-{name}', '{OTHER_SITE}', wrapped_key, wrapped_key, NULL, NULL, 0, NULL, NULL, 0
                 FROM subject_keys"
            ),
        ],
        Kind::Cards => vec![format!(
            "INSERT INTO cards SELECT '{name}', '{SITE}', wrapped_key, wrapped_key, NULL, NULL, {at}, 0 FROM subject_keys"
        )],
        Kind::GuestPasses => {
            vec![format!(
                "INSERT INTO guest_passes VALUES ('{name}', '{SITE}', NULL, NULL, 1, 0, {at}, 0, NULL, NULL, NULL)"
            )]
        }
        Kind::Logins => vec![
            format!("INSERT INTO refresh_families VALUES ('{name}', 'admin', 't', 1, {at}, NULL)"),
            format!("INSERT INTO logins VALUES ('{name}', 'admin', 0, 0)"),
            format!("INSERT INTO refresh_tokens SELECT wrapped_key, '{name}', {at}, 0, NULL FROM subject_keys"),
        ],
        Kind::Codes => vec![format!(
            "INSERT INTO authorization_codes SELECT wrapped_key, 'admin', 'admin', 'u', 'c', 0, NULL, 0, {at}, NULL, NULL FROM subject_keys"
        )],
        Kind::RevokedTokens => vec![format!("INSERT INTO revoked_tokens VALUES ('{name}', {at})")],
    };
    let blob = name.clone().into_bytes();
    let work = move |tx: &Transaction<'_>| {
        // Bytes for whatever needs some: both databases write them differently as text.
        tx.execute("DELETE FROM subject_keys", [])?;
        let key = crate::storage::engine::params![SITE, "s", blob];
        tx.execute("INSERT INTO subject_keys VALUES (?1, ?2, ?3)", key)?;
        sql.iter().try_for_each(|sql| tx.execute(sql, []).map(drop))
    };
    let put: Result<(), StorageError> = api.app.storage.write(work).await;
    put.unwrap();
}

fn later(api: &Api, ms: i64) {
    api.clock.set_wall(api.app.now().plus_ms(ms));
}

fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Events => "events",
        Kind::Commands => "commands",
        Kind::Changes => "changes",
        Kind::Answers => "idempotent_answers",
        Kind::Consents => "consents",
        Kind::Erasures => "erasures",
        Kind::Plates => "plates",
        Kind::Cards => "cards",
        Kind::GuestPasses => "guest_passes",
        Kind::Logins => "refresh_families",
        Kind::Codes => "authorization_codes",
        Kind::RevokedTokens => "revoked_tokens",
    }
}

async fn count(api: &Api, kind: Kind) -> i64 {
    let sql = format!("SELECT count(*) FROM {}", table(kind));
    let count: Result<i64, StorageError> =
        api.app.storage.read(move |tx| tx.query_row(&sql, [], |row| row.get(0))).await;
    count.unwrap()
}

#[tokio::test]
async fn each_kind_stays_to_its_limit_and_is_gone_a_moment_later() {
    for kind in Kind::ALL {
        let api = Api::new().await;
        put(&api, kind, "old", START).await;
        let stays = count(&api, kind).await - 1;
        put(&api, kind, "young", START.plus_ms(1_000)).await;
        let all = count(&api, kind).await;
        let kept_ms = kind.kept_ms(&api.app.config.retention);
        later(&api, kept_ms);
        apply(&api.app).await.unwrap();
        assert_eq!(count(&api, kind).await, all, "{kind:?}: to the limit");
        later(&api, 1);
        let counts = apply(&api.app).await.unwrap();
        assert!(counts.split(' ').any(|said| said == format!("{}=1", kind.name())), "{kind:?}: {counts}");
        assert_eq!(count(&api, kind).await, all - 1, "{kind:?}: past it, the younger stays");
        later(&api, 1_000);
        apply(&api.app).await.unwrap();
        assert_eq!(count(&api, kind).await, stays * 2, "{kind:?}: what has no end stays");
    }
}

#[tokio::test]
async fn more_than_a_batch_goes_and_the_run_is_in_the_audit_with_its_counts() {
    let api = Api::new().await;
    api.add_events(1_203).await;
    later(&api, i64::from(api.app.config.retention.events_days) * 86_400_000 + 5_000);
    assert_eq!(apply(&api.app).await.unwrap(), "events=1203");
    let newest = api.app.storage.recent_actions(1).await.unwrap().remove(0);
    assert_eq!(newest, (ACTION.to_owned(), None, Some("events=1203".to_owned()), "done".to_owned()));
    assert_eq!(apply(&api.app).await.unwrap(), "nothing");
}

#[tokio::test]
async fn controllers_are_told_of_what_has_expired() {
    let api = Api::new().await;
    put(&api, Kind::Plates, "guest", START).await;
    let before = api.revision().await;
    later(&api, Kind::Plates.kept_ms(&api.app.config.retention) + 1);
    apply(&api.app).await.unwrap();
    assert_eq!(api.revision().await, before + 1);
}

#[tokio::test]
async fn the_audit_ends_too_and_what_is_left_verifies() {
    let api = Api::new().await;
    apply(&api.app).await.unwrap();
    let days = i64::from(api.app.config.retention.audit_days) * 86_400_000;
    later(&api, days);
    assert_eq!(apply(&api.app).await.unwrap(), "nothing", "to the limit");
    later(&api, 1);
    assert_eq!(apply(&api.app).await.unwrap(), "audit=2");
    let verifier = api.app.signing.verifier().unwrap();
    let summary = audit::check(&api.app.storage, &verifier, None, |_| {}).await.unwrap();
    assert_eq!((summary.first, summary.last), (3, 6));
}

#[tokio::test]
async fn it_is_due_once_a_day_whoever_ran_last() {
    let api = Api::new().await;
    assert!(due(&api.app).await.unwrap());
    apply(&api.app).await.unwrap();
    assert!(!due(&api.app).await.unwrap());
    later(&api, DAY_MS - 1);
    assert!(!due(&api.app).await.unwrap());
    later(&api, 1);
    assert!(due(&api.app).await.unwrap());
}

#[test]
fn what_is_outside_the_limits_is_refused_with_the_limits() {
    let small =
        "data_dir = 'd'\n[server]\npublic_names = ['localhost']\n[client_ca]\nfiles = ['ca.pem']\n[retention]\n";
    for (key, default, min, max, _) in RULES {
        assert!((min..=max).contains(&default), "{key}");
        let parse = |days: u32| Config::parse(&format!("{small}{} = {days}\n", key.trim_start_matches("retention.")));
        assert!(parse(*min).is_ok() && parse(*max).is_ok(), "{key}");
        for days in [min - 1, max + 1, 0] {
            let refused = parse(days).unwrap_err();
            assert!(matches!(&refused, ConfigError::Value { key: named, .. } if named == key), "{refused}");
            assert!(refused.to_string().contains(&format!("{min} to {max} days")), "{refused}");
        }
    }
    assert!(Config::parse(&format!("{small}for_ever = 1\n")).is_err());
}

#[test]
fn the_reference_says_every_rule_as_it_is() {
    let reference = include_str!("../../../docs/reference/cloud-config.md");
    for (key, default, min, max, _) in RULES {
        let line =
            reference.lines().find(|line| line.starts_with(&format!("| `{key}` | {default} |"))).unwrap_or_default();
        assert!(line.contains(&format!("{min} to {max}")), "{key}: {line:?}");
    }
}
