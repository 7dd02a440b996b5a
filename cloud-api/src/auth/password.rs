//! Passwords at rest and in comparison: Argon2id (RFC 9106), verified in constant time, off the async threads.

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

/// Shortest password taken, characters (NIST SP 800-63B-4 §3.1.1.2 for a single factor).
const MIN_PASSWORD_CHARACTERS: usize = 15;
/// Longest password taken, bytes.
const MAX_PASSWORD_BYTES: usize = 256;

/// Why a password is not taken. Never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error(
        "a password has {MIN_PASSWORD_CHARACTERS} characters to {MAX_PASSWORD_BYTES} bytes: let a generator make it"
    )]
    Length,
    /// The hash function failed.
    #[error("the password could not be hashed")]
    Hash,
}

/// RFC 9106 §4, second recommended option's order of cost, as OWASP states it: 19 MiB, 2 passes, 1 lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// The PHC string of a new password. Takes tens of milliseconds: call it off the async threads.
pub fn hash_password(password: &Zeroizing<String>) -> Result<String, PasswordError> {
    if password.chars().count() < MIN_PASSWORD_CHARACTERS || password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::Length);
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = argon2().hash_password(password.as_bytes(), &salt).map_err(|_| PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// A hash of nothing anyone knows: compared against where there is no account, so that both take the same time.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2FyZGVhLW5vYm9keS1oZXJl$lC7SUpJBXMD9Qz0H7AZ5QjcyQz8bW1C2a2Fy5V9aD0k";

/// Whether `password` is the one of `phc`; `None` takes as long and is never right.
pub(crate) fn verify_password(phc: Option<&str>, password: &Zeroizing<String>) -> bool {
    if password.len() > MAX_PASSWORD_BYTES {
        return false;
    }
    let Ok(hash) = PasswordHash::new(phc.unwrap_or(NOBODY)) else { return false };
    argon2().verify_password(password.as_bytes(), &hash).is_ok() && phc.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_right() {
        let password = Zeroizing::new("correct horse battery".to_owned());
        let phc = hash_password(&password).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify_password(Some(&phc), &password));
        assert!(!verify_password(Some(&phc), &Zeroizing::new("correct horse batterz".to_owned())));
        assert!(!verify_password(None, &password));
    }

    #[test]
    fn nobodys_hash_parses_so_that_it_costs_the_same() {
        let real = hash_password(&Zeroizing::new("correct horse battery".to_owned())).unwrap();
        let (nobody, real) = (PasswordHash::new(NOBODY).unwrap(), PasswordHash::new(&real).unwrap());
        assert_eq!((nobody.algorithm, nobody.version), (real.algorithm, real.version));
        assert_eq!(nobody.params.to_string(), real.params.to_string());
        let length = |hash: &PasswordHash<'_>| hash.hash.map(|output| output.len());
        assert_eq!(length(&nobody), length(&real));
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        for password in ["", "short", &"x".repeat(257)] {
            assert_eq!(hash_password(&Zeroizing::new(password.to_owned())), Err(PasswordError::Length));
        }
    }
}
