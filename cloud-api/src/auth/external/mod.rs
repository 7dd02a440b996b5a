//! Other issuers (Keycloak and the like) whose access tokens count here, as the configuration says: a customer's own, or the
//! operator's.
//!
//! A token is judged by [`judge`], which knows no I/O, with a key of the issuer's from [`keys`]. What it may do follows from
//! a claim and the table in the configuration; whose data it reaches stands in the configuration alone, so that no issuer
//! can reach another customer's. The account of such a token is a keyed fingerprint of its `sub`, which may be an e-mail
//! address and is kept nowhere.

pub(super) mod judge;
mod keys;
mod source;

use cardea_access::time::{Monotonic, Timestamp};
use serde::Deserialize;

use crate::auth::Caller;
use crate::config::ExternalIssuer;
use crate::keys::Vault;
use crate::problem::Problem;
use keys::IssuerKeys;
use source::Source;
pub use source::SourceError;

/// The issuers of the configuration.
#[derive(Debug, Default)]
pub struct ExternalIssuers(Vec<Issuer>);

#[derive(Debug)]
struct Issuer {
    settings: ExternalIssuer,
    keys: IssuerKeys,
}

/// A moment, by both clocks: tokens have dates, caches have ages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) monotonic: Monotonic,
}

#[derive(Deserialize)]
struct Named {
    iss: String,
}

impl ExternalIssuers {
    /// Prepares them; nothing is fetched before a token needs it.
    pub fn new(settings: &[ExternalIssuer]) -> Result<Self, SourceError> {
        let issuers = settings.iter().map(|settings| {
            let source = Source::new(&settings.issuer, settings.ca_file.as_deref())?;
            Ok(Issuer { keys: IssuerKeys::new(source), settings: settings.clone() })
        });
        Ok(Self(issuers.collect::<Result<_, SourceError>>()?))
    }

    /// The caller behind a token that names one of these issuers. `None`: it names none of them.
    pub(crate) async fn caller(
        &self,
        vault: &Vault,
        now: Moment,
        token: &str,
        thumbprint: &str,
    ) -> Option<Result<Caller, Problem>> {
        // What it says of itself chooses the key it is verified with, and nothing else.
        let named = jsonwebtoken::dangerous::insecure_decode_claims::<Named>(token).ok()?;
        let issuer = self.0.iter().find(|issuer| issuer.settings.issuer == named.iss)?;
        Some(issuer.caller(vault, now, token, thumbprint).await)
    }
}

impl Issuer {
    async fn caller(&self, vault: &Vault, now: Moment, token: &str, thumbprint: &str) -> Result<Caller, Problem> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Problem::TokenInvalid("it is not a signed JWT"))?;
        let kid = judge::header(&self.settings, &header).map_err(Problem::TokenInvalid)?;
        let key = self.keys.get(now.monotonic, kid).await.map_err(|_| Problem::IssuerUnavailable)?;
        let key = key.ok_or(Problem::TokenInvalid("no key of its issuer has signed it"))?;
        let judged = judge::token(&self.settings, &key, &header, token, now.wall, thumbprint);
        let (role, sub) = judged.map_err(Problem::TokenInvalid)?;
        let account = format!("{}\n{sub}", self.settings.issuer);
        let fingerprint = hex::encode(&vault.derive("external account", account.as_bytes())[..16]);
        let customer = self.settings.customer.clone();
        Ok(Caller { principal_id: format!("external-{fingerprint}"), role, customer, openid: false })
    }
}
