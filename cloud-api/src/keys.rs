//! The cloud's secrets at rest: the vault key, and the Ed25519 keys it signs with.
//!
//! `vault.key` is 32 random bytes. Everything derived from it has a purpose of its own (HMAC-SHA-256 of a label, as
//! HKDF-Expand, RFC 5869 §2.3, does for one block), so that a wrapped key is never taken for a tombstone. It encrypts
//! the subjects' keys, those encrypt the templates; and it encrypts plates and hashes of cards where they rest ([`columns`]).
//! A backup of the database alone opens none of them.
//!
//! Keys that sign tokens come and go ([`crate::auth::token_keys`]); they lie in the database, encrypted under the vault key.
//!
//! Key files are created at the first start with mode 0600 and refused when others may read them.

mod columns;

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_protocol::at_rest::{self, AtRestError};
use cardea_protocol::id::{SiteId, SubjectToken, TemplateId, WebhookId};
use cardea_protocol::jws::{JwsError, Signer, Verifier};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub(crate) use columns::{Column, ColumnKeys, Place};

/// Why a key file or something under it could not be used. Names files, never contents.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refused.
    #[error(
        "the key file {path} cannot be read or created: check that the data directory exists and is the service's own"
    )]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the key file {path} is open to other users: chmod 600 it, and replace it if they should not have read it")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// Not a key of the expected kind.
    #[error("the key file {path} holds no usable key: restore it from the backup of keys")]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// Randomness or key generation failed inside the crypto library.
    #[error("the crypto library could not make a key")]
    Generate,
    /// A ciphertext is damaged, or was made under another key or for another row.
    #[error("a stored secret does not decrypt: it is damaged or belongs to another key file")]
    Decrypt,
}

impl From<AtRestError> for KeyError {
    fn from(error: AtRestError) -> Self {
        match error {
            AtRestError::Random => Self::Generate,
            AtRestError::Unreadable => Self::Decrypt,
        }
    }
}

/// Fills `bytes` from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyError::Generate)?;
    Ok(bytes)
}

/// The cloud's key file in memory.
pub struct Vault {
    master: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// Reads the key file, or creates it.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        let bytes = read_or_create(path, || Ok(Zeroizing::new(random::<32>()?.to_vec())))?;
        let master = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Malformed { path: path.into() })?;
        Ok(Self { master: Zeroizing::new(master) })
    }

    /// A vault with a key of the caller's: for tests.
    pub fn from_bytes(master: [u8; 32]) -> Self {
        Self { master: Zeroizing::new(master) }
    }

    /// Encrypts a subject's key for the row of that subject at that site: nonce and ciphertext.
    pub fn wrap(&self, site: &SiteId, subject: &SubjectToken, key: &SubjectKey) -> Result<Vec<u8>, KeyError> {
        let wrapping = self.derive("subject-key wrap", b"");
        Ok(at_rest::encrypt(wrapping.as_slice(), row(site, subject).as_bytes(), &key.0)?)
    }

    /// The key [`Vault::wrap`] wrapped for that subject at that site.
    pub fn unwrap(&self, site: &SiteId, subject: &SubjectToken, wrapped: &[u8]) -> Result<SubjectKey, KeyError> {
        let key =
            at_rest::decrypt(self.derive("subject-key wrap", b"").as_slice(), row(site, subject).as_bytes(), wrapped)?;
        if key.len() == 32 { Ok(SubjectKey(key)) } else { Err(KeyError::Decrypt) }
    }

    /// Encrypts a signing key for the database: nonce and ciphertext, associated data = its id.
    pub fn wrap_signing_key(&self, key: &SigningKey) -> Result<Vec<u8>, KeyError> {
        let wrapping = self.derive("signing-key wrap", b"");
        Ok(at_rest::encrypt(wrapping.as_slice(), key.kid.as_bytes(), key.private_pem.as_bytes())?)
    }

    /// The key of that id that [`Vault::wrap_signing_key`] wrapped.
    pub fn unwrap_signing_key(&self, kid: &str, wrapped: &[u8]) -> Result<SigningKey, KeyError> {
        let pem = at_rest::decrypt(self.derive("signing-key wrap", b"").as_slice(), kid.as_bytes(), wrapped)?;
        let pem = std::str::from_utf8(&pem).map(|pem| Zeroizing::new(pem.to_owned())).map_err(|_| KeyError::Decrypt)?;
        SigningKey::from_pem(pem).filter(|key| key.kid == kid).ok_or(KeyError::Decrypt)
    }

    /// Encrypts the secret of a webhook for the database: nonce and ciphertext, associated data = its id.
    pub fn wrap_webhook_secret(&self, webhook: &WebhookId, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        let wrapping = self.derive("webhook-secret wrap", b"");
        Ok(at_rest::encrypt(wrapping.as_slice(), webhook.as_str().as_bytes(), secret)?)
    }

    /// The secret that [`Vault::wrap_webhook_secret`] wrapped for that webhook.
    pub fn unwrap_webhook_secret(&self, webhook: &WebhookId, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let wrapping = self.derive("webhook-secret wrap", b"");
        Ok(at_rest::decrypt(wrapping.as_slice(), webhook.as_str().as_bytes(), wrapped)?)
    }

    /// A keyed fingerprint of `value`, for tombstones: equal values are found, none can be read back.
    pub fn hmac(&self, value: &[u8]) -> [u8; 32] {
        *self.derive("sale block", value)
    }

    /// Tells this key file from every other, and nothing about it.
    pub(crate) fn mark(&self) -> [u8; 32] {
        *self.derive("mark", b"")
    }

    /// 32 bytes that only this key file yields for `purpose` and `value`.
    pub(crate) fn derive(&self, purpose: &str, value: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.master.as_slice()));
        context.update(&(purpose.len() as u64).to_be_bytes());
        context.update(purpose.as_bytes());
        context.update(value);
        let mut derived = Zeroizing::new([0; 32]);
        derived.copy_from_slice(context.sign().as_ref());
        derived
    }
}

