//! The files that the vectors stand in.

use std::path::PathBuf;

use cardea_protocol::jws::{Signer, Verifier};
use serde_json::Value;
use zeroize::Zeroizing;

fn writes() -> bool {
    std::env::var_os("CARDEA_WRITE_REFERENCE").is_some()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// The file `name`; written first, of what `fresh` says, where that is asked for.
pub(crate) fn record(name: &str, fresh: impl FnOnce() -> Value) -> Value {
    if writes() {
        std::fs::write(path(name), serde_json::to_string_pretty(&fresh()).unwrap() + "\n").unwrap();
    }
    read(name)
}

/// The file `name`.
pub(crate) fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

pub(crate) fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(value[field].as_str().unwrap()).unwrap()
}

/// The fuzzer's seeds are these and no others.
pub(crate) fn seeds(expected: &[(String, Vec<u8>)]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/messages");
    if writes() {
        for (name, seed) in expected {
            std::fs::write(folder.join(name), seed).unwrap();
        }
    }
    for (name, seed) in expected {
        assert_eq!(std::fs::read(folder.join(name)).ok().as_ref(), Some(seed), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), expected.len(), "seeds that are no vectors");
}

/// Keys made for the vectors, and for nothing else.
pub(crate) struct Keys {
    pub(crate) cloud: Signer,
    pub(crate) of_cloud: Verifier,
    pub(crate) controller: Signer,
    pub(crate) of_controller: Verifier,
}

impl Keys {
    pub(crate) fn read() -> Self {
        let keys = read("keys.json");
        let private = |name: &str| Zeroizing::new(text(&keys[name], "private_key_pem"));
        let public = |name: &str| text(&keys[name], "public_key_pem");
        Self {
            cloud: Signer::ed25519(&private("cloud"), text(&keys["cloud"], "kid")).unwrap(),
            of_cloud: Verifier::ed25519(&public("cloud")).unwrap(),
            controller: Signer::p256(&private("controller"), text(&keys["controller"], "kid")).unwrap(),
            of_controller: Verifier::p256(&public("controller")).unwrap(),
        }
    }
}
