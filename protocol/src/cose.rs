//! The signature of a message: COSE_Sign1 (RFC 9052 §4.2), tagged, EdDSA by the cloud and ES256 by a controller.
//!
//! The protected header says the algorithm, the use as `typ` (RFC 9596, which is to COSE what RFC 8725 §3.11 is to JWS)
//! and the key's id; there is no other header. Of a stranger's bytes nothing is read before the signature holds but
//! these four strings; the structures are `coset`'s, the signatures those of [`crate::jws`]'s keys.

use ciborium::Value;
use coset::iana::{self, EnumI64 as _};
use coset::{
    Algorithm, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, Label, ProtectedHeader, TaggedCborSerializable as _,
};
use serde::Deserialize;

use crate::jws::{Signer, Use, Verifier};

/// `typ` (RFC 9596 §2).
const TYP: i64 = 16;
/// A protected header is not longer.
const MAX_HEADER: usize = 512;

/// Why a message could not be signed or believed. Says nothing of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// Longer than the other side takes.
    #[error("the message is longer than a message may be")]
    Long,
    /// The message could not be encoded, or signing failed inside the crypto library.
    #[error("signing failed")]
    Sign,
    /// Wrong signature, wrong algorithm, or not a COSE_Sign1 at all.
    #[error("the signature does not verify")]
    Signature,
    /// A valid signature made for another purpose.
    #[error("the signature was made for another use")]
    Use,
}

/// Signs `payload` for `usage`.
pub fn sign(signer: &Signer, usage: Use, payload: Vec<u8>) -> Result<Vec<u8>, CoseError> {
    let protected = HeaderBuilder::new()
        .algorithm(signer.cose_algorithm())
        .key_id(signer.kid().as_bytes().to_vec())
        .value(TYP, Value::Text(usage.typ().to_owned()))
        .build();
    let message = CoseSign1Builder::new()
        .protected(protected)
        .payload(payload)
        .try_create_signature(&[], |signed| signer.sign_bytes(signed))
        .map_err(|_| CoseError::Sign)?
        .build()
        .to_tagged_vec()
        .map_err(|_| CoseError::Sign)?;
    if message.len() <= usage.max_bytes() { Ok(message) } else { Err(CoseError::Long) }
}

/// Checks signature and use, and returns the payload.
pub fn verify(verifier: &Verifier, usage: Use, bytes: &[u8]) -> Result<Vec<u8>, CoseError> {
    if bytes.len() > usage.max_bytes() {
        return Err(CoseError::Long);
    }
    let message = frame(bytes).ok_or(CoseError::Signature)?;
    let Header { alg, crit, rest, .. } = &message.protected.header;
    if *alg != Some(Algorithm::Assigned(verifier.cose_algorithm())) || !crit.is_empty() {
        return Err(CoseError::Signature);
    }
    message
        .verify_signature(&[], |signature, signed| verifier.verify_bytes(signed, signature))
        .map_err(|_| CoseError::Signature)?;
    let typ = rest.iter().find(|(label, _)| *label == Label::Int(TYP)).and_then(|(_, value)| value.as_text());
    if typ != Some(usage.typ()) {
        return Err(CoseError::Use);
    }
    message.payload.ok_or(CoseError::Signature)
}

/// The four parts, as they come: no other kinds of items are followed.
#[derive(Deserialize)]
struct Parts(
    #[serde(with = "crate::cbor::bytes")] Vec<u8>,
    NoHeader,
    #[serde(with = "crate::cbor::bytes")] Vec<u8>,
    #[serde(with = "crate::cbor::bytes")] Vec<u8>,
);

/// An unprotected header: empty, since nobody has signed it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoHeader {}