fn row(site: &SiteId, subject: &SubjectToken) -> String {
    format!("{site}/{}", subject.as_str())
}

/// The key of one subject's templates at one site. Gone with its row, and overwritten when dropped. It lies on the heap: an
/// array would be copied wherever it is moved, and only its last copy be overwritten.
pub struct SubjectKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(…)")
    }
}

impl SubjectKey {
    /// A fresh one.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(at_rest::random_key()?))
    }

    /// Encrypts a template's bytes: nonce and ChaCha20-Poly1305 ciphertext (RFC 8439), associated data = its id.
    pub fn encrypt(&self, template: &TemplateId, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(at_rest::encrypt(&self.0, template.as_str().as_bytes(), plaintext)?)
    }

    /// The bytes [`SubjectKey::encrypt`] encrypted under that id.
    pub fn decrypt(&self, template: &TemplateId, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(at_rest::decrypt(&self.0, template.as_str().as_bytes(), ciphertext)?)
    }
}

/// An Ed25519 key pair (RFC 8032) the cloud signs with: one for controllers and exports, others in turn for tokens.
#[derive(Clone)]
pub struct SigningKey {
    private_pem: Zeroizing<String>,
    public_pem: String,
    public: Vec<u8>,
    kid: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.kid)
    }
}

impl SigningKey {
    /// Reads the PKCS#8 PEM file, or creates it.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        let pem = read_or_create(path, || {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|_| KeyError::Generate)?;
            Ok(Zeroizing::new(pair.serialize_pem().into_bytes()))
        })?;
        let malformed = || KeyError::Malformed { path: path.into() };
        let private_pem = Zeroizing::new(std::str::from_utf8(&pem).map_err(|_| malformed())?.to_owned());
        Self::from_pem(private_pem).ok_or_else(malformed)
    }

    /// A fresh one, in memory only.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|_| KeyError::Generate)?;
        Self::from_pem(Zeroizing::new(pair.serialize_pem())).ok_or(KeyError::Generate)
    }

    fn from_pem(private_pem: Zeroizing<String>) -> Option<Self> {
        let pair = rcgen::KeyPair::from_pem(&private_pem).ok()?;
        if !pair.is_compatible(&rcgen::PKCS_ED25519) {
            return None;
        }
        let public = pair.public_key_raw().to_vec();
        let public_pem = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let public_pem = spki_pem(&public_pem);
        let kid = thumbprint(&public);
        Some(Self { private_pem, public_pem, public, kid })
    }

    /// For messages, receipts and exports.
    pub fn signer(&self) -> Result<Signer, JwsError> {
        Signer::ed25519(&self.private_pem, self.kid.clone())
    }

    /// The other half of [`SigningKey::signer`].
    pub fn verifier(&self) -> Result<Verifier, JwsError> {
        Verifier::ed25519(&self.public_pem)
    }

    /// PKCS#8 PEM.
    pub(crate) fn private_pem(&self) -> &Zeroizing<String> {
        &self.private_pem
    }

    /// SPKI PEM, as controllers pin it.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// Key id: the JWK thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JSON Web Key of the public half (RFC 8037 §2).
    pub fn jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(&self.public),
            "kid": self.kid, "use": "sig", "alg": "EdDSA",
        })
    }
}

