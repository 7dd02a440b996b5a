//! How this machine shows a camera who it is: HTTP Digest (RFC 7616; SHA-256 before MD5), and Basic (RFC 7617) where it is not
//! sent in clear text, or where the configuration says that it may be.

use std::sync::{Mutex, PoisonError};

use http_auth::{ChallengeRef, PasswordClient, PasswordParams, parse_challenges};
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use url::Url;

use crate::config::Secret;

/// User name and password for one camera, and what it last asked for.
pub(crate) struct Login {
    username: String,
    password: Secret,
    /// Basic may be sent without TLS.
    allow_basic: bool,
    asked: Mutex<Option<PasswordClient>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum LoginError {
    /// The request failed.
    Request(reqwest::Error),
    /// It asks for the password in clear text, or for something unknown.
    Refused(&'static str),
}

impl Login {
    pub(crate) fn new(username: Option<&String>, password: Option<&Secret>, allow_basic: bool) -> Option<Self> {
        Some(Self {
            username: username?.clone(),
            password: password.cloned().unwrap_or_else(|| Secret::from("")),
            allow_basic,
            asked: Mutex::default(),
        })
    }

    /// The header for a GET request to `url`, if it is known what the camera asks for.
    fn header(&self, url: &Url) -> Option<HeaderValue> {
        let uri = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let params = PasswordParams {
            username: &self.username,
            password: self.password.expose(),
            uri: &uri,
            method: "GET",
            body: Some(&[]),
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut value = HeaderValue::from_str(&asked.as_mut()?.respond(&params).ok()?).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Learns from a 401 what to answer next time.
    fn learn(&self, headers: &HeaderMap, encrypted: bool) -> Result<(), LoginError> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut challenges: Vec<ChallengeRef<'_>> =
            texts.filter_map(|text| parse_challenges(text).ok()).flatten().collect();
        let is = |challenge: &ChallengeRef<'_>, scheme: &str| challenge.scheme.eq_ignore_ascii_case(scheme);
        let basic_only = !challenges.iter().any(|challenge| is(challenge, "digest"));
        if !encrypted && !self.allow_basic {
            challenges.retain(|challenge| !is(challenge, "basic"));
            if basic_only {
                return Err(LoginError::Refused(
                    "it wants the password in clear text (Basic without TLS); set it to Digest, use https, or write \
                     allow_basic = true",
                ));
            }
        }
        let rank = |challenge: &ChallengeRef<'_>| {
            let algorithm = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case("algorithm"));
            let strong =
                algorithm.is_some_and(|(_, value)| value.as_escaped().to_ascii_uppercase().starts_with("SHA-256"));
            (!is(challenge, "digest"), !strong)
        };
        challenges.sort_by_key(rank);
        let builder =
            challenges.iter().fold(PasswordClient::builder(), |builder, challenge| builder.challenge(challenge));
        let client =
            builder.build().map_err(|_| LoginError::Refused("it asks for a login that is neither Digest nor Basic"))?;
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(())
    }
}

/// GETs `url`, with a login where the camera asks for one.
pub(crate) async fn get(client: &Client, url: &Url, login: Option<&Login>) -> Result<Response, LoginError> {
    let ask = |header: Option<HeaderValue>| {
        let request = client.get(url.clone());
        header.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value)).send()
    };
    let response = ask(login.and_then(|login| login.header(url))).await.map_err(LoginError::Request)?;
    let Some(login) = login.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else { return Ok(response) };
    // A nonce that has expired is replaced in the same way.
    login.learn(response.headers(), url.scheme() == "https")?;
    drop(response);
    ask(login.header(url)).await.map_err(LoginError::Request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(allow_basic: bool) -> Login {
        Login::new(Some(&"Mufasa".to_owned()), Some(&Secret::from("Circle of Life")), allow_basic).unwrap()
    }

    fn headers(challenges: &[&str]) -> HeaderMap {
        challenges.iter().map(|text| (WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())).collect()
    }

    fn answer(login: &Login) -> String {
        let url = Url::parse("http://www.example.org/dir/index.html?a=1").unwrap();
        login.header(&url).unwrap().to_str().unwrap().to_owned()
    }

    const MD5: &str = "Digest realm=\"r\", qop=\"auth, auth-int\", algorithm=MD5, nonce=\"n\", opaque=\"o\"";
    const SHA: &str = "Digest realm=\"r\", qop=\"auth\", algorithm=SHA-256, nonce=\"n\", opaque=\"o\"";
    const BASIC: &str = "Basic realm=\"r\"";

    #[test]
    fn digest_goes_before_basic_and_sha_256_before_md5() {
        for (offered, expected) in [(&[BASIC, MD5, SHA][..], "SHA-256"), (&[MD5, BASIC][..], "MD5")] {
            let login = login(true);
            login.learn(&headers(offered), false).unwrap();
            let answer = answer(&login);
            assert!(answer.starts_with("Digest") && answer.contains(expected), "{answer}");
            assert!(answer.contains("uri=\"/dir/index.html?a=1\"") && answer.contains("qop=auth"), "{answer}");
            assert!(!answer.contains("Circle"));
        }
    }

    #[test]
    fn a_password_is_not_sent_in_clear_text_unless_that_was_said() {
        for (allowed, encrypted) in [(false, true), (true, false)] {
            let login = login(allowed);
            login.learn(&headers(&[BASIC]), encrypted).unwrap();
            assert!(answer(&login).starts_with("Basic "));
        }
        let LoginError::Refused(told) = login(false).learn(&headers(&[BASIC]), false).unwrap_err() else { panic!() };
        assert!(told.contains("allow_basic"));
        for nonsense in [&[][..], &[""], &["Negotiate"], &["Digest realm=\"r\""], &["Basic realm="]] {
            assert!(login(true).learn(&headers(nonsense), false).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn a_nonce_is_used_with_a_count() {
        let login = login(false);
        login.learn(&headers(&[MD5]), false).unwrap();
        assert!(answer(&login).contains("nc=00000001"));
        assert!(answer(&login).contains("nc=00000002"));
    }
}
