//! What comes in over MQTT, at the cloud and at a controller: nothing is taken that is not signed, and of signed bytes only
//! messages of this controller and session, in order, that are written again as they were read.
#![no_main]

use std::sync::LazyLock;

use cardea_protocol::envelope::{Envelope, Receiver, open_any};
use cardea_protocol::{cbor, cose};
use cardea_protocol::id::{ControllerId, SessionId};
use cardea_protocol::jws::{Signer, Use, Verifier};
use cardea_protocol::message::{Down, Receipt, Up};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

struct Key {
    signer: Signer,
    point: Vec<u8>,
}

static KEY: LazyLock<Key> = LazyLock::new(|| {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let signer = Signer::p256(&Zeroizing::new(pair.serialize_pem()), "gate-1").expect("a signer");
    Key { signer, point: pair.public_key_raw().to_vec() }
});

fn verifier() -> Verifier {
    Verifier::p256_point(&KEY.point)
}

fn gate() -> ControllerId {
    ControllerId::new("gate-1").expect("an id")
}

fn unsigned<M: DeserializeOwned>(usage: Use, bytes: &[u8]) {
    assert!(open_any::<M>(&verifier(), usage, &gate(), bytes).is_err(), "taken without a signature");
}

/// An envelope, signed with the right key, twice: the second is a replay.
fn signed<M: DeserializeOwned + Serialize>(usage: Use, payload: &[u8]) {
    let Ok(bytes) = cose::sign(&KEY.signer, usage, payload.to_vec()) else { return };
    let session = match open_any::<M>(&verifier(), usage, &gate(), &bytes) {
        Ok(envelope) => envelope.session,
        Err(_) => SessionId::random(),
    };
    let mut receiver = Receiver::new(verifier(), usage, gate(), session);
    let Ok(envelope) = receiver.open::<M>(&bytes) else { return };
    assert!(envelope.controller == gate() && envelope.seq > 0);
    assert!(receiver.open::<M>(&bytes).is_err(), "a replay was taken");
    let written = cbor::encode(&envelope).expect("CBOR");
    let again: Envelope<M> = cbor::decode(&written).expect("what was written is read");
    assert_eq!(cbor::encode(&again).expect("CBOR"), written);
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            unsigned::<Up>(Use::Up, rest);
            unsigned::<Down>(Use::Down, rest);
            let text = String::from_utf8_lossy(rest);
            assert!(verifier().verify::<Receipt>(Use::Receipt, &text).is_err());
        }
        1 => signed::<Up>(Use::Up, rest),
        _ => signed::<Down>(Use::Down, rest),
    }
});
