//! One-time claim codes: 16 characters of Crockford's base32, 80 random bits, as people read and type them.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use zeroize::Zeroizing;

use crate::keys::{KeyError, random};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS: usize = 16;

/// A claim code. `Debug` prints `…`; memory is wiped on drop.
pub struct ClaimCode(Zeroizing<String>);

impl std::fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimCode(…)")
    }
}

impl ClaimCode {
    /// A fresh random one.
    pub fn generate() -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(random::<CHARACTERS>()?);
        // 32 divides 256: each character is uniform.
        Ok(Self(Zeroizing::new(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())))
    }

    /// Reads one as typed: case, hyphens and spaces do not matter, and I, L and O are read as 1, 1 and 0.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = Zeroizing::new(String::with_capacity(CHARACTERS));
        for c in text.chars().filter(|c| !matches!(c, '-' | ' ')) {
            let c = match c.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                c => c,
            };
            if code.len() == CHARACTERS || !c.is_ascii() || !ALPHABET.contains(&(c as u8)) {
                return None;
            }
            code.push(c);
        }
        (code.len() == CHARACTERS).then_some(Self(code))
    }

    /// The code in groups of four, to be shown once.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + 3));
        for (i, c) in self.0.chars().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push('-');
            }
            text.push(c);
        }
        text
    }

    /// Its Argon2id hash (RFC 9106), a PHC string. Takes tens of milliseconds: not for an async thread.
    pub fn hash(&self) -> Result<String, KeyError> {
        let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| KeyError::Generate)?;
        let hash = Argon2::default().hash_password(self.0.as_bytes(), &salt).map_err(|_| KeyError::Generate)?;
        Ok(hash.to_string())
    }

    /// Whether `hash` is of this code. Takes as long as [`ClaimCode::hash`].
    pub fn matches(&self, hash: &str) -> bool {
        PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(self.0.as_bytes(), &hash).is_ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_code_survives_being_written_down() {
        let code = ClaimCode::generate().unwrap();
        let hash = code.hash().unwrap();
        let typed = code.reveal().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert!(ClaimCode::parse(&typed).unwrap().matches(&hash));
        assert!(!ClaimCode::generate().unwrap().matches(&hash));
        assert_eq!(code.reveal().len(), 19);
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        for text in ["", "ABCD", "ABCD-EFGH-JKMN-PQRU", "ABCD-EFGH-JKMN-PQRST", "ФBCD-EFGH-JKMN-PQRS"] {
            assert!(ClaimCode::parse(text).is_none(), "{text}");
        }
    }
}
