//! Which broker a test runs on: the one inside the cloud, or Mosquitto (Debian's package), started in a scratch folder with the
//! configuration that is shipped. Where it is missing, its tests pass and say so; with `CI` or `CARDEA_REQUIRE_PEERS` set they fail.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::controller::PATIENCE;

const CONFIGURATION: &str = include_str!("../../../../systemd/mosquitto/cardea.conf");
const TOPICS: &str = include_str!("../../../../systemd/mosquitto/topics.acl");
const PROGRAM: &str = "/usr/sbin/mosquitto";

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    Embedded,
    Mosquitto,
}

/// Each of these runs once on either broker.
macro_rules! on_each_broker {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::sync::tests::broker::On::Embedded).await;
            })+
        }
        mod mosquitto {
            $(#[tokio::test]
            async fn $test() {
                if crate::sync::tests::broker::installed() {
                    super::$test(crate::sync::tests::broker::On::Mosquitto).await;
                }
            })+
        }
    };
}
pub(super) use on_each_broker;

/// Whether Mosquitto is here.
pub(super) fn installed() -> bool {
    let here = Path::new(PROGRAM).exists();
    if !here {
        let missing = "Mosquitto is not here: setup/packages installs it";
        assert!(std::env::var_os("CI").is_none() && std::env::var_os("CARDEA_REQUIRE_PEERS").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    here
}

/// A port that was free a moment ago; Mosquitto takes no "any".
pub(super) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A running Mosquitto. Ends when dropped.
pub(super) struct Mosquitto {
    child: Child,
    folder: PathBuf,
    pub(super) port: u16,
}

impl Mosquitto {
    /// Starts with the files that are in `folder` already.
    pub(super) async fn start(folder: &Path, port: u16) -> Self {
        let in_folder = |text: &str| {
            let here = format!("{}/", folder.display());
            text.replace("/etc/mosquitto/cardea/", &here).replace("/var/lib/cardea-broker/", &here)
        };
        let configuration = in_folder(CONFIGURATION).replace("listener 8883", &format!("listener {port} 127.0.0.1"));
        // Run by root, it would become a user who cannot read this folder.
        std::fs::write(folder.join("mosquitto.conf"), configuration + "\nuser root\nlog_type all\n").unwrap();
        std::fs::write(folder.join("topics.acl"), TOPICS).unwrap();
        let mut mosquitto = Self { child: spawn(folder), folder: folder.to_owned(), port };
        mosquitto.running().await;
        mosquitto
    }

    async fn running(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(" running") {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "Mosquitto does not run: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default()
    }

    /// Ends it as a power cut does.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was.
    pub(super) async fn start_again(&mut self) {
        self.child = spawn(&self.folder);
        self.running().await;
    }

    /// Has it read its files again, as `systemctl reload` does.
    pub(super) async fn reload(&self) {
        let told = self.log().matches("Reloading config").count();
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches("Reloading config").count() == told {
            assert!(Instant::now() < deadline, "no reload: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("mosquitto.log")).unwrap();
    let configuration = folder.join("mosquitto.conf");
    Command::new(PROGRAM).arg("-c").arg(configuration).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
