use crate::storage::engine::{Engine, Postgres, Sqlite};
use crate::storage::{STEPS, StorageError, migrate, prepare};
use crate::testing::file_keys;
use crate::testing::postgres::database;

/// Everything SQLite knows of its tables, one line each.
const IN_SQLITE: &str = "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
/// The same of PostgreSQL: columns, constraints, indexes.
const IN_POSTGRESQL: &str = "
    SELECT table_name || '.' || column_name || ': ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
        || ' ' || coalesce(collation_name, '') || ' ' || is_identity
        FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";

/// For steps that are SQL alone.
fn no_more(_: i64) -> Result<(), StorageError> {
    Ok(())
}

fn texts(engine: &dyn Engine, sql: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut each = |row: &crate::storage::engine::Row<'_>| {
        texts.push(row.get(0)?);
        Ok(())
    };
    engine.query(sql, &[], &mut each).unwrap();
    texts
}

/// From each version there was, a database with a row in it is taken along and looks like one that never was older.
fn taken_along<T: Engine>(empty: impl Fn() -> T, everything: &str) {
    let fresh = empty();
    migrate(&fresh, &STEPS, no_more).unwrap();
    let expected = texts(&fresh, everything);
    assert!(expected.len() > STEPS.len() * 2);
    for version in 1..STEPS.len() {
        let old = empty();
        migrate(&old, &STEPS[..version], no_more).unwrap();
        old.batch("INSERT INTO sites VALUES ('house-1', 'an address', 1, 0)").unwrap();
        old.batch("INSERT INTO changes VALUES ('house-1', 1, 'plate-removed', 'p-1', 0)").unwrap();
        migrate(&old, &STEPS, no_more).unwrap();
        assert_eq!(texts(&old, everything), expected, "from version {version}");
        assert_eq!(texts(&old, "SELECT ref_id FROM changes"), ["p-1"], "from version {version}");
        migrate(&old, &STEPS, no_more).unwrap();
    }
}

/// A database of a later version is left alone.
fn refused<T: Engine>(empty: T) {
    let later: Vec<&str> = STEPS.into_iter().chain(["CREATE TABLE later (id TEXT PRIMARY KEY)"]).collect();
    migrate(&empty, &later, no_more).unwrap();
    let found = i64::try_from(later.len()).unwrap();
    assert!(matches!(migrate(&empty, &STEPS, no_more), Err(StorageError::TooNew { found: is }) if is == found));
    assert!(!empty.in_transaction());
    assert!(texts(&empty, "SELECT id FROM later").is_empty());
}

/// A step that fails leaves the version before it whole.
fn undone<T: Engine>(empty: T) {
    let broken = [STEPS[0], "CREATE TABLE half (id TEXT PRIMARY KEY); INSERT INTO nowhere VALUES (1)"];
    assert!(migrate(&empty, &broken, no_more).is_err());
    migrate(&empty, &STEPS, no_more).unwrap();
    assert!(empty.query("SELECT id FROM half", &[], &mut |_| Ok(())).is_err());
}

#[test]
fn sqlite_is_taken_along() {
    taken_along(|| Sqlite::in_memory().unwrap(), IN_SQLITE);
    refused(Sqlite::in_memory().unwrap());
    undone(Sqlite::in_memory().unwrap());
}

#[test]
fn postgresql_is_taken_along() {
    if database().is_none() {
        return;
    }
    let empty = || Postgres::connect(database().unwrap().settings()).unwrap();
    taken_along(empty, IN_POSTGRESQL);
    refused(empty());
    undone(empty());
}

/// Rows of the audit from before it was a chain are in it after the first start, in their order.
fn audit_taken_in<T: Engine>(empty: T) {
    migrate(&empty, &STEPS[..4], no_more).unwrap();
    for (action, outcome) in [("admit_plate", "done"), ("token", "invalid_grant"), ("sell_property", "begun")] {
        let row =
            format!("INSERT INTO audit (at, principal_id, action, outcome) VALUES (5, 'p', '{action}', '{outcome}')");
        empty.batch(&row).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = prepare(empty, file_keys(folder.path())).unwrap();
    let told = "SELECT entry || ' ' || at || ' ' || action || ' ' || outcome FROM audit ORDER BY entry";
    assert_eq!(texts(&engine, told), ["1 5 admit_plate done", "2 5 token invalid_grant", "3 5 sell_property begun"]);
    assert!(texts(&engine, "SELECT action FROM audit_unchained").is_empty());
    let hashes = texts(&engine, "SELECT hash FROM audit ORDER BY entry");
    let (engine, _) = prepare(engine, file_keys(folder.path())).unwrap();
    assert_eq!(texts(&engine, "SELECT hash FROM audit ORDER BY entry"), hashes, "once");
}

#[test]
fn an_audit_from_before_the_chain_is_taken_into_it() {
    audit_taken_in(Sqlite::in_memory().unwrap());
    if let Some(database) = database() {
        audit_taken_in(Postgres::connect(database.settings()).unwrap());
    }
}
