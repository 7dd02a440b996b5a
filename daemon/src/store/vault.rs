//! Encryption at rest: templates under their subject's own key (ChaCha20-Poly1305, RFC 8439), those keys under the
//! device's key file.

use std::path::Path;

use cardea_protocol::at_rest::{self, AtRestError, KEY_LEN};
use zeroize::Zeroizing;

use crate::identity::files::{self, FileError};

/// A ciphertext does not open: another key, another row, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored ciphertext does not open with this controller's device key")]
pub struct Unreadable;

impl From<AtRestError> for Unreadable {
    fn from(_: AtRestError) -> Self {
        Self
    }
}

/// Why the device key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceKeyError {
    /// The file cannot be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not 32 bytes.
    #[error(
        "the device key {0} is not 32 bytes: restore it, or remove it with the database and claim the controller anew"
    )]
    Length(std::path::PathBuf),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// The key that wraps subjects' keys. `Debug` prints `…`; memory is wiped on drop.
#[derive(Clone)]
pub struct DeviceKey(Zeroizing<[u8; KEY_LEN]>);

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

impl DeviceKey {
    /// Reads the key file, or makes it (mode 0600) if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, DeviceKeyError> {
        if let Some(bytes) = files::read_secret(path)? {
            let key = <[u8; KEY_LEN]>::try_from(bytes.as_slice()).map_err(|_| DeviceKeyError::Length(path.into()))?;
            return Ok(Self(Zeroizing::new(key)));
        }
        let mut key = Self(Zeroizing::new([0; KEY_LEN]));
        aws_lc_rs::rand::fill(key.0.as_mut_slice()).map_err(|_| DeviceKeyError::Random)?;
        files::write_secret(path, key.0.as_slice())?;
        Ok(key)
    }

    /// A key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh key for one subject, and the same wrapped for its row.
    pub(super) fn new_subject_key(&self, subject: &str) -> Result<(SubjectKey, Vec<u8>), Unreadable> {
        let key = at_rest::random_key()?;
        let wrapped = at_rest::encrypt(self.0.as_slice(), subject.as_bytes(), &key)?;
        Ok((SubjectKey(key), wrapped))
    }

    /// Opens a subject's wrapped key.
    pub(super) fn unwrap(&self, subject: &str, wrapped: &[u8]) -> Result<SubjectKey, Unreadable> {
        let key = at_rest::decrypt(self.0.as_slice(), subject.as_bytes(), wrapped)?;
        if key.len() == KEY_LEN { Ok(SubjectKey(key)) } else { Err(Unreadable) }
    }
}

/// One subject's key, as [`at_rest::random_key`] makes it; memory is wiped on drop.
pub(super) struct SubjectKey(Zeroizing<Vec<u8>>);

impl SubjectKey {
    pub(super) fn encrypt(&self, template_id: &str, plaintext: &[u8]) -> Result<Vec<u8>, Unreadable> {
        Ok(at_rest::encrypt(&self.0, template_id.as_bytes(), plaintext)?)
    }

    pub(super) fn decrypt(&self, template_id: &str, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        Ok(at_rest::decrypt(&self.0, template_id.as_bytes(), ciphertext)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_ciphertext_opens_only_in_its_own_row_with_its_own_keys() {
        let device = DeviceKey::from_bytes([7; 32]);
        let (key, wrapped) = device.new_subject_key("subject").unwrap();
        let ciphertext = key.encrypt("t-1", b"template").unwrap();
        let again = device.unwrap("subject", &wrapped).unwrap();
        assert_eq!(again.decrypt("t-1", &ciphertext).unwrap().as_slice(), b"template");
        assert_eq!(again.decrypt("t-2", &ciphertext).unwrap_err(), Unreadable);
        assert!(device.unwrap("another", &wrapped).is_err());
        assert!(DeviceKey::from_bytes([8; 32]).unwrap("subject", &wrapped).is_err());
        assert!(again.decrypt("t-1", &ciphertext[..5]).is_err());
    }

    #[test]
    fn the_key_file_is_made_once_and_for_this_user_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let first = DeviceKey::load_or_create(&path).unwrap();
        let second = DeviceKey::load_or_create(&path).unwrap();
        assert_eq!(first.0, second.0);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(DeviceKey::load_or_create(&path), Err(DeviceKeyError::Length(_))));
    }
}
