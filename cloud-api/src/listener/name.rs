//! Distinguished names as strings (RFC 4514), as `openssl x509 -subject -nameopt RFC2253` prints them.

use x509_parser::asn1_rs::ToDer as _;
use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

/// The name as a string: most significant last. `None` for a value that cannot be encoded.
pub(super) fn rfc4514(name: &X509Name<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for rdn in name.iter_rdn() {
        let attributes: Option<Vec<String>> = rdn.iter().map(attribute).collect();
        parts.push(attributes?.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// §2.3: the short names every implementation must know; any other type as its number, with the value's DER.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let oid = attribute.attr_type().to_id_string();
    let short = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return Some(format!("{oid}=#{}", hex::encode(attribute.attr_value().to_der_vec().ok()?))),
    };
    Some(format!("{short}={}", escape(attribute.as_str().ok()?)))
}

/// §2.4.
fn escape(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(value.len());
    for (i, c) in value.chars().enumerate() {
        match c {
            '\0' => escaped.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', c]),
            ' ' if i == 0 || i == last => escaped.push_str("\\ "),
            '#' if i == 0 => escaped.push_str("\\#"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    fn dn_of(attributes: &[(DnType, &str)]) -> String {
        let mut name = DistinguishedName::new();
        for (kind, value) in attributes {
            name.push(kind.clone(), *value);
        }
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = name;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        rfc4514(parsed.subject()).unwrap()
    }

    #[test]
    fn the_most_significant_part_comes_last() {
        let dn = dn_of(&[
            (DnType::CountryName, "RU"),
            (DnType::OrganizationName, "Demo Homes"),
            (DnType::CommonName, "backend"),
        ]);
        assert_eq!(dn, "CN=backend,O=Demo Homes,C=RU");
    }

    #[test]
    fn a_comma_in_a_name_is_not_another_attribute() {
        assert_eq!(dn_of(&[(DnType::CommonName, "a,O=Other")]), "CN=a\\,O=Other");
        assert_eq!(dn_of(&[(DnType::CommonName, " #x ")]), "CN=\\ #x\\ ");
        assert_eq!(escape("#x"), "\\#x");
    }

    #[test]
    fn an_unnamed_attribute_keeps_its_bytes() {
        let dn = dn_of(&[(DnType::CustomDnType(vec![1, 2, 3, 4]), "x")]);
        assert_eq!(dn, "1.2.3.4=#0c0178");
    }
}
