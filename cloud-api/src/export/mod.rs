//! Incident bundles (requirement S8): what an investigation needs, provably complete and unaltered, and nothing else.
//!
//! A bundle is JSON Lines. The first line is a header; each further line carries its number, the SHA-256 of the line
//! before it, and one event or action; the last line is a JWS ([`Use::Export`]) over the number of lines and the hash of
//! the last of them. So a changed, inserted, removed or reordered line and a cut-off end all show, offline, with nothing
//! but the bundle and the cloud's public key ([`verify`]).
//!
//! What a line may say is an allow-list ([`EventFields`]): no address, host, version or key, and nothing of another
//! customer, can get in by being added somewhere else. Subjects, plates, controllers, boards and accounts are replaced by
//! pseudonyms: an HMAC under a key that exists only while the bundle is made. Within one bundle the same pseudonym is
//! the same thing; between two bundles nothing can be linked.

mod fields;
mod pseudonym;
mod verify;

use cardea_access::time::Timestamp;
use cardea_protocol::id::SiteId;
use cardea_protocol::jws::{JwsError, Signer, Use};
use cardea_protocol::rfc3339;
use serde::{Deserialize, Serialize};

pub use fields::EventFields;
pub use pseudonym::Pseudonyms;
pub use verify::{Fault, Summary, verify};

use crate::chain::{Seal, line_hash};
use crate::storage::events::{By, StoredAction, StoredEvent};

/// Names the format, and its version.
pub const FORMAT: &str = "cardea-incident/1";
/// Content type of a bundle.
pub const CONTENT_TYPE: &str = "application/jsonl";

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `cardea-incident/1`.
    format: String,
    /// The site.
    site_id: String,
    /// Beginning of the period (RFC 3339).
    from: String,
    /// End of the period, exclusive (RFC 3339).
    until: String,
    /// When the bundle was made (RFC 3339).
    made_at: String,
}

/// Any line between the first and the last.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Line {
    /// Its number; the header is 0.
    n: u64,
    /// SHA-256 of the line before, hexadecimal.
    prev: String,
    /// When (RFC 3339).
    at: String,
    /// Reported by a controller; a line has this or `action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event: Option<Box<EventLine>>,
    /// Done through the API; a line has this or `event`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    action: Option<ActionLine>,
}

/// What a line tells.
enum Entry {
    Event(Box<EventLine>),
    Action(ActionLine),
}

/// An event of a controller.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct EventLine {
    /// Pseudonym of the controller.
    controller: String,
    /// The barrier or door.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_point: Option<String>,
    /// When the cloud got it (RFC 3339).
    received_at: String,
    /// What happened.
    #[serde(flatten)]
    fields: EventFields,
}

/// An action through the API.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ActionLine {
    /// Pseudonym of the customer's account; `operator` for the operator's staff, `unknown` where nobody has shown who asks.
    by: String,
    /// Which operation.
    operation: String,
    /// Pseudonym of what it acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// `done`, or the problem's type.
    outcome: String,
}

/// The last line.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealLine {
    /// Signature (JWS, `typ` `cardea-export+jws`) over the number of lines and the hash of the last of them.
    jws: String,
}

/// The period an export covers.
#[derive(Clone, Debug)]
pub struct Period {
    /// Where.
    pub site: SiteId,
    /// First instant.
    pub from: Timestamp,
    /// First instant no more.
    pub until: Timestamp,
}

/// Why a bundle could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] JwsError),
    /// A line could not be written.
    #[error("a line of the export could not be written")]
    Line(#[from] serde_json::Error),
}

/// Makes a bundle.
pub fn bundle(
    period: &Period,
    events: Vec<StoredEvent>,
    actions: Vec<StoredAction>,
    names: &Pseudonyms,
    signer: &Signer,
    at: Timestamp,
) -> Result<Vec<u8>, ExportError> {
    let mut entries: Vec<(Timestamp, Entry)> =
        events.into_iter().map(|event| (event.at, Entry::Event(Box::new(EventLine::new(event, names))))).collect();
    entries.extend(actions.into_iter().filter_map(|action| {
        let at = action.at;
        ActionLine::new(action, names).map(|line| (at, Entry::Action(line)))
    }));
    entries.sort_by_key(|(at, _)| *at);

    let header = Header {
        format: FORMAT.to_owned(),
        site_id: period.site.to_string(),
        from: rfc3339::format(period.from),
        until: rfc3339::format(period.until),
        made_at: rfc3339::format(at),
    };
    let mut chain = Chain::default();
    chain.push(&header)?;
    for (at, entry) in entries {
        let (event, action) = match entry {
            Entry::Event(event) => (Some(event), None),
            Entry::Action(action) => (None, Some(action)),
        };
        let line = Line { n: chain.lines, prev: chain.head.clone(), at: rfc3339::format(at), event, action };
        chain.push(&line)?;
    }
    let seal = Seal { format: FORMAT.to_owned(), lines: chain.lines, head: chain.head.clone() };
    let seal = SealLine { jws: signer.sign(Use::Export, &seal)? };
    chain.push(&seal)?;
    Ok(chain.bytes)
}

/// Lines so far, and the hash of the last.
#[derive(Default)]
struct Chain {
    bytes: Vec<u8>,
    lines: u64,
    head: String,
}

impl Chain {
    fn push<T: Serialize>(&mut self, line: &T) -> Result<(), serde_json::Error> {
        let line = serde_json::to_vec(line)?;
        self.head = line_hash(&line);
        self.bytes.extend_from_slice(&line);
        self.bytes.push(b'\n');
        self.lines += 1;
        Ok(())
    }
}

impl EventLine {
    fn new(event: StoredEvent, names: &Pseudonyms) -> Self {
        Self {
            controller: names.of("controller", event.controller.as_str()),
            access_point: event.access_point.map(|point| point.to_string()),
            received_at: rfc3339::format(event.received_at),
            fields: EventFields::new(event.kind, &|kind, value| names.of(kind, value)),
        }
    }
}

impl ActionLine {
    /// Nothing for what is not told outside.
    fn new(action: StoredAction, names: &Pseudonyms) -> Option<Self> {
        let told = fields::told(&action.action)?;
        Some(Self {
            by: match action.by {
                By::Account(id) => names.of("account", &id),
                By::Operator => "operator".to_owned(),
                By::Unknown => "unknown".to_owned(),
            },
            operation: action.action,
            target: action.target.zip(told.target).map(|(id, kind)| names.of(kind, &id)),
            outcome: action.outcome,
        })
    }
}

#[cfg(test)]
mod tests;
