//! The rules of one conversation with the cloud, without I/O: messages go in, [`Step`]s for the shell come out, in order.
//!
//! What it sees to: changes continue the cursor, or what is repeated of them is skipped; a snapshot counts once all its
//! pages are here; a freshness statement counts once its revision is applied, as of when it came, and only if its digest is
//! that of what is held here; one batch of events is on its way at a time.

use cardea_access::time::{Monotonic, Timestamp};
use cardea_protocol::digest::Digest;
use cardea_protocol::event::Event;
use cardea_protocol::id::{ErasureId, Revision};
use cardea_protocol::limit;
use cardea_protocol::message::{CardEntry, Change, Command, Down, PlateEntry, TemplateEntry, Up};
use cardea_protocol::version::Versions;

use crate::store::{Applied, ChangesBatch, SnapshotBatch};

/// Events that were not acknowledged for so long are sent again, milliseconds.
const EVENTS_RESEND_MS: u64 = 20_000;
/// The same for receipts.
const RECEIPTS_RESEND_MS: u64 = 60_000;

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Sign and publish.
    Send(Up),
    /// Apply, then call [`Session::applied`].
    Changes(ChangesBatch),
    /// Apply, then call [`Session::applied`].
    Snapshot(SnapshotBatch),
    /// Say again where the controller stands.
    Restate,
    /// Keep the statement.
    Freshness {
        /// The revision called current.
        revision: Revision,
        /// When, by the cloud's clock.
        at: Timestamp,
        /// When it came.
        received: Monotonic,
    },
    /// Hand to the access task.
    Command(Command),
    /// Forget events up to this number.
    EventsStored(u64),
    /// Forget a receipt.
    ReceiptStored(ErasureId),
    /// Leave, and come back.
    End(End),
}

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    /// The cloud asks for it.
    #[error("the cloud asked for a new session")]
    Asked {
        /// To wait before.
        retry_ms: u64,
    },
    /// Changes are missing in between.
    #[error("changes between revision {cursor} and {from} did not arrive")]
    Gap {
        /// What is applied.
        cursor: Revision,
        /// What came.
        from: Revision,
    },
    /// A message that contradicts itself.
    #[error("the cloud sent {0}")]
    Malformed(&'static str),
    /// There is no version of the messages that both sides speak.
    #[error(
        "update {}: this controller speaks versions {} to {} of the messages, the cloud {} to {}",
        older(*.versions), Versions::SPOKEN.lowest(), Versions::SPOKEN.highest(), .versions.lowest(), .versions.highest()
    )]
    Refused {
        /// Those of the cloud.
        versions: Versions,
        /// To wait before.
        retry_ms: u64,
    },
}

/// The program that is to be updated where the cloud speaks `versions`, none of which is spoken here.
fn older(versions: Versions) -> &'static str {
    if versions.lowest() > Versions::SPOKEN.highest() { "cardead" } else { "cardea-cloud" }
}

#[derive(Debug)]
struct Pages {
    revision: Revision,
    pages: u32,
    next: u32,
    plates: Vec<PlateEntry>,
    cards: Vec<CardEntry>,
    templates: Vec<TemplateEntry>,
}

#[derive(Clone, Debug)]
struct Statement {
    revision: Revision,
    digest: Digest,
    at: Timestamp,
    received: Monotonic,
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Session {
    /// The cloud has said which version is spoken.
    welcomed: bool,
    cursor: Revision,
    /// Over what is held at the cursor.
    held: Digest,
    pages: Option<Pages>,
    /// What the digest must be after the batch being applied.
    expected: Option<Digest>,
    ahead: Option<Statement>,
    events_sent: Option<Monotonic>,
    receipts_sent: Option<Monotonic>,
    in_sync: Option<bool>,
}

impl Session {
    /// A conversation that began with a hello from `cursor`, where `held` is the digest of what is held.
    pub(super) fn new(cursor: Revision, held: Digest) -> Self {
        Self {
            welcomed: false,
            cursor,
            held,
            pages: None,
            expected: None,
            ahead: None,
            events_sent: None,
            receipts_sent: None,
            in_sync: None,
        }
    }

    /// Whether the last digest agreed with the cloud's; `None` before any was compared.
    pub(super) fn in_sync(&self) -> Option<bool> {
        self.in_sync
    }

    /// A verified message of the cloud came at `received`.
    pub(super) fn message(&mut self, message: Down, received: Monotonic) -> Vec<Step> {
        match message {
            Down::Reconnect { retry_ms } => vec![Step::End(End::Asked { retry_ms })],
            Down::Refused { versions, retry_ms } => vec![Step::End(End::Refused { versions, retry_ms })],
            Down::Welcome { version } if !self.welcomed && Versions::SPOKEN.contains(version) => {
                self.welcomed = true;
                vec![]
            }
            Down::Welcome { .. } => vec![Step::End(End::Malformed("a welcome to another version, or a second one"))],
            _ if !self.welcomed => vec![Step::End(End::Malformed("a message before its welcome"))],
            Down::Changes { from, to, changes, digest } => vec![self.changes(from, to, changes, digest)],
            Down::Snapshot { revision, page, pages, plates, cards, templates, digest } => {
                self.page(Pages { revision, pages, next: page, plates, cards, templates }, digest).into_iter().collect()
            }
            Down::Freshness { revision, digest, at } => {
                self.statement(Statement { revision, digest, at, received }).into_iter().collect()
            }
            Down::Command(command) => vec![Step::Command(command)],
            Down::EventsStored { through } => {
                self.events_sent = None;
                vec![Step::EventsStored(through)]
            }
            Down::ReceiptStored { erasure } => vec![Step::ReceiptStored(erasure)],
        }
    }