fn thumbprint(public: &[u8]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

fn spki_pem(der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
}

/// Reads a secret file that must be the owner's alone; creates it with `make` where there is none.
pub(crate) fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, KeyError>,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let io = |source| KeyError::Io { path: path.into(), source };
    match std::fs::read(path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let mode = std::fs::metadata(path).map_err(io)?.permissions().mode();
            let others = mode & 0o077;
            if others == 0 { Ok(bytes) } else { Err(KeyError::Exposed { path: path.into() }) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = make()?;
            // Complete before it has its name, so that a power cut never leaves half a key behind.
            let partial = path.with_extension("partial");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)
                .map_err(io)?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)?;
            std::fs::rename(&partial, path).map_err(io)?;
            if let Some(folder) = path.parent() {
                std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
            }
            Ok(bytes)
        }
        Err(error) => Err(io(error)),
    }
}

/// The password in a file that must be the owner's alone; a line end after it is not part of it.
pub(crate) fn password(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let missing = || KeyError::Io { path: path.into(), source: io::ErrorKind::NotFound.into() };
    let mut password = read_or_create(path, || Err(missing()))?;
    while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        password.pop();
    }
    if password.is_empty() { Err(KeyError::Malformed { path: path.into() }) } else { Ok(password) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ids() -> (SiteId, SubjectToken, TemplateId) {
        let subject = SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap();
        (SiteId::new("site-1").unwrap(), subject, TemplateId::new("t-1").unwrap())
    }

    #[test]
    fn a_template_opens_under_its_own_subject_and_id_only() {
        let (site, subject, template) = ids();
        let vault = Vault::from_bytes([7; 32]);
        let key = SubjectKey::generate().unwrap();
        let wrapped = vault.wrap(&site, &subject, &key).unwrap();
        let ciphertext = key.encrypt(&template, b"vector").unwrap();

        let again = vault.unwrap(&site, &subject, &wrapped).unwrap();
        assert_eq!(again.decrypt(&template, &ciphertext).unwrap().as_slice(), b"vector");

        assert!(again.decrypt(&TemplateId::new("t-2").unwrap(), &ciphertext).is_err());
        assert!(vault.unwrap(&SiteId::new("site-2").unwrap(), &subject, &wrapped).is_err());
        assert!(Vault::from_bytes([8; 32]).unwrap(&site, &subject, &wrapped).is_err());
        assert!(again.decrypt(&template, &ciphertext[..5]).is_err());
    }

    #[test]
    fn a_signing_key_opens_under_its_own_id_only() {
        let (vault, key) = (Vault::from_bytes([7; 32]), SigningKey::generate().unwrap());
        let wrapped = vault.wrap_signing_key(&key).unwrap();
        assert_eq!(vault.unwrap_signing_key(key.kid(), &wrapped).unwrap().private_pem, key.private_pem);
        assert!(vault.unwrap_signing_key(SigningKey::generate().unwrap().kid(), &wrapped).is_err());
        assert!(Vault::from_bytes([8; 32]).unwrap_signing_key(key.kid(), &wrapped).is_err());
    }

    #[test]
    fn purposes_do_not_mix() {
        let vault = Vault::from_bytes([7; 32]);
        assert_ne!(*vault.derive("a", b"bc"), *vault.derive("ab", b"c"));
        assert_ne!(vault.hmac(b"A123BC77"), vault.hmac(b"A123BC777"));
    }

    #[test]
    fn keys_persist_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign.key");
        let first = SigningKey::open_or_create(&path).unwrap();
        let second = SigningKey::open_or_create(&path).unwrap();
        assert_eq!(first.kid(), second.kid());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SigningKey::open_or_create(&path), Err(KeyError::Exposed { .. })));
        let vault = folder.path().join("vault.key");
        std::fs::write(&vault, b"short").unwrap();
        std::fs::set_permissions(&vault, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Vault::open_or_create(&vault), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn a_password_ends_before_the_line_does_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        assert!(matches!(password(&path), Err(KeyError::Io { .. })));
        std::fs::write(&path, "a secret\r\n").unwrap();
        assert!(matches!(password(&path), Err(KeyError::Exposed { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password(&path).unwrap().as_slice(), b"a secret");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(password(&path), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({}, …)", key.kid()));
        assert_eq!(
            format!("{:?} {:?}", Vault::from_bytes([1; 32]), SubjectKey::generate().unwrap()),
            "Vault(…) SubjectKey(…)"
        );
    }
}
