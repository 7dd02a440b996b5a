//! What becomes of an attempt.

use serde::Serialize;
use utoipa::ToSchema;

/// How one attempt to deliver a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The receiver answered 2xx.
    Delivered,
    /// It answered 410: it wants no more.
    Gone,
    /// It answered something else; a redirection is not followed.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// No connection: no such name, nobody there, or a certificate that is not trusted.
    Unreachable,
    /// Its address is none that this cloud connects to.
    AddressNotAllowed,
    /// Its secret does not decrypt: the cloud's operator has to look.
    NotSigned,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Gone,
        Self::Refused,
        Self::TimedOut,
        Self::Unreachable,
        Self::AddressNotAllowed,
        Self::NotSigned,
    ];

    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::AddressNotAllowed => "address-not-allowed",
            Self::NotSigned => "not-signed",
        }
    }

    /// The outcome of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// What an answer with that HTTP status means.
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_name(outcome.as_str()), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).ok(), Some(outcome.as_str().into()));
        }
    }

    #[test]
    fn only_2xx_is_success() {
        for status in 100..600 {
            let outcome = Outcome::of_status(status);
            assert_eq!(outcome == Outcome::Delivered, (200..300).contains(&status), "{status}");
            assert_eq!(outcome == Outcome::Gone, status == 410, "{status}");
        }
    }
}
