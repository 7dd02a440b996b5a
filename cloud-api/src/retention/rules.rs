//! How long what is kept: the one table. The configuration's `[retention]`, its limits, the job and the data inventory's
//! column all come from it.

use serde::Deserialize;

use crate::config::ConfigError;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $text:ident $field:ident $key:literal: $since:literal, $default:literal, $min:literal to $max:literal;)+) => {
        /// `[retention]`: days.
        #[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
        #[serde(deny_unknown_fields, default)]
        pub struct Retention { $($(#[doc = $doc])+ pub $field: u32),+ }

        impl Default for Retention {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl Retention {
            /// Refuses what is outside the limits.
            pub(crate) fn validate(&self) -> Result<(), ConfigError> {
                $(if !($min..=$max).contains(&self.$field) {
                    let rule = concat!($min, " to ", $max, " days");
                    return Err(ConfigError::Value { key: $key, value: self.$field.to_string(), rule });
                })+
                Ok(())
            }
        }

        $(#[doc = concat!("The data inventory's words for `", $key, "`.")]
        pub(crate) const $text: &str = concat!($since, ": ", $default, " days unless `", $key, "` says otherwise");)+

        /// Key, default, least and most of each rule, and since when it counts: for the tests of the documents.
        #[cfg(test)]
        pub(crate) const RULES: &[(&str, u32, u32, u32, &str)] = &[$(($key, $default, $min, $max, $since)),+];
    };
}

rules! {
    /// Events, from when the cloud got them.
    EVENTS events_days "retention.events_days": "after the cloud got it", 365, 30 to 3_650;
    /// Orders to open, from when they were given.
    COMMANDS commands_days "retention.commands_days": "after the order", 365, 30 to 3_650;
    /// The audit, from its beginning.
    AUDIT audit_days "retention.audit_days": "after the call", 1_095, 365 to 3_650;
    /// Consents that have ended and erasures that are complete, from then.
    EVIDENCE evidence_days "retention.evidence_days":
        "evidence, without the data it is about, after the consent has ended or the erasure is complete", 1_095, 365 to 3_650;
    /// Plates and cards whose period is over, from its end.
    EXPIRED expired_days "retention.expired_days": "until removed, sold, or after its period is over", 30, 1 to 365;
    /// Logins, their tokens and codes, from when they have expired.
    LOGINS logins_days "retention.logins_days": "after the login has expired", 7, 1 to 365;
}
