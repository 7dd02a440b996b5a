//! The messages themselves. [`Down`] goes from the cloud to a controller, [`Up`] the other way.
//!
//! In CBOR each is a map with one entry, whose key is its type; one without fields is its type alone. Bytes are byte strings,
//! times are milliseconds, and what a message does not have is left out.

use serde::{Deserialize, Serialize};

use crate::card::CardHash;
use crate::digest::Digest;
use crate::event::Event;
use crate::id::{
    AccessPointId, BootId, CardId, CommandId, ControllerId, ErasureId, PlateId, Revision, SaleId, SubjectToken,
    TemplateId,
};
use crate::limit;
use crate::schedule::WeeklySchedule;
use crate::seal::{Sealed, SealingKey};
use crate::version::Versions;
use cardea_access::time::Timestamp;

/// From a controller to the cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    /// Opens a session; the envelope carries its fresh id.
    Hello(Hello),
    /// The controller's holdings now stand at this revision.
    Applied {
        /// The cursor after applying.
        revision: Revision,
        /// Over what is really held.
        digest: Digest,
    },
    /// Events from the outbox, oldest first; repeated until acknowledged.
    Events {
        /// At most [`limit::EVENTS`].
        #[serde(deserialize_with = "limit::list::<_, _, { limit::EVENTS }>")]
        events: Vec<Event>,
    },
    /// What became of a command.
    CommandResult {
        /// The command.
        command_id: CommandId,
        /// Its outcome so far; `Accepted` is followed by a final one.
        outcome: CommandOutcome,
    },
    /// A subject was erased here. The inner JWS ([`crate::jws::Use::Receipt`] over [`Receipt`]) is kept as evidence.
    Receipt {
        /// The signed receipt.
        #[serde(deserialize_with = "limit::text::<_, { limit::RECEIPT }>")]
        receipt_jws: String,
    },
    /// The state of the controller's equipment changed.
    Equipment {
        /// All of it.
        #[serde(deserialize_with = "limit::list::<_, _, { limit::EQUIPMENT }>")]
        equipment: Vec<AccessPoint>,
    },
}

/// A controller introduces itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The versions of the messages that it speaks.
    pub versions: Versions,
    /// This start of the program; commands for another are refused.
    pub boot_id: BootId,
    /// The last revision it has applied.
    pub cursor: Revision,
    /// Over what it holds.
    pub digest: Digest,
    /// The key templates are to be sealed to.
    pub sealing_key: SealingKey,
    /// The embedder's id in its model pack: templates of another model are useless to it. `None` without face models.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "limit::optional_text::<_, { limit::SENTENCE }>"
    )]
    pub embedder: Option<String>,
    /// `cardead`'s version.
    #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
    pub software: String,
    /// The barriers and doors it drives.
    #[serde(deserialize_with = "limit::list::<_, _, { limit::EQUIPMENT }>")]
    pub equipment: Vec<AccessPoint>,
    /// How long its credentials count without a word from the cloud.
    #[serde(default)]
    pub staleness: StalenessLimits,
}

/// How long each kind of credential in use at a controller counts without a word from the cloud, in seconds; `None`: it is not in
/// use, or counts for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StalenessLimits {
    /// Plates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate_s: Option<u32>,
    /// Faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_s: Option<u32>,
    /// Cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_s: Option<u32>,
}

/// A barrier or door as its controller knows it (ONVIF "access point").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPoint {
    /// Its id.
    pub id: AccessPointId,
    /// `barrier` or `door`.
    pub kind: AccessPointKind,
    /// What opens it: any of `plate`, `face`, `card`, `remote`, `exit-button`.
    #[serde(deserialize_with = "limit::list::<_, _, { limit::CREDENTIALS }>")]
    pub credentials: Vec<String>,
    /// Whether its boards and cameras answer.
    pub reachable: bool,
    /// `closed`, `opening`, `open`, `closing`, `held`, `forced`, `fault`, `unknown`.
    #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
    pub state: String,
}

/// What kind of access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPointKind {
    /// A boom barrier or gate for vehicles.
    Barrier,
    /// A door or wicket for people.
    Door,
}

/// From the cloud to a controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// Comes first, once: the session speaks this version of the messages.
    Welcome {
        /// The highest that both sides speak.
        version: u32,
    },
    /// There is no version that both sides speak. The controller comes back after `retry_ms`, lest one of them has been updated.
    Refused {
        /// Those that the cloud speaks.
        versions: Versions,
        /// How long to wait.
        retry_ms: u64,
    },
    /// The next part of the change log, applied in one transaction, if the cursor is `from`.
    Changes {
        /// The revision these changes start after.
        from: Revision,
        /// The revision they lead to.
        to: Revision,
        /// In order; as many as revisions, at most [`limit::CHANGES`].
        #[serde(deserialize_with = "limit::list::<_, _, { limit::CHANGES }>")]
        changes: Vec<Change>,
        /// The cloud's own digest at `to`, where this is the last part; compared after applying.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
    },
    /// Everything at once, in pages: replaces what the controller holds, in one transaction, once all pages are here.
    Snapshot {
        /// The revision it stands at.
        revision: Revision,
        /// Page number from 0.
        page: u32,
        /// How many pages.
        pages: u32,
        /// Plates of this page.
        #[serde(
            default,
            skip_serializing_if = "Vec::is_empty",
            deserialize_with = "limit::list::<_, _, { limit::PAGE }>"
        )]
        plates: Vec<PlateEntry>,
        /// Cards of this page.
        #[serde(
            default,
            skip_serializing_if = "Vec::is_empty",
            deserialize_with = "limit::list::<_, _, { limit::PAGE }>"
        )]
        cards: Vec<CardEntry>,
        /// Templates of this page.
        #[serde(
            default,
            skip_serializing_if = "Vec::is_empty",
            deserialize_with = "limit::list::<_, _, { limit::PAGE }>"
        )]
        templates: Vec<TemplateEntry>,
        /// The cloud's own digest at `revision`.
        digest: Digest,
    },
    /// Revision `revision` is current at `at`: the statement that keeps biometrics admitted, of whoever holds just that.
    Freshness {
        /// The newest revision of the site.
        revision: Revision,
        /// The cloud's own digest there. A controller that holds something else is not fresh, and says so.
        digest: Digest,
        /// By the cloud's clock.
        #[serde(with = "crate::millis")]
        at: Timestamp,
    },
    /// An order to open.
    Command(Command),
    /// Events up to this number are stored; the outbox may forget them.
    EventsStored {
        /// The highest number stored.
        through: u64,
    },
    /// Erasure receipts are stored; they need not be sent again.
    ReceiptStored {
        /// The order.
        erasure: ErasureId,
    },
    /// The session cannot go on; the controller starts a new one after `retry_ms`.
    Reconnect {
        /// How long to wait.
        retry_ms: u64,
    },
}