    fn changes(&mut self, from: Revision, to: Revision, mut changes: Vec<Change>, digest: Option<Digest>) -> Step {
        if self.pages.is_some() {
            return Step::End(End::Malformed("changes amid the pages of a snapshot"));
        }
        if to.0.checked_sub(from.0) != Some(changes.len() as u64) {
            return Step::End(End::Malformed("changes that do not add up to their revisions"));
        }
        if from > self.cursor {
            return Step::End(End::Gap { cursor: self.cursor, from });
        }
        if to <= self.cursor {
            return Step::Restate;
        }
        // Sent again because an acknowledgement was late: the beginning is applied already.
        changes.drain(..(self.cursor.0 - from.0) as usize);
        self.expected = digest;
        Step::Changes(ChangesBatch { from: self.cursor, to, changes })
    }

    fn page(&mut self, page: Pages, digest: Digest) -> Option<Step> {
        if page.pages == 0 || page.pages > limit::PAGES || page.next >= page.pages {
            return Some(Step::End(End::Malformed("a page of a snapshot with an impossible number")));
        }
        let mut collected = match self.pages.take() {
            // The first page begins anew, whatever came before.
            _ if page.next == 0 => page,
            Some(mut before)
                if (before.revision, before.pages, before.next) == (page.revision, page.pages, page.next) =>
            {
                before.plates.extend(page.plates);
                before.cards.extend(page.cards);
                before.templates.extend(page.templates);
                before
            }
            _ => return Some(Step::End(End::Malformed("pages of a snapshot out of order"))),
        };
        collected.next += 1;
        if collected.next < collected.pages {
            self.pages = Some(collected);
            return None;
        }
        self.expected = Some(digest);
        Some(Step::Snapshot(SnapshotBatch {
            revision: collected.revision,
            plates: collected.plates,
            cards: collected.cards,
            templates: collected.templates,
        }))
    }

    fn statement(&mut self, statement: Statement) -> Option<Step> {
        if statement.revision > self.cursor {
            self.ahead = Some(statement);
            return None;
        }
        // A statement about less than what is applied here proves nothing: a replay, or a cloud restored from a backup. Amid
        // the pages of a snapshot it is known already that something else is held.
        if statement.revision < self.cursor || self.pages.is_some() {
            return None;
        }
        let agrees = statement.digest == self.held;
        self.in_sync = Some(agrees);
        Some(if agrees { statement.step() } else { Step::Restate })
    }

    /// A batch was applied.
    pub(super) fn applied(&mut self, applied: &Applied) -> Vec<Step> {
        self.cursor = applied.revision;
        self.held = applied.digest.clone();
        if let Some(expected) = self.expected.take() {
            self.in_sync = Some(expected == applied.digest);
        }
        let mut steps = vec![Step::Send(Up::Applied { revision: applied.revision, digest: applied.digest.clone() })];
        // If it is not about just what is held, the acknowledgement has said so, and is answered by another.
        if let Some(statement) = self.ahead.take_if(|statement| statement.revision <= applied.revision)
            && (statement.revision, &statement.digest) == (applied.revision, &applied.digest)
        {
            steps.push(statement.step());
        }
        steps
    }

    /// Whether events may be sent now.
    pub(super) fn wants_events(&self, now: Monotonic) -> bool {
        self.events_sent.is_none_or(|sent| now.since_ms(sent) >= EVENTS_RESEND_MS)
    }

    /// Sends `events`, if there are any.
    pub(super) fn events(&mut self, events: Vec<Event>, now: Monotonic) -> Option<Step> {
        if events.is_empty() {
            return None;
        }
        self.events_sent = Some(now);
        Some(Step::Send(Up::Events { events }))
    }

    /// Whether unacknowledged receipts are to be sent again.
    pub(super) fn wants_receipts(&self, now: Monotonic) -> bool {
        self.receipts_sent.is_none_or(|sent| now.since_ms(sent) >= RECEIPTS_RESEND_MS)
    }

    /// Sends receipts.
    pub(super) fn receipts(&mut self, receipts: Vec<String>, now: Monotonic) -> Vec<Step> {
        self.receipts_sent = Some(now);
        receipts.into_iter().map(|receipt_jws| Step::Send(Up::Receipt { receipt_jws })).collect()
    }
}

impl Statement {
    fn step(self) -> Step {
        Step::Freshness { revision: self.revision, at: self.at, received: self.received }
    }
}

#[cfg(test)]
mod tests;
