//! Identifiers, each of a type of its own so that none is taken for another, and the rule for subject tokens.

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier of the wanted kind. Never repeats the text: it may be personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, too long, or with characters that have no place in a topic or a URL.
    #[error("an identifier is 1 to 64 of the characters a-z, 0-9 and '-', and starts and ends with a letter or digit")]
    Malformed,
    /// Not an opaque token.
    #[error(
        "a subject token must be opaque: a UUID (RFC 9562) or 32 to 64 hexadecimal digits, such as an HMAC of your own \
         id; a phone number, an e-mail address, a document number or a name is refused"
    )]
    NotOpaque,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the form `[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?`.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if is_slug(&text) { Ok(Self(text)) } else { Err(IdError::Malformed) }
            }

            /// A fresh random one (UUID version 4, from the operating system).
            #[must_use]
            pub fn random() -> Self {
                Self(uuid::Uuid::new_v4().to_string())
            }

            /// One made of 16 random bytes of the caller's (as UUID version 4).
            #[must_use]
            pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+};
}

ids! {
    /// A house or another place with a common set of admitted credentials.
    SiteId,
    /// A controller; also its certificate's common name and its MQTT client id.
    ControllerId,
    /// A barrier or a door, unique within the whole installation.
    AccessPointId,
    /// A property developer or managing company.
    CustomerId,
    /// A registered plate at a site.
    PlateId,
    /// A pass for a guest.
    GuestPassId,
    /// A registered card at a site: not its number.
    CardId,
    /// A biometric reference (ISO/IEC 2382-37).
    TemplateId,
    /// A version of the text that residents consent to.
    ConsentTextId,
    /// A recorded consent.
    ConsentId,
    /// One order to erase a subject's biometrics.
    ErasureId,
    /// One property sale.
    SaleId,
    /// One order to open.
    CommandId,
    /// One start of a controller program.
    BootId,
    /// One connection of a controller, from its hello to its end.
    SessionId,
    /// One event of a controller.
    EventId,
    /// Where a customer, or the operator, is told what happens.
    WebhookId,
}

fn is_slug(text: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|&c| edge(c) || c == b'-')
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
}

/// The customer's opaque name for a resident (requirement S6). `Debug` prints `…`: the token is a pseudonym.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectToken(String);

impl SubjectToken {
    /// A UUID or 32–64 hexadecimal digits, in lower case afterwards. Decimal digits alone are refused: a phone or a
    /// document number padded with zeros would pass otherwise.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let text = text.to_ascii_lowercase();
        let is_uuid = text.len() == 36 && uuid::Uuid::try_parse(&text).is_ok();
        let is_hex = (32..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
        let has_letter = text.bytes().any(|c| c.is_ascii_alphabetic());
        let has_digit = text.bytes().any(|c| c.is_ascii_digit());
        if (is_uuid || is_hex) && has_letter && has_digit { Ok(Self(text)) } else { Err(IdError::NotOpaque) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectToken(…)")
    }
}

impl TryFrom<String> for SubjectToken {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<SubjectToken> for String {
    fn from(token: SubjectToken) -> Self {
        token.0
    }
}

/// A point in a site's change log. Revision 0 is the empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn personal_data_is_no_subject_token() {
        for text in [
            "",
            "+79161234567",
            "89161234567",
            "00000000000000000000079161234567",
            "ivan.petrov@example.org",
            "4509 123456",
            "Иван Петров",
            "ivan-petrov-the-resident-of-flat-77",
            "abcdefabcdefabcdefabcdefabcdefab",
        ] {
            assert_eq!(SubjectToken::new(text), Err(IdError::NotOpaque), "{text}");
        }
    }

    #[test]
    fn a_uuid_and_an_hmac_are_subject_tokens() {
        assert!(SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").is_ok());
        assert!(SubjectToken::new(&"0a".repeat(32)).is_ok());
    }

    #[test]
    fn a_subject_token_prints_nothing() {
        let token = SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap();
        assert_eq!(format!("{token:?}"), "SubjectToken(…)");
    }

    proptest! {
        #[test]
        fn an_id_never_carries_a_topic_wildcard_or_separator(text in ".{0,80}") {
            if let Ok(id) = SiteId::new(text) {
                prop_assert!(!id.as_str().contains(['/', '+', '#', '\0', ' ']));
            }
        }

        #[test]
        fn decimal_numbers_are_never_subject_tokens(text in "[0-9 +()-]{1,70}") {
            prop_assert!(SubjectToken::new(&text).is_err());
        }
    }
}
