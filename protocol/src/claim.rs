//! A claim in one line, as the operator's sheet has it for a scanner or a keyboard:
//! `cardea:claim?v=1&controller=…&site=…&enrol=…&api=…&ca=…&code=…`.
//!
//! | parameter | |
//! |---|---|
//! | `v` | 1 |
//! | `controller`, `site` | ids |
//! | `enrol`, `api` | where enrolment and the API are, `https://host:port` |
//! | `ca` | SHA-256 of the certificate of the CA that vouches for both, in hexadecimal |
//! | `code` | the one-time code |
//!
//! The fingerprint is what makes the line enough: the controller fetches the CA from a server it cannot know yet, and takes it
//! only if it is the one that was printed (RFC 7030 §4.1.1, an explicit trust anchor that is checked out of band). The code
//! goes to nobody before that.

use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use crate::id::{ControllerId, SiteId};

/// What every such line begins with.
pub const SCHEME: &str = "cardea:";
const PATH: &str = "claim";
const VERSION: &str = "1";
/// No sheet has a longer line.
const MAX_LEN: usize = 2_048;

/// A claim, on paper. `Debug` shows no code.
pub struct ClaimTicket {
    /// Which controller is to be claimed.
    pub controller: ControllerId,
    /// Where it is to stand.
    pub site: SiteId,
    /// The enrolment service.
    pub enrolment_url: Url,
    /// The API.
    pub api_url: Url,
    /// [`fingerprint`] of the CA.
    pub ca_sha256: [u8; 32],
    /// The one-time code. Memory is wiped on drop.
    pub code: Zeroizing<String>,
}

impl std::fmt::Debug for ClaimTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClaimTicket({}, …)", self.controller)
    }
}

/// Why a line is no claim. Says nothing of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Something else, or cut short.
    #[error("this is not the whole line of a claim sheet (cardea:claim?…): scan it again, or type all of it")]
    Form,
    /// Of a later version.
    #[error("this claim sheet is of a later version than this program: update it")]
    Version,
    /// A part is missing or malformed.
    #[error("the line of the claim sheet has no usable {0}: scan it again, or type all of it")]
    Part(&'static str),
}

/// SHA-256 of a DER certificate.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

impl ClaimTicket {
    /// The line.
    pub fn line(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(MAX_LEN));
        line.push_str("cardea:claim?v=1");
        let ca = hex::encode(self.ca_sha256);
        let parts = [
            ("controller", self.controller.as_str()),
            ("site", self.site.as_str()),
            ("enrol", base(&self.enrolment_url)),
            ("api", base(&self.api_url)),
            ("ca", ca.as_str()),
            ("code", self.code.as_str()),
        ];
        for (name, value) in parts {
            line.push('&');
            line.push_str(name);
            line.push('=');
            // Of what an address may have, RFC 3986 §3.4 lets all stand in a query but these.
            for c in value.chars() {
                match c {
                    '&' => line.push_str("%26"),
                    '#' => line.push_str("%23"),
                    '+' => line.push_str("%2B"),
                    '%' => line.push_str("%25"),
                    c => line.push(c),
                }
            }
        }
        line
    }

    /// Reads a line, as scanned or typed; white space around it does not matter, and case only where it does in URLs.
    pub fn read(line: &str) -> Result<Self, TicketError> {
        let line = line.trim();
        if line.len() > MAX_LEN {
            return Err(TicketError::Form);
        }
        let url = Url::parse(line).map_err(|_| TicketError::Form)?;
        if url.scheme() != "cardea" || !url.path().eq_ignore_ascii_case(PATH) {
            return Err(TicketError::Form);
        }
        // The first of a name counts; names of later versions are passed over.
        let part = |name: &'static str| {
            url.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| Zeroizing::new(value.into_owned()))
                .ok_or(TicketError::Part(name))
        };
        if *part("v").map_err(|_| TicketError::Form)? != *VERSION {
            return Err(TicketError::Version);
        }
        let address = |name| {
            let url = Url::parse(&part(name)?).map_err(|_| TicketError::Part(name))?;
            if url.scheme() == "https" && url.host_str().is_some() { Ok(url) } else { Err(TicketError::Part(name)) }
        };
        let mut ca_sha256 = [0; 32];
        hex::decode_to_slice(part("ca")?.as_bytes(), &mut ca_sha256).map_err(|_| TicketError::Part("ca"))?;
        let code = part("code")?;
        if code.is_empty() {
            return Err(TicketError::Part("code"));
        }
        Ok(Self {
            controller: ControllerId::new(part("controller")?.as_str()).map_err(|_| TicketError::Part("controller"))?,
            site: SiteId::new(part("site")?.as_str()).map_err(|_| TicketError::Part("site"))?,
            enrolment_url: address("enrol")?,
            api_url: address("api")?,
            ca_sha256,
            code,
        })
    }
}

fn base(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ticket() -> ClaimTicket {
        ClaimTicket {
            controller: ControllerId::new("birch-street-12-gate").unwrap(),
            site: SiteId::new("birch-street-12").unwrap(),
            enrolment_url: Url::parse("https://cloud.example.org:8444").unwrap(),
            api_url: Url::parse("https://[2001:db8::1]:8443/a%20b&c").unwrap(),
            ca_sha256: [0xab; 32],
            code: Zeroizing::new("7KQ4-M2XP-93TD-VH6R".to_owned()),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let (ticket, line) = (ticket(), ticket().line());
        let read = ClaimTicket::read(&format!(" {}\r\n", line.as_str())).unwrap();
        assert_eq!((&read.controller, &read.site), (&ticket.controller, &ticket.site));
        assert_eq!((&read.enrolment_url, &read.api_url), (&ticket.enrolment_url, &ticket.api_url));
        assert_eq!((read.ca_sha256, &*read.code), (ticket.ca_sha256, &*ticket.code));
        assert!(!format!("{read:?}").contains("7KQ4"));
        assert_eq!(*read.line(), *line);
    }

    #[test]
    fn what_is_no_whole_line_is_told_and_not_repeated() {
        let line = ticket().line().to_string();
        let without = |name: &str| {
            let kept: Vec<&str> = line.split('&').filter(|part| !part.starts_with(&format!("{name}="))).collect();
            ClaimTicket::read(&kept.join("&")).unwrap_err()
        };
        for name in ["controller", "site", "enrol", "api", "ca", "code"] {
            assert_eq!(without(name), TicketError::Part(name));
        }
        let changed = |from: &str, to: &str| ClaimTicket::read(&line.replacen(from, to, 1)).unwrap_err();
        assert_eq!(changed("enrol=https", "enrol=http"), TicketError::Part("enrol"));
        assert_eq!(changed("ca=ab", "ca=a"), TicketError::Part("ca"));
        assert_eq!(changed("v=1", "v=2"), TicketError::Version);
        assert_eq!(changed("cardea:claim", "cardea:admit"), TicketError::Form);
        for text in ["", "7KQ4-M2XP-93TD-VH6R", "https://cloud.example.org", "cardea:claim", &"x".repeat(5_000)] {
            assert_eq!(ClaimTicket::read(text).unwrap_err(), TicketError::Form, "{text}");
        }
        for error in [changed("ca=ab", "ca=zz"), without("api")] {
            assert!(!error.to_string().contains("7KQ4") && !error.to_string().contains("abab"));
        }
    }
}
