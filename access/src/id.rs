//! Identifiers as types, so that a plate's id is never taken for a subject's.
//!
//! All are opaque text made elsewhere (the cloud, the customer, the configuration). None may carry personal data;
//! the cloud refuses subject tokens that look like a phone, an e-mail or a name.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $debug:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&Self) -> &str = $debug;
                write!(f, "{}({})", stringify!($name), show(self))
            }
        }
    };
}

id! {
    /// A gate or door with its readers, as named by the controller's configuration.
    AccessPointId, Self::as_str
}
id! {
    /// An area that access points lead into and out of, as named by the controller's configuration.
    AreaId, Self::as_str
}
id! {
    /// A registered plate: the cloud's id of the registration, not the plate's text.
    PlateId, Self::as_str
}
id! {
    /// A biometric reference (template) of a subject.
    TemplateId, Self::as_str
}
id! {
    /// The opaque subject token the customer made for a resident.
    SubjectId, Self::as_str
}
id! {
    /// A card or fob number as its reader gives it. A credential: `Debug` hides it.
    CardId, |_| "…"
}
id! {
    /// A remote command, unique for ever.
    CommandId, Self::as_str
}
id! {
    /// One run of a controller between two starts. A command for another boot is void.
    BootId, Self::as_str
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_never_reaches_a_log() {
        assert_eq!(format!("{:?}", CardId::from("04A1B2C3")), "CardId(…)");
        assert_eq!(format!("{:?}", AccessPointId::from("gate")), "AccessPointId(gate)");
    }
}
