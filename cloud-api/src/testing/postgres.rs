//! PostgreSQL for tests: Debian's server in a scratch folder, on a Unix socket (and, with TLS and a password, on an ephemeral
//! port of this machine), with one database per test.
//!
//! A server takes about two seconds to make and each test is a process of its own, so they share one. Every test process
//! holds a shared lock while it runs; a keeper started by the first of them ends the server, and leaves nothing behind, once
//! it gets that lock for itself.
//!
//! Where Debian's package is missing the tests that need it pass and say so; with `CI` or `CARDEA_REQUIRE_PEERS` set they fail.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::storage::PostgresSettings;

/// Makes the server, and ends it when nobody holds the lock any more. `postgres` refuses to be run by root.
const KEEPER: &str = r#"
set -eu
as=
rm -rf "$ROOT"; mkdir -m 700 "$ROOT"
if [ "$(id -u)" = 0 ]; then
  as="setpriv --reuid=postgres --regid=postgres --init-groups"
  chown postgres:postgres "$ROOT"
fi
cd "$ROOT"
printf %s "$CERTIFICATE" >server.crt; (umask 077; printf %s "$KEY" >server.key; printf %s "$PASSWORD" >password)
if [ "$(id -u)" = 0 ]; then chown postgres:postgres server.* password; fi
$as "$BIN/initdb" -D "$ROOT/data" -U cardea --auth-local=trust --auth-host=scram-sha-256 --pwfile=password -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions >"$ROOT/initdb.log" 2>&1
$as "$BIN/postgres" -D "$ROOT/data" -k "$ROOT" -p "$PORT" -c listen_addresses=127.0.0.1 \
  -c ssl=on -c ssl_cert_file="$ROOT/server.crt" -c ssl_key_file="$ROOT/server.key" -c fsync=off -c full_page_writes=off \
  -c max_connections=200 -c autovacuum=off -c log_error_verbosity=terse >"$ROOT/server.log" 2>&1 &
server=$!
exec 9>>"$LOCK"
while sleep 5 && kill -0 $server; do
  if flock --nonblock 9; then kill -INT $server; wait $server || true; rm -rf "$ROOT"; exit 0; fi
done
"#;

/// What the server wants to hear over TCP.
pub(crate) const PASSWORD: &str = "a secret";

/// How long a busy machine may take to make a server.
const DEADLINE: Duration = Duration::from_secs(90);

/// A database of a test's own.
pub(crate) struct Database {
    name: String,
    folder: PathBuf,
    port: String,
}

/// An empty database; `None` where there is no PostgreSQL and none is demanded.
pub(crate) fn database() -> Option<Database> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = server()?;
    let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let port = port(&folder).unwrap();
    let database = Database { name, folder, port };
    let mut admin = vec![format!("CREATE DATABASE {}", database.name)];
    let ended = "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'";
    for other in database.ask("postgres", ended) {
        let process = other.split('_').nth(1).unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            admin.push(format!("DROP DATABASE IF EXISTS {other} WITH (FORCE)"));
        }
    }
    database.tell("postgres", &admin[0]);
    for sql in &admin[1..] {
        // Another test may be doing the same.
        let _ = database.try_tell("postgres", sql);
    }
    Some(database)
}

impl Database {
    /// How to reach it.
    pub(crate) fn settings(&self) -> PostgresSettings {
        PostgresSettings::new(&self.url(), None, &[]).unwrap()
    }

    /// Its address on the server's socket.
    pub(crate) fn url(&self) -> String {
        self.url_of(&self.name)
    }

    fn url_of(&self, name: &str) -> String {
        format!("postgresql:///{name}?host={}&port={}&user=cardea", self.folder.display(), self.port)
    }

    /// How to reach it over TCP, where the server wants a password and has a certificate for `localhost`.
    pub(crate) fn network_url(&self) -> String {
        format!("postgresql://cardea@localhost:{}/{}?hostaddr=127.0.0.1", self.port, self.name)
    }

