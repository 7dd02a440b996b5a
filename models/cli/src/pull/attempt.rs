//! One file from one address: asks, resumes, counts, hashes.
//!
//! Nothing a server says is believed: more bytes than described are not taken, and what came counts only if its hash is the
//! described one. A connection that breaks off is taken up again where it broke, as long as each try brings something.

use std::io;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::digest::Digest;
use super::exchange::{Head, Size, Verdict, judge};
use super::part::Part;
use super::progress::Progress;

/// No address is asked more often than this for one file.
const TRIES: usize = 8;
/// A longer chain of redirections leads nowhere.
const REDIRECTIONS: usize = 5;

/// Why an address did not give a file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, or it failed.
    #[error("{0}")]
    Connection(String),
    /// Nothing came for a while.
    #[error("nothing came for {} s", timeout.as_secs_f32())]
    Silent {
        /// How long was waited.
        timeout: Duration,
    },
    /// A redirection that is not followed.
    #[error("{0}")]
    Redirection(String),
    /// An answer other than the file.
    #[error("the server answered {}", status_text(*.0))]
    Status(u16),
    /// It is about another file.
    #[error("it offers {announced} bytes, and the file has {expected}")]
    OtherSize {
        /// What the server said.
        announced: u64,
        /// What the description says.
        expected: u64,
    },
    /// Neither its length nor a hash would tell whether all of it came.
    #[error("it does not say how long the file is, and nobody states its hash: half of it would pass for the whole")]
    Unmeasured,
    /// It sends more than the file can have.
    #[error("it sends more than {limit} bytes; the rest was not taken")]
    TooLong {
        /// What is taken at most.
        limit: u64,
    },
    /// It ended early.
    #[error("it ended after {bytes} bytes{}", expected.map(|expected| format!(" of {expected}")).unwrap_or_default())]
    Short {
        /// What is here.
        bytes: u64,
        /// What should be.
        expected: Option<u64>,
    },
    /// It is another file.
    #[error("it sent another file: SHA-256 {found}, expected {expected}")]
    OtherHash {
        /// What the description says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The bytes could not be kept.
    #[error("what came could not be written to the disk{}", disk_hint(.0))]
    Disk(#[from] io::Error),
}

/// What to do about a full disk, where that is what happened.
pub(crate) fn disk_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": it is full; make room and pull again",
        _ => "",
    }
}

fn status_text(status: u16) -> String {
    StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string())
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    pub(crate) size: Size,
    pub(crate) sha256: Option<Digest>,
}

