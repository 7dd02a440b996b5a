//! What the form carries from the page to its submission: the request, readable, and a proof that this cloud made it for this
//! browser not long ago. A page of somebody else can therefore submit nothing in a person's name.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_access::time::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::request::Wanted;
use crate::keys::{Vault, random};
use crate::problem::Problem;

/// So long somebody may take to type a password.
const FORM_LIFETIME_MS: i64 = 10 * 60 * 1_000;
/// The prefix has browsers see to it that nobody but this very host has set it.
const COOKIE: &str = "__Host-cardea-sign-in";

/// A browser, known by a random cookie that means nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Browser(String);

impl Browser {
    /// The one that sends its cookie, or a new one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match Self::known(headers) {
            Some(browser) => Ok(browser),
            None => {
                let random = random::<32>().map_err(|error| Problem::internal(&error))?;
                Ok(Self(URL_SAFE_NO_PAD.encode(random)))
            }
        }
    }

    /// The one that sends its cookie.
    pub(super) fn known(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
        let good = URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == 32);
        good.then(|| Self(value.to_owned()))
    }

    /// Sets the cookie. Lax: it comes along when a client sends the browser here, and never with another site's form.
    pub(super) fn cookie(&self) -> Result<HeaderValue, Problem> {
        let cookie = format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax", self.0);
        HeaderValue::try_from(cookie).map_err(|error| Problem::internal(&error))
    }
}

/// The two hidden fields.
#[derive(Clone, Debug)]
pub(super) struct SealedForm {
    pub(super) request: String,
    pub(super) csrf: String,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    wanted: Wanted,
    until: i64,
}

impl SealedForm {
    pub(super) fn seal(vault: &Vault, browser: &Browser, wanted: &Wanted, now: Timestamp) -> Result<Self, Problem> {
        let contents = Contents { wanted: wanted.clone(), until: now.plus_ms(FORM_LIFETIME_MS).0 };
        let contents = serde_json::to_vec(&contents).map_err(|error| Problem::internal(&error))?;
        let request = URL_SAFE_NO_PAD.encode(contents);
        let csrf = URL_SAFE_NO_PAD.encode(proof(vault, browser, &request));
        Ok(Self { request, csrf })
    }

    /// What was sealed, if it was for this browser and is not too old.
    pub(super) fn open(&self, vault: &Vault, browser: &Browser, now: Timestamp) -> Option<Wanted> {
        let csrf = URL_SAFE_NO_PAD.decode(&self.csrf).ok()?;
        if !bool::from(csrf.ct_eq(proof(vault, browser, &self.request).as_slice())) {
            return None;
        }
        let contents = URL_SAFE_NO_PAD.decode(&self.request).ok()?;
        let contents: Contents = serde_json::from_slice(&contents).ok()?;
        (now.0 < contents.until).then_some(contents.wanted)
    }
}

fn proof(vault: &Vault, browser: &Browser, request: &str) -> [u8; 32] {
    *vault.derive("sign-in form", format!("{}/{request}", browser.0).as_bytes())
}
