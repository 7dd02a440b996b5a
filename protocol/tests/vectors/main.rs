//! The test vectors of `protocol/vectors`, for whoever writes another cloud or another controller: this one writes and reads what they
//! say. The seeds of the fuzzer are the same messages. `CARDEA_WRITE_REFERENCE=1` writes the files anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cases;
mod files;

use std::path::Path;
use std::process::Command;

use cardea_protocol::cbor;
use cardea_protocol::cose;
use cardea_protocol::digest::{Holdings, template_hash};
use cardea_protocol::envelope::{Envelope, Receiver, Sender, open_any};
use cardea_protocol::id::{ControllerId, ErasureId, Revision, SessionId, TemplateId};
use cardea_protocol::jws::{Signer, Use, Verifier};
use cardea_protocol::message::{Change, Down, Receipt, TemplateEntry};
use cardea_protocol::seal::{OpeningKey, Sealed, seal};
use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use zeroize::Zeroizing;

use cases::AT;
use files::{Keys, bytes, read, record, seeds, text};

fn controller() -> ControllerId {
    ControllerId::new("gate-1").unwrap()
}

fn session() -> SessionId {
    SessionId::new("session-1").unwrap()
}

fn payload<M: Serialize>(seq: u64, message: M) -> Vec<u8> {
    let envelope = Envelope { controller: controller(), session: session(), seq, at: AT, message };
    cbor::encode(&envelope).unwrap()
}

/// CBOR as RFC 8949 §8 writes it for people.
fn diagnostic(value: &Value) -> String {
    let join = |items: Vec<String>| items.join(", ");
    match value {
        Value::Integer(n) => i128::from(*n).to_string(),
        Value::Bytes(bytes) => format!("h'{}'", hex::encode(bytes)),
        Value::Text(text) => serde_json::to_string(text).unwrap(),
        Value::Array(items) => format!("[{}]", join(items.iter().map(diagnostic).collect())),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", diagnostic(key), diagnostic(value)));
            format!("{{{}}}", join(entries.collect()))
        }
        Value::Float(n) => format!("{n:?}"),
        Value::Bool(is) => is.to_string(),
        other => panic!("{other:?} in a message"),
    }
}

fn vectors<M: Serialize>(signer: &Signer, usage: Use, named: Vec<(&str, M)>) -> Vec<serde_json::Value> {
    let vector = |(n, (name, message)): (usize, (&str, M))| {
        let payload = payload(1 + n as u64, message);
        let meaning: Value = ciborium::from_reader(payload.as_slice()).unwrap();
        json!({
            "name": name,
            "typ": if usage == Use::Up { "cardea-up+cose" } else { "cardea-down+cose" },
            "meaning": diagnostic(&meaning),
            "payload": hex::encode(&payload),
            "signed": hex::encode(cose::sign(signer, usage, payload).unwrap()),
        })
    };
    named.into_iter().enumerate().map(vector).collect()
}

/// What stands in the file is written, byte for byte, and read, and means the message.
fn check<M>(verifier: &Verifier, usage: Use, named: Vec<(&str, M)>, vectors: &serde_json::Value)
where
    M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug + Clone,
{
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), named.len());
    for (n, ((name, message), vector)) in named.into_iter().zip(vectors).enumerate() {
        let seq = 1 + n as u64;
        assert_eq!(text(vector, "name"), name);
        assert_eq!(text(vector, "payload"), hex::encode(payload(seq, message.clone())), "{name}");
        let signed = bytes(vector, "signed");
        let mut receiver = Receiver::new(verifier.clone(), usage, controller(), session());
        let envelope = receiver.open::<M>(&signed).unwrap();
        assert_eq!(envelope, Envelope { controller: controller(), session: session(), seq, at: AT, message }, "{name}");
        assert_eq!(cose::verify(verifier, usage, &signed).unwrap(), bytes(vector, "payload"), "{name}");
        assert!(receiver.open::<M>(&signed).is_err(), "{name}: taken twice");
        let meaning: Value = ciborium::from_reader(bytes(vector, "payload").as_slice()).unwrap();
        assert_eq!(text(vector, "meaning"), diagnostic(&meaning), "{name}");
    }
}

