//! Who is asking, and whether they may: an OpenID Provider in the small.
//!
//! A trusted client certificate gets a connection ([`crate::listener`]), a credential gets an access token bound to that
//! certificate ([`token`], RFC 8705), and the token's role decides operation by operation ([`roles`]). [`guard`] stands
//! before every endpoint and does all of it, and the audit; handlers see a [`Caller`] and nothing of tokens.

mod access_token;
pub(crate) mod authorize;
mod certificate_name;
mod client;
pub(crate) mod discovery;
pub(crate) mod external;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod id_token;
pub(crate) mod introspect;
pub(crate) mod jwks;
mod key_ring;
pub(crate) mod oauth;
mod password;
mod redirect_uri;
pub(crate) mod revoke;
pub mod roles;
mod scope;
mod throttle;
pub mod token;
pub mod token_keys;
pub(crate) mod userinfo;

pub use access_token::{AccessTokens, Claims, Grant};
pub(crate) use certificate_name::{CertificateName, CertificateNameError};
pub use external::{ExternalIssuers, SourceError};
pub use guard::Caller;
pub(crate) use guard::{Access, Concerned, Target, guard};
pub use key_ring::KeyRing;
pub(crate) use password::verify_password;
pub use password::{PasswordError, hash_password};
pub(crate) use redirect_uri::RedirectUri;
pub use throttle::Throttle;