    /// The server's certificate, which is its own CA.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    fn try_tell(&self, name: &str, sql: &str) -> Result<Vec<String>, postgres::Error> {
        let (url, sql) = (self.url_of(name), sql.to_owned());
        // The client must not run on one of tokio's threads.
        let asked = std::thread::spawn(move || {
            let messages = postgres::Client::connect(&url, postgres::NoTls)?.simple_query(&sql)?;
            let first = |message: &postgres::SimpleQueryMessage| match message {
                postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            };
            Ok(messages.iter().filter_map(first).collect())
        });
        asked.join().unwrap()
    }

    fn tell(&self, name: &str, sql: &str) {
        self.try_tell(name, sql).unwrap();
    }

    fn ask(&self, name: &str, sql: &str) -> Vec<String> {
        self.try_tell(name, sql).unwrap()
    }

    /// The first column of what a statement yields in this database, as a stranger to the cloud.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        self.ask(&self.name, sql)
    }

    /// The same from outside, where nobody need be let into this database: `{}` stands for its name.
    pub(crate) fn administer(&self, sql: &str) -> Vec<String> {
        self.ask("postgres", &sql.replace("{}", &self.name))
    }

    /// This database as `pg_dump` writes it, in SQL.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let dump = Command::new(programs().unwrap().join("pg_dump")).arg("--dbname").arg(self.url()).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        dump.stdout
    }

    /// Every byte of the files this database is kept in; the server's write-ahead log is not among them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.query("CHECKPOINT");
        let number = self.query("SELECT oid FROM pg_database WHERE datname = current_database()").remove(0);
        let files = std::fs::read_dir(self.folder.join("data/base").join(number)).unwrap();
        // A file may go while it is being looked for.
        files.filter_map(|file| std::fs::read(file.unwrap().path()).ok()).flatten().collect()
    }
}

/// The port a running server has written down (PostgreSQL, section 19.3: fourth line of `postmaster.pid`).
fn port(folder: &Path) -> Option<String> {
    let written = std::fs::read_to_string(folder.join("data/postmaster.pid")).ok()?;
    written.lines().nth(3).map(str::to_owned)
}

/// The folder of the server's socket.
fn server() -> Option<PathBuf> {
    static SERVER: OnceLock<Option<(PathBuf, File)>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref().map(|(folder, _)| folder.clone())
}

/// Takes part in the server, which is made if it is not there. The file is the lock that keeps it.
#[expect(clippy::zombie_processes, reason = "the keeper outlives this process")]
fn start() -> Option<(PathBuf, File)> {
    let Some(programs) = programs() else {
        let missing = "PostgreSQL is not here: setup/packages installs postgresql-15";
        assert!(std::env::var_os("CI").is_none() && std::env::var_os("CARDEA_REQUIRE_PEERS").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
        return None;
    };
    // One per build folder, so that two checkouts do not meet.
    let mut hash = DefaultHasher::new();
    std::env::current_exe().unwrap().parent().hash(&mut hash);
    let root = std::env::temp_dir().join(format!("cardea-postgresql-{:016x}", hash.finish()));
    let open = |what: &str| {
        let path = root.with_extension(what);
        File::options().create(true).append(true).open(&path).map(|file| (path, file)).unwrap()
    };
    let (lock, kept) = open("lock");
    kept.lock_shared().unwrap();
    let (_, one_at_a_time) = open("start");
    one_at_a_time.lock().unwrap();
    let answers = || {
        let Some(port) = port(&root) else { return false };
        let url = format!("postgresql:///postgres?host={}&port={port}&user=cardea", root.display());
        std::thread::spawn(move || postgres::Client::connect(&url, postgres::NoTls).is_ok()).join().unwrap()
    };
    if !answers() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Command::new("bash")
            .args(["-c", KEEPER])
            .env("ROOT", &root)
            .env("LOCK", &lock)
            .env("BIN", programs)
            .env("PASSWORD", PASSWORD)
            .env("PORT", free.to_string())
            .env("CERTIFICATE", identity.cert.pem())
            .env("KEY", identity.signing_key.serialize_pem())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let begun = tokio::time::Instant::now();
        while !answers() {
            assert!(begun.elapsed() < DEADLINE, "PostgreSQL did not start: see {}/*.log", root.display());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
    Some((root, kept))
}

/// The folder of Debian's server programs, of the newest version there is.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<PathBuf> = versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect();
    folders.sort();
    folders.into_iter().rev().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
