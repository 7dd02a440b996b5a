//! PostgreSQL: one connection, made anew when it is lost.
//!
//! A write takes an advisory lock first, so there is one writer per database, however many processes there are: what the
//! operations rely on with SQLite holds here too, and no write fails because of another one of ours. A read sees one
//! snapshot. Errors carry PostgreSQL's code and the name of a constraint, never its message: that may quote a row.

mod settings;

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Statement};

use super::{Access, Cell, Cells, Engine, Row, dialect};
use crate::storage::StorageError;
pub use settings::{AddressError, PostgresSettings};

/// `pg_advisory_xact_lock` of every write: "cardea" in ASCII.
const WRITER: i64 = 0x6361_7264_6561;

/// How often, twenty times a second, a scrub looks whether the transactions of others have ended.
const LOOKS: u32 = 100;

/// What every session begins with. Another writer that is waited for longer than this has hung; one that hung in a
/// transaction is ended by the server. An answer means that the change is on the disk.
const SESSION: &str = "
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";

/// A database on a server.
pub(in crate::storage) struct Postgres {
    settings: PostgresSettings,
    session: RefCell<Option<Session>>,
}

struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
    in_transaction: bool,
}

impl Postgres {
    /// Connects. Must not be called from an async task: the client blocks.
    pub(in crate::storage) fn connect(settings: PostgresSettings) -> Result<Self, StorageError> {
        let postgres = Self { settings, session: RefCell::new(None) };
        postgres.reconnect()?;
        Ok(postgres)
    }

    /// Runs `work` in the session; one that is lost is let go.
    fn with<T>(&self, work: impl FnOnce(&mut Session) -> Result<T, postgres::Error>) -> Result<T, StorageError> {
        let mut session = self.session.borrow_mut();
        let result =
            session.as_mut().ok_or(StorageError::Lost).and_then(|session| work(session).map_err(|e| refusal(&e)));
        if matches!(result, Err(StorageError::Lost)) {
            *session = None;
        }
        result
    }

    fn command(&self, sql: &str) -> Result<(), StorageError> {
        self.with(|session| session.client.batch_execute(sql))
    }

    /// Waits for the transactions of others that may still see what was deleted: VACUUM leaves such rows where they are. A
    /// transaction that writes holds them in every database of the server, one that reads in its own only. Whether none is left.
    fn outlast_others(&self) -> Result<bool, StorageError> {
        let mut now = (0_i64, String::new());
        let sql = "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT),
            CAST(clock_timestamp() AS TEXT)";
        self.query(sql, &[], &mut |row| {
            now = (row.get(0)?, row.get(1)?);
            Ok(())
        })?;
        // Sessions of other roles are seen by members of pg_read_all_stats only.
        let sql = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT) >= ?1 AND NOT EXISTS (
                SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_xmin IS NOT NULL AND xact_start < CAST(CAST(?2 AS TEXT) AS TIMESTAMPTZ))";
        for _ in 0..LOOKS {
            let mut gone = false;
            self.query(sql, &[Cell::Integer(now.0), Cell::Text(&now.1)], &mut |row| {
                gone = row.get(0)?;
                Ok(())
            })?;
            if gone {
                return Ok(true);
            }
            self.command("SELECT pg_sleep(0.05)")?;
        }
        Ok(false)
    }
}

