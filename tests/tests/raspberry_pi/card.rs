//! The memory card of the emulated Raspberry Pi: Debian's kernel's initial file system, with the programs where the package
//! puts them, and a controller that already knows one plate and one card.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use cardea_access::card::CardNumber;
use cardea_daemon::identity::StateDir;
use cardea_daemon::store::{ChangesBatch, DeviceKey, Opener, Store, StoreOptions};
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{CardId, ControllerId, PlateId, Revision};
use cardea_protocol::message::{CardEntry, Change, PlateEntry, Validity};
use cardea_protocol::seal::OpeningKey;
use cardea_tests::look::base_pack;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use tempfile::TempDir;

pub(crate) const CONFIG: &str = "/etc/cardea/cardead.toml";
pub(crate) const ONNXRUNTIME: &str = "/usr/lib/cardea/libonnxruntime.so";
pub(crate) const PACK: &str = "/usr/share/cardea/models/base";
/// What the camera shows: `/srv/scene.jpg` is a link to one of the pictures beside it.
pub(crate) const SCENE: &str = "/srv/scene.jpg";
/// The number of the one card that every controller here admits.
pub(crate) const CARD_NUMBER: &str = "w26:12:34567";

/// The pictures that lie in `/srv`, of `.tools/samples`.
const PICTURES: [&str; 3] = ["car-day.jpg", "car-other.jpg", "yard.jpg"];
/// What the programs and ONNX Runtime are linked with.
const LIBRARIES: [&str; 7] =
    ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6"];
/// The first process. It does what it is told on the console, one line at a time, and says how that ended.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debugfs /sys/kernel/debug
stty raw -echo < /dev/console
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up
echo "@ready"
while read -r number line; do
  eval "$line" < /dev/null
  echo "@end $number $?"
done
"#;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A file of the set-up or of the cross-build, which must be there.
pub(crate) fn needed(path: &str) -> PathBuf {
    let full = root().join(path);
    assert!(full.exists(), "{} is missing: this test is run by `make test-pi`", full.display());
    full
}

/// A sample picture at half its size, as a camera's second stream has it: a quarter of the work for an emulated processor.
pub(crate) fn picture(name: &str) -> Vec<u8> {
    let sample = image::open(needed(&format!(".tools/samples/{name}"))).unwrap();
    let half = sample.resize(sample.width() / 2, sample.height() / 2, FilterType::Triangle);
    let mut jpeg = Vec::new();
    half.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 90)).unwrap();
    jpeg
}

/// Writes the card: a file that the kernel unpacks into memory. `config` is the controller's configuration, `plate` the one
/// it admits.
pub(crate) async fn write(config: &str, plate: &str, to: &Path) {
    let folder = TempDir::new().unwrap();
    let card = folder.path();
    for dir in
        ["bin", "lib/aarch64-linux-gnu", "usr/bin", "usr/lib/cardea", "etc/cardea", "var/lib/cardea", "srv", "tmp"]
    {
        fs::create_dir_all(card.join(dir)).unwrap();
    }
    let put = |from: PathBuf, to: &str| {
        fs::copy(&from, card.join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    put(needed(".tools/pi/arm64/bin/busybox"), "bin/busybox");
    put(needed(".tools/pi/arm64/lib/ld-linux-aarch64.so.1"), "lib/ld-linux-aarch64.so.1");
    for library in LIBRARIES {
        let places = ["lib", "usr/lib"]
            .map(|lib| root().join(".tools/pi/arm64").join(lib).join("aarch64-linux-gnu").join(library));
        let place =
            places.into_iter().find(|place| place.exists()).unwrap_or_else(|| panic!("no {library} in .tools/pi"));
        put(place, &format!("lib/aarch64-linux-gnu/{library}"));
    }
    for program in ["cardead", "cardea-models", "examples/gpio-levels", "examples/gpio-times"] {
        let name = program.rsplit('/').next().unwrap();
        put(needed(&format!("target/pi/aarch64-unknown-linux-gnu/debug/{program}")), &format!("usr/bin/{name}"));
    }
    put(needed(".tools/pi/onnxruntime/libonnxruntime.so"), &ONNXRUNTIME[1..]);
    fs::create_dir_all(card.join(&PACK[1..])).unwrap();
    for file in fs::read_dir(base_pack()).unwrap() {
        let file = file.unwrap();
        put(file.path(), &format!("{}/{}", &PACK[1..], file.file_name().to_str().unwrap()));
    }
    for name in PICTURES {
        fs::write(card.join("srv").join(name), picture(name)).unwrap();
    }
    symlink("yard.jpg", card.join(&SCENE[1..])).unwrap();
    fs::write(card.join(&CONFIG[1..]), config).unwrap();
    fs::write(card.join("init"), INIT).unwrap();
    fs::set_permissions(card.join("init"), fs::Permissions::from_mode(0o755)).unwrap();
    admit(&card.join("var/lib/cardea"), plate).await;
    pack(card, to);
}

/// Does what sync does when the cloud registers a plate and a card, in the controller's own database.
async fn admit(state_dir: &Path, plate: &str) {
    let state = StateDir::new(state_dir);
    state.create().unwrap();
    let device_key = DeviceKey::load_or_create(&state.device_key()).unwrap();
    let options =
        StoreOptions { device_key, events: cardea_daemon::config::EventsConfig::default(), machine_boot: None };
    let store = Store::open(&state.database(), options).unwrap();
    let (key, _) = OpeningKey::derive(&[3; 32].into());
    let opener = Opener { key: Arc::new(key), controller: ControllerId::new("controller-1").unwrap() };
    let plate_id = PlateId::new("plate-1").unwrap();
    let entry = PlateEntry::new(plate_id, plate.into());
    let hash = CardHash::of(&CardNumber::parse(CARD_NUMBER).unwrap());
    let card_id = CardId::new("card-1").unwrap();
    let card = CardEntry { card_id, hash, subject: None, validity: Validity::ALWAYS };
    let changes = vec![Change::PlateAdmitted(entry), Change::CardAdmitted(card)];
    store.apply_changes(opener, ChangesBatch { from: Revision(0), to: Revision(2), changes }).await.unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    // The thread that has the file open ends after its last handle, and takes the write-ahead log with it.
    let log = state_dir.join("cardea.db-wal");
    let closed = async {
        while log.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), closed).await.expect("the database was not closed");
}

/// Everything in `card`, in the format that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
fn pack(card: &Path, to: &Path) {
    let mut find = Command::new("find").arg(".").current_dir(card).stdout(Stdio::piped()).spawn().unwrap();
    let cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
        .current_dir(card)
        .stdin(find.stdout.take().unwrap())
        .stdout(fs::File::create(to).unwrap())
        .status()
        .unwrap();
    assert!(cpio.success() && find.wait().unwrap().success(), "the card could not be written");
}