/// One step of a site's change log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Admit a plate.
    PlateAdmitted(PlateEntry),
    /// Admit a plate no more.
    PlateRemoved {
        /// Which.
        plate_id: PlateId,
    },
    /// Admit a card.
    CardAdmitted(CardEntry),
    /// Admit a card no more.
    CardRemoved {
        /// Which.
        card_id: CardId,
    },
    /// Hold a biometric reference.
    TemplateAdded(TemplateEntry),
    /// Erase everything biometric of a subject, and answer with a receipt.
    SubjectErased {
        /// The order.
        erasure: ErasureId,
        /// Whose.
        subject: SubjectToken,
    },
    /// A flat was sold: remove the plates and cards and erase the subjects, as one step.
    PropertySold {
        /// The sale.
        sale: SaleId,
        /// Plates that are admitted no more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        plate_ids: Vec<PlateId>,
        /// Cards that are admitted no more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        card_ids: Vec<CardId>,
        /// Subjects to erase, each with its order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        subjects: Vec<(ErasureId, SubjectToken)>,
    },
    /// A revision whose effect was undone by a later one; keeps the numbering without keeping the data.
    Superseded,
}

/// An admitted plate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlateEntry {
    /// Its id.
    pub plate_id: PlateId,
    /// Canonical form (`cardea_access::plate`).
    pub plate: String,
    /// Whose it is, where the customer said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectToken>,
    /// The hours in which it is admitted; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<WeeklySchedule>,
    /// Whether it is good for one entry, as a guest's: [`ENTRY_MS`] after it was first let in, it has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_entry: bool,
    /// When it is admitted.
    #[serde(default, skip_serializing_if = "Validity::is_always")]
    pub validity: Validity,
}

/// How long one entry lasts: a boom that came down before the guest was through opens once more.
pub const ENTRY_MS: i64 = 5 * 60_000;

impl PlateEntry {
    /// A plate that is admitted always, and is nobody's.
    pub const fn new(plate_id: PlateId, plate: String) -> Self {
        Self { plate_id, plate, subject: None, schedule: None, single_entry: false, validity: Validity::ALWAYS }
    }
}

/// An admitted card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardEntry {
    /// Its id.
    pub card_id: CardId,
    /// Of its number; the number itself does not travel.
    pub hash: CardHash,
    /// Whose it is, where the customer said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectToken>,
    /// When it is admitted.
    #[serde(default, skip_serializing_if = "Validity::is_always")]
    pub validity: Validity,
}

/// A biometric reference, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateEntry {
    /// Its id.
    pub template_id: TemplateId,
    /// Whose.
    pub subject: SubjectToken,
    /// The template's bytes, sealed to the controller that gets this message.
    pub sealed: Sealed,
}

/// A period; open ends are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// First instant.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::millis::option")]
    pub from: Option<Timestamp>,
    /// First instant no more.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::millis::option")]
    pub until: Option<Timestamp>,
}

impl Validity {
    /// No limits.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// Whether it has none.
    pub fn is_always(&self) -> bool {
        *self == Self::ALWAYS
    }
}

/// An order to open, for one start of one controller, and for a short time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Executed at most once.
    pub command_id: CommandId,
    /// The start of the program it is for.
    pub boot_id: BootId,
    /// What to open.
    pub access_point: AccessPointId,
    /// Refused afterwards; at most [`MAX_COMMAND_LIFE_MS`] after signing.
    #[serde(with = "crate::millis")]
    pub expires_at: Timestamp,
}

/// No command lives longer (requirement "threats", 3).
pub const MAX_COMMAND_LIFE_MS: i64 = 30_000;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandOutcome {
    /// Decided and sent to the relay.
    Accepted,
    /// The mechanism reported that it has opened.
    Confirmed,
    /// The mechanism did not report in time, or has no sensor.
    NotConfirmed,
    /// Not done, and will not be done later.
    Refused {
        /// Stable reason code of `cardea-access`.
        #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
        reason: String,
    },
}

/// A controller's statement that a subject's biometrics are gone from it. Signed on its own, kept as evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The order.
    pub erasure: ErasureId,
    /// Who erased.
    pub controller: ControllerId,
    /// The revision that carried the order.
    pub revision: Revision,
    /// How many templates were held and are erased.
    pub templates_erased: u32,
    /// Whether the database was rewritten, the log truncated and the files checked for the templates' bytes.
    pub verified: bool,
    /// When, by the controller's clock.
    #[serde(with = "crate::rfc3339")]
    pub at: Timestamp,
}