/// The client for every request: redirections are few and never lead away from `https`, proxies are those of the
/// environment, trust is the system's.
pub(crate) fn client(timeout: Duration) -> Result<Client, reqwest::Error> {
    // a second program in the process, as in tests, finds it installed
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("cardea-models/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeout)
        .read_timeout(timeout)
        .redirect(reqwest::redirect::Policy::custom(|attempt| {
            match refusal(attempt.previous().last(), attempt.url(), attempt.previous().len()) {
                Some(reason) => attempt.error(reason),
                None => attempt.follow(),
            }
        }))
        .build()
}

/// Why a redirection from `from` to `to`, the `count`-th in a row, is not followed.
fn refusal(from: Option<&Url>, to: &Url, count: usize) -> Option<String> {
    if count > REDIRECTIONS {
        return Some(format!("more than {REDIRECTIONS} redirections in a row"));
    }
    match (from.map(Url::scheme), to.scheme()) {
        (Some("http"), "http" | "https") | (_, "https") => None,
        _ => Some(format!("a redirection to {}, which is not https", shown(to))),
    }
}

/// An address without what could be secret in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Brings `part` to the whole file from `url`, and says its hash.
pub(crate) async fn fetch(
    http: (&Client, Duration),
    url: &Url,
    want: Want,
    part: &mut Part,
    progress: &mut dyn Progress,
) -> Result<Digest, FetchError> {
    for tries_left in (0..TRIES).rev() {
        let before = part.bytes();
        if before > 0 && part.validator(url).is_none() && want.sha256.is_none() {
            // nobody could tell whether the pieces belong together
            part.clear()?;
        }
        let resumed = part.bytes();
        match once(http, url, want, part, progress).await {
            Ok(()) => {
                let found = part.digest();
                match want.sha256 {
                    Some(expected) if expected != found => {
                        part.clear()?;
                        // the first piece may be the wrong one: all of it, once more
                        if resumed == 0 || tries_left == 0 {
                            return Err(FetchError::OtherHash { expected, found });
                        }
                    }
                    _ => return Ok(found),
                }
            }
            Err(error @ (FetchError::Connection(_) | FetchError::Silent { .. } | FetchError::Short { .. })) => {
                if part.bytes() <= resumed || tries_left == 0 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(FetchError::Short { bytes: part.bytes(), expected: want.size.exact })
}

/// One request, and whatever it brings.
async fn once(
    (client, timeout): (&Client, Duration),
    url: &Url,
    Want { size, sha256 }: Want,
    part: &mut Part,
    progress: &mut dyn Progress,
) -> Result<(), FetchError> {
    let explain = |error: &reqwest::Error| explain(error, timeout);
    let mut response = loop {
        if size.exact == Some(part.bytes()) {
            return Ok(());
        }
        let asked_from = Some(part.bytes()).filter(|bytes| *bytes > 0);
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(from) = asked_from {
            request = request.header(RANGE, format!("bytes={from}-"));
            if let Some(etag) = part.validator(url) {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = request.send().await.map_err(|error| explain(&error))?;
        let head = head(&response);
        match judge(&head, asked_from, size)? {
            Verdict::Append => break response,
            Verdict::Whole => return Ok(()),
            Verdict::Restart => {
                if head.length.or(size.exact).is_none() && sha256.is_none() {
                    return Err(FetchError::Unmeasured);
                }
                part.begin(url, head.etag.as_deref())?;
                break response;
            }
            Verdict::AskForAll => part.clear()?,
        }
    };
    progress.at(part.bytes());
    while let Some(bytes) = response.chunk().await.map_err(|error| explain(&error))? {
        if part.bytes() + bytes.len() as u64 > size.limit {
            part.clear()?;
            return Err(FetchError::TooLong { limit: size.limit });
        }
        part.append(&bytes)?;
        progress.at(part.bytes());
    }
    match size.exact {
        Some(expected) if part.bytes() < expected => {
            Err(FetchError::Short { bytes: part.bytes(), expected: size.exact })
        }
        _ => Ok(()),
    }
}

fn head(response: &Response) -> Head {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Head {
        status: response.status().as_u16(),
        length: response.content_length(),
        content_range: text(CONTENT_RANGE),
        etag: text(ETAG),
    }
}

/// What went wrong, without the address, which the reader is told anyway and which may hold a password.
fn explain(error: &reqwest::Error, timeout: Duration) -> FetchError {
    let mut cause: &dyn std::error::Error = error;
    let mut innermost = None;
    while let Some(source) = cause.source() {
        innermost = Some(source.to_string());
        cause = source;
    }
    let reason = innermost.unwrap_or_else(|| "the request failed".into());
    if error.is_timeout() {
        FetchError::Silent { timeout }
    } else if error.is_redirect() {
        FetchError::Redirection(reason)
    } else if error.is_connect() {
        FetchError::Connection(format!("no connection: {reason}"))
    } else {
        FetchError::Connection(format!("the connection broke: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn redirections_never_leave_https_and_are_few() {
        let (secure, plain) = (url("https://example.org/a"), url("http://example.org/a"));
        assert_eq!(refusal(Some(&secure), &secure, 1), None);
        assert_eq!(refusal(Some(&plain), &secure, 1), None);
        assert_eq!(refusal(Some(&plain), &plain, 1), None);
        assert!(refusal(Some(&secure), &plain, 1).is_some());
        for scheme in ["file:///etc/passwd", "ftp://example.org/a", "data:,a"] {
            assert!(refusal(Some(&plain), &url(scheme), 1).is_some(), "{scheme}");
        }
        assert_eq!(refusal(Some(&secure), &secure, REDIRECTIONS), None);
        assert!(refusal(Some(&secure), &secure, REDIRECTIONS + 1).is_some());
    }

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        assert_eq!(shown(&url("https://me:word@example.org/a?token=1#x")), "https://example.org/a");
    }

    #[test]
    fn a_full_disk_is_called_that() {
        let error = FetchError::Disk(io::Error::from(io::ErrorKind::StorageFull));
        assert!(error.to_string().contains("it is full"), "{error}");
        assert!(!FetchError::Disk(io::Error::from(io::ErrorKind::NotFound)).to_string().contains("full"));
    }
}
