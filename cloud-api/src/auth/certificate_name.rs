//! What a client's certificate is known by (RFC 8705 §2.1.2): its subject, or one of its alternative names.
//!
//! As text, a subject stands by itself (RFC 4514), the others behind the name of their metadata parameter and a colon,
//! such as `san_dns:back-end.example.org`: no attribute type of a subject has an underscore.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::listener::Peer;

/// The registered name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateName {
    /// `tls_client_auth_subject_dn`: the subject, in the string form of RFC 4514.
    SubjectDn(String),
    /// `tls_client_auth_san_dns`: a dNSName, compared without regard to case. A wildcard is only itself.
    SanDns(String),
    /// `tls_client_auth_san_uri`: a uniformResourceIdentifier, compared octet by octet.
    SanUri(String),
    /// `tls_client_auth_san_ip`: an iPAddress, compared as an address, however it is written.
    SanIp(IpAddr),
    /// `tls_client_auth_san_email`: an rfc822Name; case counts before the @ only (RFC 5280 §7.5).
    SanEmail(String),
}

/// Why a text is no name of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not of the form that certificates carry it in")]
pub(crate) struct CertificateNameError(pub(crate) &'static str);

impl CertificateName {
    /// Of a `tls_client_auth_san_dns`.
    pub(crate) fn dns(text: &str) -> Result<Self, CertificateNameError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let good = text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err();
        if good { Ok(Self::SanDns(text.to_ascii_lowercase())) } else { Err(CertificateNameError("san_dns")) }
    }

    /// Of a `tls_client_auth_san_uri`.
    pub(crate) fn uri(text: &str) -> Result<Self, CertificateNameError> {
        let good = printable(text) && url::Url::parse(text).is_ok();
        if good { Ok(Self::SanUri(text.to_owned())) } else { Err(CertificateNameError("san_uri")) }
    }

    /// Of a `tls_client_auth_san_ip`.
    pub(crate) fn ip(text: &str) -> Result<Self, CertificateNameError> {
        text.parse().map(Self::SanIp).map_err(|_| CertificateNameError("san_ip"))
    }

    /// Of a `tls_client_auth_san_email`.
    pub(crate) fn email(text: &str) -> Result<Self, CertificateNameError> {
        let error = CertificateNameError("san_email");
        let (local, host) = text.rsplit_once('@').ok_or(error)?;
        let good = printable(text) && !local.is_empty() && !host.is_empty();
        if good { Ok(Self::SanEmail(format!("{local}@{}", host.to_ascii_lowercase()))) } else { Err(error) }
    }

    /// Whether the certificate carries it. The whole of a name counts, never a part.
    pub(crate) fn is_of(&self, peer: &Peer) -> bool {
        if let Self::SubjectDn(dn) = self {
            return dn.as_bytes().ct_eq(peer.subject_dn.as_bytes()).into();
        }
        let Ok((_, certificate)) = X509Certificate::from_der(&peer.certificate) else { return false };
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
        names.value.general_names.iter().any(|name| match (self, name) {
            (Self::SanDns(own), GeneralName::DNSName(dns)) => own.eq_ignore_ascii_case(dns),
            (Self::SanUri(own), GeneralName::URI(uri)) => own == uri,
            (Self::SanIp(own), GeneralName::IPAddress(bytes)) => ip(bytes) == Some(*own),
            (Self::SanEmail(_), GeneralName::RFC822Name(email)) => Self::email(email).as_ref() == Ok(self),
            _ => false,
        })
    }
}

fn printable(text: &str) -> bool {
    (1..=400).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubjectDn(dn) => f.write_str(dn),
            Self::SanDns(name) => write!(f, "san_dns:{name}"),
            Self::SanUri(uri) => write!(f, "san_uri:{uri}"),
            Self::SanIp(ip) => write!(f, "san_ip:{ip}"),
            Self::SanEmail(email) => write!(f, "san_email:{email}"),
        }
    }
}

impl FromStr for CertificateName {
    type Err = CertificateNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("san_dns", name)) => Self::dns(name),
            Some(("san_uri", uri)) => Self::uri(uri),
            Some(("san_ip", ip)) => Self::ip(ip),
            Some(("san_email", email)) => Self::email(email),
            _ => Ok(Self::SubjectDn(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn peer_with(names: Vec<SanType>) -> Peer {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = names;
        Peer::read(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der(), false).unwrap()
    }

    #[test]
    fn each_kind_is_found_whole_and_among_others() {
        let peer = peer_with(vec![
            SanType::DnsName("other.example.org".try_into().unwrap()),
            SanType::DnsName("Back-End.example.org".try_into().unwrap()),
            SanType::URI("urn:uuid:3a4b".try_into().unwrap()),
            SanType::IpAddress("10.0.0.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::Rfc822Name("gate@Example.org".try_into().unwrap()),
        ]);
        for (name, expected) in [
            ("san_dns:back-end.example.org", true),
            ("san_dns:end.example.org", false),
            ("san_dns:back-end.example.org.evil.org", false),
            ("san_dns:example.org", false),
            ("san_uri:urn:uuid:3a4b", true),
            ("san_uri:urn:uuid:3A4B", false),
            ("san_ip:10.0.0.7", true),
            ("san_ip:10.0.0.70", false),
            ("san_ip:2001:0db8:0:0::1", true),
            ("san_email:gate@example.org", true),
            ("san_email:Gate@example.org", false),
            ("san_email:gate@example.org.evil.org", false),
            ("CN=back-end.example.org", false),
        ] {
            assert_eq!(name.parse::<CertificateName>().unwrap().is_of(&peer), expected, "{name}");
        }
    }

    #[test]
    fn a_wildcard_and_another_kind_stand_for_nothing() {
        let peer = peer_with(vec![
            SanType::DnsName("*.example.org".try_into().unwrap()),
            SanType::URI("https://uri.example.org".try_into().unwrap()),
        ]);
        assert!(!CertificateName::dns("back-end.example.org").unwrap().is_of(&peer));
        assert!(!CertificateName::dns("uri.example.org").unwrap().is_of(&peer));
        assert!(!CertificateName::dns("nothing.example.org").unwrap().is_of(&peer_with(vec![])));
    }

    #[test]
    fn what_no_certificate_carries_is_refused() {
        for text in [
            "san_dns:*.example.org",
            "san_dns:",
            "san_dns:a..b",
            "san_dns:10.0.0.1",
            "san_uri:no scheme",
            "san_uri:x",
            "san_ip:10.0.0",
            "san_email:nobody",
            "san_email:@x",
            "san_email:a@",
        ] {
            assert!(text.parse::<CertificateName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_name_are_one(
            name in prop_oneof![
                "CN=[ -~]{0,20}".prop_map(CertificateName::SubjectDn),
                "[a-z0-9-]{1,20}(\\.[a-z]{1,10}){1,3}".prop_map(CertificateName::SanDns),
                "urn:[a-z0-9]{1,8}:[a-zA-Z0-9:]{1,20}".prop_map(CertificateName::SanUri),
                any::<IpAddr>().prop_map(CertificateName::SanIp),
                "[a-zA-Z.]{1,10}@[a-z]{1,10}\\.org".prop_map(CertificateName::SanEmail),
            ],
        ) {
            prop_assert_eq!(name.to_string().parse::<CertificateName>(), Ok(name));
        }
    }
}
