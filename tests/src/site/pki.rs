//! A certification authority for the demo's customer and operator, made anew for every site, and for peers of benchmarks.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

/// A CA that vouches for the HTTPS clients of the cloud.
pub struct ClientCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    now: OffsetDateTime,
}

/// Files of one client or server: certificate chain and private key, PEM.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The certificate's subject as RFC 4514 writes it.
    pub subject_dn: String,
}

impl ClientCa {
    /// Makes a CA in `dir`, valid from a day before `now`.
    pub fn create(dir: &Path, name: &str, now: OffsetDateTime) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(30);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        std::fs::write(dir.join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, dir: dir.to_owned(), now })
    }

    /// The CA's certificate file.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Issues a client certificate with the subject `CN=name,O=organisation`.
    pub fn client(&self, organisation: &str, name: &str) -> anyhow::Result<ClientFiles> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, name, format!("CN={name},O={organisation}"))
    }

    /// Issues a server certificate for a host.
    pub fn server(&self, host: &str) -> anyhow::Result<ClientFiles> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, host, format!("CN={host}"))
    }

    fn issue(&self, mut params: CertificateParams, name: &str, subject_dn: String) -> anyhow::Result<ClientFiles> {
        params.not_before = self.now - Duration::days(1);
        params.not_after = self.now + Duration::days(7);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = ClientFiles {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
            subject_dn,
        };
        std::fs::write(&files.certificate, certificate.pem())?;
        write_private(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}