#[test]
fn messages_are_as_the_vectors_say() {
    let keys = Keys::read();
    let fresh = || {
        json!({
            "controller": "gate-1",
            "session": "session-1",
            "up": vectors(&keys.controller, Use::Up, cases::up()),
            "down": vectors(&keys.cloud, Use::Down, cases::down()),
        })
    };
    let file = record("messages.json", fresh);
    check(&keys.of_controller, Use::Up, cases::up(), &file["up"]);
    check(&keys.of_cloud, Use::Down, cases::down(), &file["down"]);
    // Ed25519 signs alike each time.
    for vector in file["down"].as_array().unwrap() {
        let again = cose::sign(&keys.cloud, Use::Down, bytes(vector, "payload")).unwrap();
        assert_eq!(bytes(vector, "signed"), again);
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_these_messages() {
    let of = |direction: u8, payload: Vec<u8>| [vec![direction], payload].concat();
    let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
    for (n, (name, message)) in cases::up().into_iter().enumerate() {
        expected.push((name.to_owned(), of(b'1', payload(1 + n as u64, message))));
    }
    for (n, (name, message)) in cases::down().into_iter().enumerate() {
        expected.push((name.to_owned(), of(b'2', payload(1 + n as u64, message))));
    }
    let signed = read("messages.json");
    expected.push(("signed".to_owned(), of(b'0', bytes(&signed["up"][0], "signed"))));
    let receipt = read("receipt.json");
    expected.push(("receipt-signed".to_owned(), of(b'0', text(&receipt, "jws").into_bytes())));
    seeds(&expected);
}

#[test]
fn what_is_wrong_is_refused_as_the_vectors_say() {
    let keys = Keys::read();
    let fresh = || json!({ "refused": refused(&keys) });
    for vector in record("refused.json", fresh)["refused"].as_array().unwrap() {
        let signed = bytes(vector, "signed");
        let answer = open_any::<Down>(&keys.of_cloud, Use::Down, &controller(), &signed);
        let error = answer.expect_err(&text(vector, "name"));
        assert_eq!(error.to_string(), text(vector, "error"), "{}", text(vector, "name"));
    }
}

fn refused(keys: &Keys) -> Vec<serde_json::Value> {
    let reconnect = || payload(1, Down::Reconnect { retry_ms: 0 });
    let sign = |usage, payload| cose::sign(&keys.cloud, usage, payload).unwrap();
    let mut changed = sign(Use::Down, reconnect());
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let untagged = sign(Use::Down, reconnect()).split_off(1);
    let twice = hex::decode("a26161016161 02".replace(' ', "")).unwrap();
    let neighbour = {
        let neighbour = ControllerId::new("gate-2").unwrap();
        let mut sender = Sender::new(keys.cloud.clone(), Use::Down, neighbour, session());
        sender.seal(AT, Down::Reconnect { retry_ms: 0 }).unwrap()
    };
    let unknown_message = payload(1, std::collections::BTreeMap::from([("revoked-all", 1)]));
    let superseded = |n: u64| {
        let changes = (0..n).map(|_| Change::Superseded).collect();
        Down::Changes { from: Revision(0), to: Revision(n), changes, digest: None }
    };
    let (changes, too_many) = (superseded(1), superseded(101));
    let unknown_change = String::from_utf8_lossy(&hex::encode(payload(1, changes)).into_bytes())
        .replace(&hex::encode("superseded"), &hex::encode("supersede2"));
    [
        ("a bit of the signature changed", changed),
        ("without its tag", untagged),
        ("signed as a controller's", sign(Use::Up, reconnect())),
        ("signed as an export", sign(Use::Export, reconnect())),
        ("to another controller", neighbour),
        ("a key twice", sign(Use::Down, twice)),
        ("more after it", sign(Use::Down, [reconnect(), vec![0]].concat())),
        ("of an unknown type", sign(Use::Down, unknown_message)),
        ("with a change more than a message has", sign(Use::Down, payload(1, too_many))),
        ("with a change of an unknown kind", sign(Use::Down, hex::decode(unknown_change).unwrap())),
    ]
    .into_iter()
    .map(|(name, signed)| {
        let error = open_any::<Down>(&keys.of_cloud, Use::Down, &controller(), &signed).unwrap_err();
        json!({ "name": name, "error": error.to_string(), "signed": hex::encode(signed) })
    })
    .collect()
}

#[test]
fn a_template_opens_as_the_vectors_say() {
    let ikm = Zeroizing::new([7; 32]);
    let (opening, key) = OpeningKey::derive(&ikm);
    let template = TemplateId::new("template-1").unwrap();
    let fresh = || {
        let sealed = seal(&key, &controller(), &template, b"a template's bytes").unwrap();
        json!({
            "ikm": hex::encode(ikm.as_slice()),
            "public_key": hex::encode(&key.0),
            "info": "cardea template v1",
            "associated_data": "gate-1\ntemplate-1",
            "plaintext": hex::encode("a template's bytes"),
            "enc": hex::encode(sealed.enc),
            "ct": hex::encode(sealed.ct),
        })
    };
    let file = record("seal.json", fresh);
    assert_eq!(bytes(&file, "public_key"), key.0);
    let sealed = Sealed { enc: bytes(&file, "enc"), ct: bytes(&file, "ct") };
    assert_eq!(*opening.open(&controller(), &template, &sealed).unwrap(), bytes(&file, "plaintext"));
}

#[test]
fn holdings_are_digested_as_the_vectors_say() {
    let template = TemplateId::new("template-1").unwrap();
    let content = template_hash(b"a template's bytes");
    let of = |fill: &dyn Fn(&mut Holdings)| {
        let mut holdings = Holdings::new();
        fill(&mut holdings);
        holdings.digest().to_string()
    };
    let (plain, full, card) = (cases::plain_plate(), cases::full_plate(), cases::card());
    let add_card = |h: &mut Holdings| h.card(&card.card_id, &card.hash, card.subject.as_ref(), card.validity);
    let add_template = |h: &mut Holdings| h.template(&template, &cases::subject(), &content);
    let fresh = || {
        json!({
            "nothing": of(&|_| {}),
            "the plain plate": of(&|h| h.plate(&plain)),
            "the plate with everything": of(&|h| h.plate(&full)),
            "the card": of(&add_card),
            "the template of seal.json": of(&add_template),
            "all four": of(&|h| {
                h.plate(&plain);
                h.plate(&full);
                add_card(h);
                add_template(h);
            }),
        })
    };
    assert_eq!(record("digest.json", fresh), fresh());
}

#[test]
fn a_receipt_is_as_the_vectors_say() {
    let keys = Keys::read();
    let claims = Receipt {
        erasure: ErasureId::new("erasure-1").unwrap(),
        controller: controller(),
        revision: Revision(7),
        templates_erased: 2,
        verified: true,
        at: AT,
    };
    let fresh = || json!({ "claims": claims, "jws": keys.controller.sign(Use::Receipt, &claims).unwrap() });
    let file = record("receipt.json", fresh);
    assert_eq!(file["claims"], serde_json::to_value(&claims).unwrap());
    let read: Receipt = keys.of_controller.verify(Use::Receipt, &text(&file, "jws")).unwrap();
    assert_eq!(read, claims);
}

/// Sizes that record 24 gives, as they are on the wire.
#[test]
fn messages_are_as_long_as_the_record_says() {
    let keys = Keys::read();
    let id = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f";
    let mut sender = Sender::above(keys.cloud, Use::Down, controller(), SessionId::new(id).unwrap(), 122);
    let digest = Holdings::new().digest();
    let template = || TemplateEntry {
        template_id: TemplateId::new(id).unwrap(),
        subject: cases::subject(),
        sealed: Sealed { enc: vec![1; 32], ct: vec![2; 1_036 + 16] },
    };
    let (from, to) = (Revision(123_456), Revision(123_457));
    let changes = vec![Change::TemplateAdded(template())];
    let change = Down::Changes { from, to, changes, digest: Some(digest.clone()) };
    let templates = (0..100).map(|_| template()).collect();
    let (plates, cards) = (Vec::new(), Vec::new());
    let page = Down::Snapshot { revision: to, page: 0, pages: 1, plates, cards, templates, digest: digest.clone() };
    let freshness = Down::Freshness { revision: to, digest, at: AT };
    let sizes = [change, page, freshness].map(|message| sender.seal(AT, message).unwrap().len());
    assert_eq!(sizes, [1_490, 120_388, 273]);
}

/// Libraries that are not ours verify, decode and open the same files, and hold the messages to the CDDL of the documentation.
#[test]
fn another_implementation_reads_them_alike() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("../.tools/python-vectors");
    let required = ["CI", "CARDEA_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
    if !packages.join(".installed").is_file() {
        let missing = "the peer is missing: cbor2, cryptography and pycddl in .tools/python-vectors; run make setup";
        assert!(!required, "{missing}");
        eprintln!("SKIPPED: {missing}");
        return;
    }
    let output = Command::new("python3")
        .arg(root.join("vectors/check.py"))
        .args([root.join("vectors"), root.join("../docs/reference/sync.md")])
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