impl Session {
    fn statement(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&dialect::statement(sql))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn refusal(error: &postgres::Error) -> StorageError {
    let Some(refused) = error.as_db_error() else {
        let broken = error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>());
        return if broken {
            StorageError::Lost
        } else {
            StorageError::Postgres { code: "driver".into(), what: String::new() }
        };
    };
    match refused.code().code() {
        "40001" | "40P01" => StorageError::Conflict,
        "55P03" => StorageError::Busy,
        // The server ends the session, or has ended it: shutdown, crash, timeouts, a broken line.
        code if code.starts_with("57P") || code.starts_with("08") || code == "25P03" => StorageError::Lost,
        code => StorageError::Postgres {
            code: code.to_owned(),
            what: refused.constraint().or(refused.table()).unwrap_or_default().to_owned(),
        },
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => match *ty {
                Type::INT8 => value.to_sql(ty, out),
                Type::INT4 => i32::try_from(value)?.to_sql(ty, out),
                Type::BOOL => (value != 0).to_sql(ty, out),
                _ => Err("a number is no value for this column".into()),
            },
            Self::Text(value) if <&str as ToSql>::accepts(ty) => value.to_sql(ty, out),
            Self::Blob(value) if *ty == Type::BYTEA => value.to_sql(ty, out),
            Self::Text(_) | Self::Blob(_) => Err("no value for this column".into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Integer(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::Blob(raw),
            _ => Self::Text(<&str>::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::BOOL | Type::BYTEA) || <&str as FromSql>::accepts(ty)
    }
}

impl Cells for postgres::Row {
    fn cell(&self, column: usize) -> Result<Cell<'_>, StorageError> {
        self.try_get(column).map_err(|_| StorageError::Corrupt("value"))
    }
}

impl Engine for Postgres {
    fn execute(&self, sql: &str, params: &[Cell<'_>]) -> Result<usize, StorageError> {
        let changed = self.with(|session| {
            let statement = session.statement(sql)?;
            session.client.execute(&statement, &as_sql(params))
        })?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn query(
        &self,
        sql: &str,
        params: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let rows = self.with(|session| {
            let statement = session.statement(sql)?;
            session.client.query(&statement, &as_sql(params))
        })?;
        rows.iter().try_for_each(|row| each(&Row(row)))
    }

    fn batch(&self, sql: &str) -> Result<(), StorageError> {
        self.command(sql)
    }

    fn begin(&self, access: Access) -> Result<(), StorageError> {
        // A snapshot taken before the lock would be older than what the writer before us has left: read committed.
        let sql = match access {
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            Access::Write => format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITER})"),
        };
        self.with(|session| {
            session.in_transaction = true;
            session.client.batch_execute(&sql)
        })
    }

    fn commit(&self) -> Result<(), StorageError> {
        let committed = self.with(|session| {
            session.client.batch_execute("COMMIT")?;
            session.in_transaction = false;
            Ok(())
        });
        committed.map_err(|error| if matches!(error, StorageError::Lost) { StorageError::Unsettled } else { error })
    }

    fn rollback(&self) {
        if self.in_transaction() {
            // A session that cannot even do this is lost, and its transaction with it.
            let _ = self.with(|session| {
                session.in_transaction = false;
                session.client.batch_execute("ROLLBACK")
            });
        }
    }

    fn in_transaction(&self) -> bool {
        self.session.borrow().as_ref().is_some_and(|session| session.in_transaction)
    }

    fn reconnect(&self) -> Result<(), StorageError> {
        let mut session = self.session.borrow_mut();
        *session = None;
        let mut client = self.settings.connect()?;
        client.batch_execute(SESSION).map_err(|error| refusal(&error))?;
        *session = Some(Session { client, statements: HashMap::new(), in_transaction: false });
        Ok(())
    }

    /// Writes the small tables that hold keys, plates and cards anew, so that their old files go, and cleans the large one,
    /// whose rows are noise without their keys. What the write-ahead log, archives and base backups keep is the operator's.
    fn scrub(&self) -> Result<(), StorageError> {
        let alone = self.outlast_others()?;
        self.command("VACUUM (FULL) subject_keys, plates, cards, template_holders")?;
        self.command("VACUUM templates, consents")?;
        // The old files, truncated by now, go with the next checkpoint, and log before it can be recycled.
        match self.command("CHECKPOINT") {
            Err(StorageError::Postgres { code, .. }) if code == "42501" => {}
            other => other?,
        }
        if alone { Ok(()) } else { Err(StorageError::Lingering) }
    }

    /// All tables that the role owns, and what the server has sampled of their columns (`pg_statistic`), if it owns the database.
    fn rewrite(&self) -> Result<(), StorageError> {
        self.command("VACUUM (FULL)")
    }

    fn schema_version(&self) -> Result<i64, StorageError> {
        self.batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
        let mut version = 0;
        self.query("SELECT version FROM schema_version", &[], &mut |row| {
            version = row.get(0)?;
            Ok(())
        })?;
        Ok(version)
    }

    fn take_step(&self, step: &str, version: i64) -> Result<(), StorageError> {
        self.batch(&dialect::schema(step))?;
        self.batch(&format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({version})"))
    }
}

fn as_sql<'a>(params: &'a [Cell<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}
