//! Disks that outlive the programs that use them, fill up, and lose power at any commit.
//!
//! A disk is a SQLite database in memory that several connections share, as they would a file (SQLite's `memdb` VFS). What is
//! committed is on it; what is not is gone with its connection. A commit hook is where commits are counted and refused.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Notify;

/// Tells the disks of all worlds of this process apart.
static DISKS: AtomicU64 = AtomicU64::new(0);

/// One run of a machine on its disks.
#[derive(Clone, Debug)]
pub(super) struct Power(Arc<Supply>);

#[derive(Debug)]
struct Supply {
    off: AtomicBool,
    /// Commits until it fails; negative: it does not.
    left: AtomicI64,
    /// Whether the commit at which it fails is made.
    last_is_made: AtomicBool,
    failed: Arc<Notify>,
}

impl Power {
    /// On. When it fails by itself, `failed` is told.
    pub(super) fn on(failed: Arc<Notify>) -> Self {
        Self(Arc::new(Supply {
            off: AtomicBool::new(false),
            left: AtomicI64::new(-1),
            last_is_made: AtomicBool::new(false),
            failed,
        }))
    }

    /// Fails at the commit after `commits` more, which is made or not.
    pub(super) fn fail_after(&self, commits: u32, last_is_made: bool) {
        self.0.last_is_made.store(last_is_made, Ordering::SeqCst);
        self.0.left.store(i64::from(commits), Ordering::SeqCst);
    }

    /// Fails now.
    pub(super) fn cut(&self) {
        self.0.off.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.off.load(Ordering::SeqCst)
    }

    /// Whether a commit is refused.
    fn refuses(&self) -> bool {
        if self.is_off() {
            return true;
        }
        let left = self.0.left.load(Ordering::SeqCst);
        if left < 0 {
            return false;
        }
        self.0.left.store(left - 1, Ordering::SeqCst);
        if left > 0 {
            return false;
        }
        self.cut();
        self.0.failed.notify_one();
        !self.0.last_is_made.load(Ordering::SeqCst)
    }
}

/// A disk.
pub(super) struct Disk {
    uri: String,
    /// Keeps it, and reads what is committed.
    anchor: Mutex<Connection>,
    full: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Disk {
    /// An empty one.
    pub(super) fn new(name: &str) -> Result<Self> {
        let uri = format!("file:/{name}-{}?vfs=memdb", DISKS.fetch_add(1, Ordering::Relaxed));
        let anchor = connect(&uri)?;
        Ok(Self {
            uri,
            anchor: Mutex::new(anchor),
            full: Arc::default(),
            commits: Arc::default(),
            refused: Arc::default(),
        })
    }

    /// A disk with the same content.
    pub(super) fn copy(&self, name: &str) -> Result<Self> {
        let copy = Self::new(name)?;
        self.read(|connection| Ok(connection.execute("VACUUM INTO ?1", [&copy.uri])?))?;
        Ok(copy)
    }

    /// A connection for a program that runs on `power`.
    pub(super) fn open(&self, power: &Power) -> Result<Connection> {
        let mut connection = connect(&self.uri)?;
        let (power, full) = (power.clone(), self.full.clone());
        let (commits, refused) = (self.commits.clone(), self.refused.clone());
        connection.commit_hook(Some(move || {
            commits.fetch_add(1, Ordering::Relaxed);
            let refuses = power.refuses() || full.load(Ordering::SeqCst);
            if refuses {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            refuses
        }))?;
        Ok(connection)
    }

    /// Whether it takes nothing more.
    pub(super) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    /// Looks at what is committed.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        look(&self.anchor.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn connect(uri: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(uri, flags)?)
}
