//! Puts an event and the pictures that follow it together. Pure, with time as input.

use std::time::Duration;

use tokio::time::Instant;

use super::{Dated, EventError, MAX_PICTURES, Message, Part, PlateEvent, Told};

/// How long pictures may take after their event, and after each other.
const GATHER: Duration = Duration::from_millis(300);

/// The event that is being put together.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    begun: Option<(Told, PlateEvent)>,
    due: Option<Instant>,
}

impl Assembly {
    /// A part has come, its first byte at `arrived_at`. Answers an event that is complete, with its mark.
    pub(super) fn push(&mut self, part: Part, arrived_at: Instant) -> Result<Option<(Told, PlateEvent)>, EventError> {
        match part {
            Part::Message(Message::Vehicle(told)) => {
                let before = self.take();
                let event = PlateEvent {
                    text: told.text.clone(),
                    confidence: told.confidence,
                    pictures: Vec::new(),
                    arrived_at,
                    dated: Dated::default(),
                };
                self.begun = Some((told, event));
                self.due = Some(arrived_at + GATHER);
                Ok(before.or_else(|| self.take_complete()))
            }
            Part::Picture(picture) => {
                // A picture without an event is about nothing.
                let Some((_, event)) = &mut self.begun else { return Ok(None) };
                if event.pictures.len() >= MAX_PICTURES {
                    return Err(EventError::Pictures);
                }
                event.pictures.push(picture);
                self.due = Some(arrived_at + GATHER);
                Ok(self.take_complete())
            }
            // Its pictures are none of the vehicle's.
            Part::Message(Message::Other) => Ok(self.take()),
            Part::Message(Message::Heartbeat(_)) | Part::Unknown => Ok(None),
        }
    }

    /// When [`Assembly::take`] is to be called, if nothing comes before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What has come so far: no more will.
    pub(super) fn take(&mut self) -> Option<(Told, PlateEvent)> {
        self.due = None;
        self.begun.take()
    }

    fn take_complete(&mut self) -> Option<(Told, PlateEvent)> {
        let (told, event) = self.begun.as_ref()?;
        if told.pictures.is_some_and(|count| event.pictures.len() >= count) { self.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn told(text: &str, pictures: Option<usize>) -> Part {
        Part::Message(Message::Vehicle(Told { text: text.into(), pictures, ..Told::default() }))
    }

    fn picture() -> Part {
        Part::Picture(Bytes::from_static(&[0xFF, 0xD8, 0xFF]))
    }

    #[test]
    fn an_event_waits_for_the_pictures_it_announced_and_no_longer_than_the_next() {
        let (mut assembly, now) = (Assembly::default(), Instant::now());
        let mut push = |part| assembly.push(part, now).unwrap().map(|(told, event)| (told.text, event.pictures.len()));
        assert_eq!(push(picture()), None, "about nothing");
        assert_eq!(push(told("a", Some(2))), None);
        assert_eq!(push(picture()), None);
        assert_eq!(push(picture()), Some(("a".into(), 2)));
        assert_eq!(push(told("b", None)), None);
        assert_eq!(push(picture()), None);
        assert_eq!(push(told("c", Some(0))), Some(("b".into(), 1)));
        assert_eq!(push(told("d", None)), Some(("c".into(), 0)));
        assert_eq!(push(Part::Message(Message::Heartbeat(None))), None);
        assert_eq!(push(Part::Unknown), None);
        assert_eq!(push(picture()), None);
        assert_eq!(push(Part::Message(Message::Other)), Some(("d".into(), 1)));
        assert_eq!(push(picture()), None, "something else's");
        assert_eq!(push(Part::Message(Message::Other)), None);
    }

    #[test]
    fn it_is_due_a_moment_after_the_last_part_and_pictures_are_counted() {
        let (mut assembly, now) = (Assembly::default(), Instant::now());
        assert_eq!(assembly.due(), None);
        assembly.push(told("a", None), now).unwrap();
        assert_eq!(assembly.due(), Some(now + GATHER));
        let later = now + GATHER / 2;
        for _ in 0..MAX_PICTURES {
            assembly.push(picture(), later).unwrap();
        }
        assert_eq!(assembly.due(), Some(later + GATHER));
        assert_eq!(assembly.push(picture(), later), Err(EventError::Pictures));
        assert_eq!(assembly.take().unwrap().1.arrived_at, now);
    }
}
