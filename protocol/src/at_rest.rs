//! Encryption at rest, the same on both sides: ChaCha20-Poly1305 (RFC 8439) under a key of 32 bytes, with a random nonce of 12 bytes
//! before the ciphertext. What it belongs to (a row, a file) is its associated data: moved elsewhere it does not open.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// By how much a ciphertext is longer than what was encrypted, in bytes.
pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;
/// How much of the stack is wiped after a use of the cipher: more than it takes, without optimisation too.
const FRAME: usize = 16 * 1024;
const FRAMES: usize = 4;

/// Why something was not encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtRestError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// Another key, another place, or changed bytes.
    #[error("a stored ciphertext does not open: it was changed, moved, or made under another key")]
    Unreadable,
}

/// A fresh key. It lies on the heap: an array would be copied wherever it is moved, and only its last copy be wiped.
pub fn random_key() -> Result<Zeroizing<Vec<u8>>, AtRestError> {
    let mut key = Zeroizing::new(vec![0; KEY_LEN]);
    aws_lc_rs::rand::fill(&mut key).map_err(|_| AtRestError::Random)?;
    Ok(key)
}

/// Encrypts `plaintext` for the place `aad`: nonce and ciphertext.
pub fn encrypt(key: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AtRestError> {
    let mut nonce = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| AtRestError::Random)?;
    let payload = Payload { msg: plaintext, aad };
    let sealed = cipher(key, |cipher| cipher.encrypt(Nonce::from_slice(&nonce), payload))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// What [`encrypt`] has encrypted for that place.
pub fn decrypt(key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AtRestError> {
    let (nonce, msg) = sealed.split_at_checked(NONCE_LEN).ok_or(AtRestError::Unreadable)?;
    cipher(key, |cipher| cipher.decrypt(Nonce::from_slice(nonce), Payload { msg, aad })).map(Zeroizing::new)
}

/// Does something with the cipher, and leaves nothing of it on the stack.
fn cipher<T>(
    key: &[u8],
    work: impl FnOnce(ChaCha20Poly1305) -> Result<T, chacha20poly1305::Error>,
) -> Result<T, AtRestError> {
    if key.len() != KEY_LEN {
        return Err(AtRestError::Unreadable);
    }
    let done = used(key, work);
    wipe_stack(FRAMES);
    done.map_err(|_| AtRestError::Unreadable)
}

/// `key` is of [`KEY_LEN`] bytes.
#[inline(never)]
fn used<T>(key: &[u8], work: impl FnOnce(ChaCha20Poly1305) -> T) -> T {
    work(ChaCha20Poly1305::new(Key::from_slice(key)))
}

/// Overwrites the stack that the call before this one has used: a key that was moved or returned has left copies there, which
/// no destructor knows of.
#[inline(never)]
fn wipe_stack(frames: usize) {
    let frame = [0_u8; FRAME];
    std::hint::black_box(&frame);
    if frames > 1 {
        wipe_stack(frames - 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn it_opens_in_its_own_place_with_its_own_key_only() {
        let key = random_key().unwrap();
        let sealed = encrypt(&key, b"row 1", b"template").unwrap();
        assert_eq!(sealed.len(), b"template".len() + OVERHEAD);
        assert_eq!(decrypt(&key, b"row 1", &sealed).unwrap().as_slice(), b"template");
        assert_eq!(decrypt(&key, b"row 2", &sealed), Err(AtRestError::Unreadable));
        assert_eq!(decrypt(&random_key().unwrap(), b"row 1", &sealed), Err(AtRestError::Unreadable));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(decrypt(&key, b"row 1", &changed), Err(AtRestError::Unreadable));
        }
        for short in [0, 5, OVERHEAD - 1] {
            assert_eq!(decrypt(&key, b"row 1", &sealed[..short]), Err(AtRestError::Unreadable));
        }
    }

    #[test]
    fn a_key_of_another_length_is_no_key() {
        assert_eq!(encrypt(&[7; 16], b"", b"x"), Err(AtRestError::Unreadable));
        assert_eq!(decrypt(&[], b"", &[0; 40]), Err(AtRestError::Unreadable));
    }

    #[test]
    fn equal_values_do_not_show() {
        let key = random_key().unwrap();
        assert_ne!(encrypt(&key, b"", b"x").unwrap(), encrypt(&key, b"", b"x").unwrap());
    }
}