fn frame(bytes: &[u8]) -> Option<CoseSign1> {
    // The tag, an array of four.
    let mut rest = bytes.strip_prefix(&[0xc0 | iana::CborTag::CoseSign1.to_i64() as u8])?;
    if rest.first() != Some(&0x84) {
        return None;
    }
    let Parts(protected, NoHeader {}, payload, signature) = ciborium::from_reader(&mut rest).ok()?;
    if !rest.is_empty() || protected.len() > MAX_HEADER {
        return None;
    }
    let protected = ProtectedHeader::from_cbor_bstr(Value::Bytes(protected)).ok()?;
    let message = CoseSign1 { protected, unprotected: Header::default(), payload: Some(payload), signature };
    // Written again it is the same: there is one encoding.
    (message.clone().to_tagged_vec().ok()? == bytes).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coset::CborSerializable;
    use zeroize::Zeroizing;

    fn keys() -> (Signer, Verifier) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let signer = Signer::p256(&Zeroizing::new(key.serialize_pem()), "gate-1").unwrap();
        (signer, Verifier::p256_point(key.public_key_raw()))
    }

    fn signed(signer: &Signer, protected: Header, unprotected: Header) -> CoseSign1 {
        CoseSign1Builder::new()
            .protected(protected)
            .unprotected(unprotected)
            .payload(b"payload".to_vec())
            .try_create_signature(&[], |bytes| signer.sign_bytes(bytes))
            .unwrap()
            .build()
    }

    fn header(algorithm: iana::Algorithm, typ: &str) -> HeaderBuilder {
        HeaderBuilder::new().algorithm(algorithm).value(TYP, Value::Text(typ.to_owned()))
    }

    #[test]
    fn what_is_signed_is_read_for_its_use_only() {
        let (signer, verifier) = keys();
        let bytes = sign(&signer, Use::Up, b"payload".to_vec()).unwrap();
        assert_eq!(verify(&verifier, Use::Up, &bytes).unwrap(), b"payload");
        assert_eq!(verify(&verifier, Use::Down, &bytes), Err(CoseError::Use));
        let (_, other) = keys();
        assert_eq!(verify(&other, Use::Up, &bytes), Err(CoseError::Signature));
    }

    #[test]
    fn headers_that_say_otherwise_are_refused() {
        let (signer, verifier) = keys();
        let refused = |message: CoseSign1| verify(&verifier, Use::Up, &message.to_tagged_vec().unwrap());
        let es256 = || header(iana::Algorithm::ES256, Use::Up.typ());
        assert!(refused(signed(&signer, es256().build(), Header::default())).is_ok());
        let eddsa = header(iana::Algorithm::EdDSA, Use::Up.typ()).build();
        assert_eq!(refused(signed(&signer, eddsa, Header::default())), Err(CoseError::Signature));
        let critical = es256().add_critical(iana::HeaderParameter::Kid).build();
        assert_eq!(refused(signed(&signer, critical, Header::default())), Err(CoseError::Signature));
        let elsewhere = HeaderBuilder::new().key_id(b"gate-1".to_vec()).build();
        assert_eq!(refused(signed(&signer, es256().build(), elsewhere)), Err(CoseError::Signature));
        let untyped = HeaderBuilder::new().algorithm(iana::Algorithm::ES256).build();
        assert_eq!(refused(signed(&signer, untyped, Header::default())), Err(CoseError::Use));
        let long = es256().key_id(vec![0; MAX_HEADER]).build();
        assert_eq!(refused(signed(&signer, long, Header::default())), Err(CoseError::Signature));
        let mut empty = signed(&signer, es256().build(), Header::default());
        empty.payload = None;
        assert_eq!(refused(empty), Err(CoseError::Signature));
    }

    #[test]
    fn one_encoding_is_taken_and_no_other() {
        let (signer, verifier) = keys();
        let message = signed(&signer, header(iana::Algorithm::ES256, Use::Up.typ()).build(), Header::default());
        let tagged = message.clone().to_tagged_vec().unwrap();
        assert!(verify(&verifier, Use::Up, &tagged).is_ok());
        assert_eq!(verify(&verifier, Use::Up, &CborSerializable::to_vec(message).unwrap()), Err(CoseError::Signature));
        let more = [tagged.as_slice(), &[0]].concat();
        assert_eq!(verify(&verifier, Use::Up, &more), Err(CoseError::Signature));
        // The array's length in two bytes, and as one without a length.
        let wide = [&[0xd2, 0x98, 4], &tagged[2..]].concat();
        assert_eq!(verify(&verifier, Use::Up, &wide), Err(CoseError::Signature));
        let open = [&[0xd2, 0x9f], &tagged[2..], &[0xff]].concat();
        assert_eq!(verify(&verifier, Use::Up, &open), Err(CoseError::Signature));
    }
}
