//! Signatures of Standard Webhooks (symmetric, `v1`).

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::keys::{self, KeyError};

/// What a secret begins with as it is shown.
const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const BYTES: usize = 32;

/// A fresh secret.
pub fn fresh() -> Result<Zeroizing<[u8; BYTES]>, KeyError> {
    keys::random().map(Zeroizing::new)
}

/// A secret as it is told to whoever verifies with it.
pub fn shown(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(secret)))
}

/// The header `webhook-signature`: one signature for each secret, with a space between.
pub fn signatures(secrets: &[Zeroizing<Vec<u8>>], id: &str, timestamp_s: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp_s}.{body}");
    let sign = |secret: &Zeroizing<Vec<u8>>| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes())))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_reference_library_makes() {
        // Made with the standardwebhooks library of PyPI.
        let secret = Zeroizing::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let made = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_and_nothing_else_passes_for_it() {
        let secret = |byte| Zeroizing::new(vec![byte; BYTES]);
        let of = |secrets: &[_], id, at, body| signatures(secrets, id, at, body);
        let (one, two) = (of(&[secret(1)], "m", 1, "{}"), of(&[secret(2)], "m", 1, "{}"));
        assert_eq!(of(&[secret(1), secret(2)], "m", 1, "{}"), format!("{one} {two}"));
        for other in
            [of(&[secret(1)], "n", 1, "{}"), of(&[secret(1)], "m", 2, "{}"), of(&[secret(1)], "m", 1, "[]"), two]
        {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_secret_is_shown_as_the_libraries_take_it() {
        let shown = shown(&*fresh().unwrap());
        let bytes = STANDARD.decode(shown.strip_prefix("whsec_").unwrap()).unwrap();
        assert!((24..=64).contains(&bytes.len()), "Standard Webhooks: 24 to 64 bytes");
        assert_ne!(*fresh().unwrap(), *fresh().unwrap());
    }
}
