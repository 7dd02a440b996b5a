//! Cameras that read plates themselves and tell so: another source of evidence, not a source of pictures to look at.
//!
//! ```text
//! pull    hikvision  GET …/alertStream      ─┐   parts -> assembled -> not seen before? -> PlateEvent
//!         dahua      GET …/snapManager.cgi  ─┤   (Parts)  (Assembly)    (Inbox)
//! listen  hikvision-push  POST from the camera ┘
//! ```
//!
//! What such a camera says is a claim: whoever uses it checks the picture that comes with it. Everything is bounded, nothing
//! is kept: an event that nobody takes is dropped. An event's age counts from its arrival, unless the camera's clock shows that
//! it has waited (`date.rs`); one that the camera calls a retransmission, that was seen before, or that is about another lane is
//! no event.

mod assembly;
pub(crate) mod dahua;
mod date;
pub(crate) mod hikvision;
mod inbox;
mod listen;
mod mark;
mod pull;
mod slots;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

use self::{date::Date, mark::Mark};
use crate::Health;

pub use date::Dated;
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
    /// When it was, by the camera's clock.
    pub dated: Dated,
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
    /// What tells this event from every other.
    pub(crate) mark: Option<Mark>,
    /// How many pictures follow, if that is said.
    pub(crate) pictures: Option<usize>,
    /// The camera says that it is an old one.
    pub(crate) again: bool,
    /// The camera's channel, from 1.
    pub(crate) channel: Option<u32>,
    /// The lane, as the camera counts them.
    pub(crate) lane: Option<u32>,
    /// Where the vehicle goes.
    pub(crate) course: Option<Course>,
    /// When it was.
    pub(crate) date: Option<Date>,
}

/// Where a vehicle goes, as its camera sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// Towards the camera.
    Approach,
    /// Away from it.
    Leave,
}

impl Course {
    /// `None` for what is neither of the two words.
    fn read(text: &str, approach: &str, leave: &str) -> Option<Self> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if is(approach) { Some(Self::Approach) } else { is(leave).then_some(Self::Leave) }
    }
}

/// Which events of a camera count. What it does not say, it does not say otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) channel: u32,
    pub(crate) lane: Option<u32>,
    pub(crate) course: Option<Course>,
}

impl Wanted {
    fn takes(&self, told: &Told) -> bool {
        let fits = |wanted: Option<u32>, said: Option<u32>| wanted.is_none() || said.is_none() || wanted == said;
        let course = self.course.is_none() || told.course.is_none() || self.course == told.course;
        fits(Some(self.channel), told.channel) && fits(self.lane, told.lane) && course
    }
}

/// What a description says.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// A vehicle.
    Vehicle(Told),
    /// That the camera is there, and what its clock says.
    Heartbeat(Option<Date>),
    /// Something else, which may have pictures of its own.
    Other,
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

/// How a make writes its events.
#[derive(Clone, Copy)]
pub(crate) struct Make {
    /// Reads a description.
    pub(crate) read: fn(&[u8]) -> Result<Message, EventError>,
    /// Whether a part of this media type (empty if it says none) and with this body is meant to be one.
    pub(crate) is_message: fn(&str, &[u8]) -> bool,
}

/// What one part of a stream is.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// A description.
    Message(Message),
    /// A picture.
    Picture(Bytes),
    /// What nobody here reads: another make's JSON, a clip, a form's field.
    Unknown,
}

/// Tells what a part is: a picture by its first bytes, everything else by what it says it is.
pub(crate) fn part(kind: &str, body: Bytes, make: Make) -> Result<Part, EventError> {
    if crate::ImageKind::sniff(&body).is_some() {
        return Ok(Part::Picture(body));
    }
    if body.trim_ascii().is_empty() || !(make.is_message)(kind, &body) {
        return Ok(Part::Unknown);
    }
    if body.len() > MAX_EVENT_BYTES {
        return Err(EventError::TooLong);
    }
    (make.read)(&body).map(Part::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_description_is_passed_over_whatever_it_holds() {
        let look = |kind: &str, body: &[u8], make| part(kind, Bytes::copy_from_slice(body), make);
        let jpeg = [0xFF, 0xD8, 0xFF, 0xE0];
        for make in [hikvision::MAKE, dahua::MAKE] {
            assert_eq!(look("image/jpeg", &jpeg, make), Ok(Part::Picture(Bytes::copy_from_slice(&jpeg))));
            for (kind, body) in [("image/jpeg", &b"\xFF\x00"[..]), ("video/mp4", &[7; 100_000]), ("", b" \r\n")] {
                assert_eq!(look(kind, body, make), Ok(Part::Unknown), "{kind}");
            }
        }
        assert_eq!(look("application/json", b"{\"eventType\": \"ANPR\"}", hikvision::MAKE), Ok(Part::Unknown));
        assert_eq!(look("text/plain", b"field", hikvision::MAKE), Ok(Part::Unknown));
        assert_eq!(look("", b"{}", hikvision::MAKE), Ok(Part::Unknown));
        assert_eq!(look("application/xml", b"no xml", hikvision::MAKE), Err(EventError::Xml));
        assert_eq!(look("", b"\xEF\xBB\xBF<a>", hikvision::MAKE), Err(EventError::Xml));
        assert_eq!(look("text/plain", &[b'x'; MAX_EVENT_BYTES + 1], dahua::MAKE), Err(EventError::TooLong));
        assert_eq!(look("text/plain", b"Heartbeat", dahua::MAKE), Ok(Part::Message(Message::Heartbeat(None))));
    }

    #[test]
    fn another_lane_is_not_ours_and_what_is_not_said_is_no_other() {
        let said = |channel, lane, course| Told { channel, lane, course, ..Told::default() };
        let any = Wanted { channel: 1, lane: None, course: None };
        let ours = Wanted { channel: 1, lane: Some(2), course: Some(Course::Approach) };
        for (told, by_any, by_ours) in [
            (said(None, None, None), true, true),
            (said(Some(1), Some(2), Some(Course::Approach)), true, true),
            (said(Some(2), None, None), false, false),
            (said(None, Some(1), None), true, false),
            (said(None, None, Some(Course::Leave)), true, false),
        ] {
            assert_eq!((any.takes(&told), ours.takes(&told)), (by_any, by_ours), "{told:?}");
        }
    }
}
