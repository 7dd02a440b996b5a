//! Cameras that read plates themselves and tell so: another source of evidence, not a source of pictures to look at.
//!
//! ```text
//! pull    hikvision  GET …/alertStream      ─┐   parts -> assembled -> not seen before? -> PlateEvent
//!         dahua      GET …/snapManager.cgi  ─┤   (Parts)  (Assembly)    (Inbox)
//! listen  hikvision-push  POST from the camera ┘
//! ```
//!
//! What such a camera says is a claim: whoever uses it checks the picture that comes with it. Everything is bounded, nothing
//! is kept: an event that nobody takes is dropped. An event's age counts from its arrival; one that the camera calls a
//! retransmission, or that was seen before, is no event.

mod assembly;
pub(crate) mod dahua;
pub(crate) mod hikvision;
mod inbox;
mod listen;
mod pull;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use crate::Health;

pub(crate) use inbox::Inbox;
pub(crate) use listen::start as listen;
pub(crate) use pull::start as pull;

/// What a camera says about one vehicle. `Debug` shows neither the plate nor the pictures.
#[derive(Clone, PartialEq)]
pub struct PlateEvent {
    /// The plate as the camera wrote it.
    pub text: String,
    /// How sure the camera is, 0 to 1, if it says.
    pub confidence: Option<f32>,
    /// The pictures that came with it (JPEG, PNG), as many as the camera sends.
    pub pictures: Vec<Bytes>,
    /// When it arrived, its first byte.
    pub arrived_at: Instant,
}

impl fmt::Debug for PlateEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlateEvent")
            .field("text", &"…")
            .field("confidence", &self.confidence)
            .field("pictures", &self.pictures.len())
            .finish_non_exhaustive()
    }
}

/// A camera that reads plates.
#[async_trait]
pub trait PlateCamera: Send + Sync {
    /// The logical name from the configuration.
    fn id(&self) -> &str;

    /// The next event; waits for one. Meant for one consumer for each camera.
    async fn event(&self) -> PlateEvent;

    /// Whether the camera's stream is open, or this machine listens for it.
    fn health(&self) -> watch::Receiver<Health>;

    /// How many requests were refused, since the program started, because whoever sent them did not show that it is the
    /// camera.
    fn refused(&self) -> watch::Receiver<u64>;
}

/// What the makers' formats have in common.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// The plate; empty if none was read.
    pub(crate) text: String,
    /// 0 to 1.
    pub(crate) confidence: Option<f32>,
    /// What tells this event from every other: an id, a date, or both.
    pub(crate) mark: String,
    /// How many pictures follow, if that is said.
    pub(crate) pictures: Option<usize>,
    /// The camera says that it is an old one.
    pub(crate) again: bool,
}

/// Why a part of a stream is no event and no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    #[error("the XML of an event cannot be read, or uses what no camera needs")]
    Xml,
    #[error("an event is longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("an event is not text in UTF-8")]
    Text,
    #[error("an event came with more than {MAX_PICTURES} pictures")]
    Pictures,
}

/// The longest description of an event.
pub(crate) const MAX_EVENT_BYTES: usize = 64 * 1024;
/// The longest text taken for a plate, in characters: a plate has ten or so.
const MAX_PLATE: usize = 24;
/// The most pictures of one event.
const MAX_PICTURES: usize = 8;

/// The plate of an event without what cameras write when they could not read one.
fn plate(text: &str) -> String {
    let text = text.trim();
    let none = ["unknown", "noplate", "no plate", "unlicensed"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if none || text.chars().count() > MAX_PLATE { String::new() } else { text.to_owned() }
}

/// What one part of a stream is.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// An event about a vehicle.
    Event(Told),
    /// A picture.
    Picture(Bytes),
    /// A heartbeat, or an event about something else.
    Other,
}

/// How a make writes its events.
pub(crate) type Reader = fn(&[u8]) -> Result<Option<Told>, EventError>;

/// Tells what a part is, by its first bytes.
pub(crate) fn part(body: Bytes, read: Reader) -> Result<Part, EventError> {
    if crate::ImageKind::sniff(&body).is_some() {
        return Ok(Part::Picture(body));
    }
    if body.len() > MAX_EVENT_BYTES {
        return Err(EventError::TooLong);
    }
    Ok(read(&body)?.map_or(Part::Other, Part::Event))
}
