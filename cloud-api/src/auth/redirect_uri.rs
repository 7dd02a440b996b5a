//! Where a login by browser may lead back to (RFC 6749 §3.1.2, RFC 9700 §4.1.3): to a registered URI, compared as text.

use std::net::IpAddr;

use url::{Host, Url};

const MAX_BYTES: usize = 1_000;

/// Why a text is no redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a redirect URI is absolute and https (http to 127.0.0.1 or [::1] for programs on the person's own machine), \
     written in its normal form, without fragment, user or password, and no longer than {MAX_BYTES} bytes"
)]
pub(crate) struct RedirectUriError;

/// A redirect URI, in its one way of being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectUri(Url);

impl RedirectUri {
    /// Checks a text.
    pub(crate) fn new(text: &str) -> Result<Self, RedirectUriError> {
        let url = Url::parse(text).map_err(|_| RedirectUriError)?;
        let loopback = match url.host() {
            Some(Host::Ipv4(ip)) => ip == std::net::Ipv4Addr::LOCALHOST,
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            _ => false,
        };
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
        let bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        // Two ways of writing one address are two addresses to whoever compares texts.
        let normal = url.as_str() == text && text.len() <= MAX_BYTES;
        if scheme && bare && normal { Ok(Self(url)) } else { Err(RedirectUriError) }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Scheme, host and port: what a page may send its form to.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address with these parameters behind those it has.
    pub(crate) fn with(&self, parameters: &[(&str, Option<&str>)]) -> String {
        let mut url = self.0.clone();
        {
            let mut query = url.query_pairs_mut();
            for (name, value) in parameters {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_addresses_that_are_safe_to_lead_to() {
        for good in [
            "https://app.example.org/back",
            "https://app.example.org:8443/back?tenant=1",
            "http://127.0.0.1:49152/back",
            "http://[::1]:49152/",
        ] {
            assert!(RedirectUri::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/back",
            "https://app.example.org",
            "HTTPS://app.example.org/",
            "https://APP.example.org/",
            "https://app.example.org/a/../b",
            "https://app.example.org/back#part",
            "https://app.example.org/back#",
            "https://user@app.example.org/",
            "https://app.example.org:443/",
            "https://app.example.org/a b",
            "http://app.example.org/",
            "http://localhost/",
            "http://127.0.0.1.example.org/",
            "http://10.0.0.1/",
            "javascript:alert(1)",
            "data:text/html,x",
            "com.example.app:/back",
            " https://app.example.org/",
        ] {
            assert_eq!(RedirectUri::new(bad), Err(RedirectUriError), "{bad}");
        }
    }

    #[test]
    fn answers_go_behind_the_query_that_is_there() {
        let uri = RedirectUri::new("https://app.example.org/back?a=b").unwrap();
        let answer = uri.with(&[("code", Some("x y")), ("state", None), ("iss", Some("https://c&d"))]);
        assert_eq!(answer, "https://app.example.org/back?a=b&code=x+y&iss=https%3A%2F%2Fc%26d");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_leads_to_its_own_host(
            text in "(https|http|HTTP|ftp|javascript)://?[a-z@:.#?/\\\\%0-9\\[\\]-]{1,40}", state in ".{0,40}",
        ) {
            if let Ok(uri) = RedirectUri::new(&text) {
                prop_assert!(!text.contains('#') && !text.split('/').nth(2).unwrap_or_default().contains('@'));
                let answer = Url::parse(&uri.with(&[("state", Some(&state))])).unwrap();
                prop_assert_eq!(answer.host_str(), uri.0.host_str());
                prop_assert_eq!(answer.path(), uri.0.path());
                let last = answer.query_pairs().last().unwrap();
                prop_assert_eq!((last.0.as_ref(), last.1.as_ref()), ("state", state.as_str()));
                prop_assert_eq!(RedirectUri::new(uri.as_str()), Ok(uri));
            }
        }
    }
}
