//! An entry of the audit as a line of JSON: what its hash is taken over, and what an exported audit consists of.

use cardea_protocol::Timestamp;
use cardea_protocol::rfc3339;
use serde::Serialize;

/// An entry without its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// Of an outcome: the entry the call began with.
    pub begun_by: Option<u64>,
    /// Whose data was touched.
    pub customer: Option<String>,
    /// The site concerned.
    pub site: Option<String>,
    /// Who asked.
    pub principal_id: Option<String>,
    /// What was asked.
    pub action: String,
    /// Id of the thing acted on.
    pub target: Option<String>,
    /// `begun`, `done`, or a problem's type.
    pub outcome: String,
}

/// The members, always in this order; what there is not is left out.
#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    prev: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    begun_by: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    outcome: &'a str,
}

impl Entry {
    /// Its line after one whose hash is `prev` (nothing for the first), without an end. One entry has one line.
    pub fn line(&self, prev: &str) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Line {
            n: self.entry,
            prev,
            at: rfc3339::format(self.at),
            begun_by: self.begun_by,
            customer: self.customer.as_deref(),
            site: self.site.as_deref(),
            by: self.principal_id.as_deref(),
            operation: &self.action,
            target: self.target.as_deref(),
            outcome: &self.outcome,
        })
    }
}
