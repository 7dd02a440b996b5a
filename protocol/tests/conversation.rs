//! A session as both sides see it, over a network that drops, repeats, reorders and redirects.

#![allow(clippy::unwrap_used, reason = "tests")]

use cardea_protocol::Timestamp;
use cardea_protocol::cose::CoseError;
use cardea_protocol::envelope::{EnvelopeError, Receiver, Sender};
use cardea_protocol::est;
use cardea_protocol::id::{BootId, CommandId, ControllerId, ErasureId, Revision, SessionId};
use cardea_protocol::jws::{JwsError, Signer, Use, Verifier};
use cardea_protocol::message::{Command, Down, Receipt};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn cloud() -> (Signer, Verifier) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let signer = Signer::ed25519(&Zeroizing::new(key.serialize_pem()), "cloud-1").unwrap();
    (signer, Verifier::ed25519(&key.public_key_pem()).unwrap())
}

fn controller() -> (Signer, Verifier, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let signer = Signer::p256(&Zeroizing::new(key.serialize_pem()), "gate-1").unwrap();
    let verifier = Verifier::p256(&key.public_key_pem()).unwrap();
    (signer, verifier, key)
}

fn names() -> (ControllerId, SessionId) {
    (ControllerId::new("gate-1").unwrap(), SessionId::new("s-1").unwrap())
}

fn open_command() -> Down {
    Down::Command(Command {
        command_id: CommandId::new("c-1").unwrap(),
        boot_id: BootId::new("b-1").unwrap(),
        access_point: cardea_protocol::id::AccessPointId::new("barrier-1").unwrap(),
        expires_at: Timestamp(20_000),
    })
}

#[test]
fn a_message_is_taken_once() {
    let (signer, verifier) = cloud();
    let (id, session) = names();
    let mut sender = Sender::new(signer, Use::Down, id.clone(), session.clone());
    let mut receiver = Receiver::new(verifier, Use::Down, id, session);
    let wire = sender.seal(Timestamp(1_000), open_command()).unwrap();
    let taken = receiver.open::<Down>(&wire).unwrap();
    assert_eq!(taken.message, open_command());
    assert!(matches!(receiver.open::<Down>(&wire), Err(EnvelopeError::Replayed { last: 1, got: 1 })));
}

#[test]
fn another_session_another_controller_and_another_signer_are_refused() {
    let (signer, verifier) = cloud();
    let (id, session) = names();
    let mut sender = Sender::new(signer.clone(), Use::Down, id.clone(), session.clone());
    let wire = sender.seal(Timestamp(0), open_command()).unwrap();

    let next = SessionId::new("s-2").unwrap();
    let mut later = Receiver::new(verifier.clone(), Use::Down, id.clone(), next);
    assert!(matches!(later.open::<Down>(&wire), Err(EnvelopeError::Session)));

    let neighbour = ControllerId::new("gate-2").unwrap();
    let mut elsewhere = Receiver::new(verifier, Use::Down, neighbour, session.clone());
    assert!(matches!(elsewhere.open::<Down>(&wire), Err(EnvelopeError::Address)));

    let (_, stranger) = cloud();
    let mut pinned = Receiver::new(stranger, Use::Down, id, session);
    assert!(matches!(pinned.open::<Down>(&wire), Err(EnvelopeError::Cose(CoseError::Signature))));
}

#[test]
fn a_signature_counts_only_for_its_use_and_its_kind_of_key() {
    let (signer, verifier, key) = controller();
    let claims = Receipt {
        erasure: ErasureId::new("e-1").unwrap(),
        controller: ControllerId::new("gate-1").unwrap(),
        revision: Revision(7),
        templates_erased: 2,
        verified: true,
        at: Timestamp(1_000),
    };
    let receipt = signer.sign(Use::Receipt, &claims).unwrap();
    assert_eq!(verifier.verify::<Receipt>(Use::Receipt, &receipt).unwrap(), claims);
    assert!(matches!(verifier.verify::<Receipt>(Use::Up, &receipt), Err(JwsError::Use)));
    let by_point = Verifier::p256_point(key.public_key_raw());
    assert!(by_point.verify::<Receipt>(Use::Receipt, &receipt).is_ok());
    let (_, cloud_key) = cloud();
    assert!(cloud_key.verify::<Receipt>(Use::Receipt, &receipt).is_err());
}

#[test]
fn a_signer_prints_nothing() {
    let (signer, _) = cloud();
    assert_eq!(format!("{signer:?}"), "Signer(…)");
}

#[test]
fn certificates_survive_the_certs_only_message() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let body = est::certs_only(&[certificate.der()]).unwrap();
    assert_eq!(est::read_certs_only(&body).unwrap(), vec![certificate.der().to_vec()]);
    assert_eq!(est::read_certs_only("no base64!"), Err(est::EstError::Base64));
    assert_eq!(est::read_certs_only("AAAA"), Err(est::EstError::Cms));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the network does to the order, what is taken is a strictly growing part of what was sent.
    #[test]
    fn a_hostile_network_only_loses(deliveries in prop::collection::vec(0usize..8, 0..24)) {
        let (signer, verifier) = cloud();
        let (id, session) = names();
        let mut sender = Sender::new(signer, Use::Down, id.clone(), session.clone());
        let mut receiver = Receiver::new(verifier, Use::Down, id, session);
        let sent: Vec<Vec<u8>> = (0..8)
            .map(|n| sender.seal(Timestamp(0), Down::Reconnect { retry_ms: n }).unwrap())
            .collect();
        let taken: Vec<u64> =
            deliveries.iter().filter_map(|&i| receiver.open::<Down>(&sent[i]).ok()).map(|e| e.seq).collect();
        prop_assert!(taken.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn a_changed_byte_is_refused(at in 0usize..200, bit in 0u8..8) {
        let (signer, verifier) = cloud();
        let (id, session) = names();
        let mut sender = Sender::new(signer, Use::Down, id.clone(), session.clone());
        let mut receiver = Receiver::new(verifier, Use::Down, id, session);
        let mut wire = sender.seal(Timestamp(0), open_command()).unwrap();
        let at = at % wire.len();
        wire[at] ^= 1 << bit;
        prop_assert!(receiver.open::<Down>(&wire).is_err());
    }

    #[test]
    fn no_input_panics_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, verifier) = cloud();
        let (id, session) = names();
        prop_assert!(Receiver::new(verifier, Use::Down, id, session).open::<Down>(&bytes).is_err());
        let _ = est::read_certs_only(&String::from_utf8_lossy(&bytes));
    }
}
