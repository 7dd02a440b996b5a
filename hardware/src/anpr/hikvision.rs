//! Events as Hikvision's cameras write them: XML `EventNotificationAlert` (ISAPI, event type `ANPR`), followed by the
//! pictures it lists.
//!
//! Only the few elements that matter are read, by their place. A document type, an entity, or nesting deeper than any camera
//! needs makes it no event. Source of the names: Hikvision's developer guides, `XML_EventNotificationAlert_ANPR`; there
//! `activePostCount` is how many times the same alarm has been uploaded, `eventState` `inactive` an event that does not hold,
//! `isDataRetransmission` what an outage kept back, `dynChannelID` a recorder's channel and `channelID` its own. Some firmware
//! calls `line` `laneNo`.

use quick_xml::{Reader, events::Event};

use super::{Course, EventError, Make, Message, Told, date::Date, mark::Mark, plate};

const MAX_DEPTH: usize = 16;

/// Parts that say to be XML, or look like it, are events and heartbeats.
pub(crate) const MAKE: Make = Make { read, is_message: |kind, body| kind.ends_with("xml") || looks_like_xml(body) };

fn looks_like_xml(body: &[u8]) -> bool {
    let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    text.trim_ascii_start().starts_with(b"<")
}

/// What the elements of a message say.
#[derive(Default)]
struct Fields {
    kind: String,
    state: String,
    uuid: String,
    date: String,
    channel: String,
    recorder_channel: String,
    posted: String,
    plate: String,
    lane: String,
    course: String,
    again: bool,
    confidence: Option<f32>,
    announced: Option<usize>,
    listed: usize,
}

impl Fields {
    /// Takes text at its place. Some parsers hand it over in pieces.
    fn take(&mut self, place: &[&str], text: &str) {
        let field = match place {
            [_, "eventType"] => &mut self.kind,
            [_, "eventState"] => &mut self.state,
            [_, "UUID"] => &mut self.uuid,
            [_, "dateTime"] => &mut self.date,
            [_, "channelID"] => &mut self.channel,
            [_, "dynChannelID"] => &mut self.recorder_channel,
            [_, "activePostCount"] => &mut self.posted,
            [_, "ANPR", "licensePlate"] => &mut self.plate,
            [_, "ANPR", "line" | "laneNo"] => &mut self.lane,
            [_, "ANPR", "direction"] => &mut self.course,
            [_, "isDataRetransmission"] => return self.again |= !text.eq_ignore_ascii_case("false"),
            [_, "picNum"] => return self.announced = text.parse().ok(),
            [_, "ANPR", "confidenceLevel"] => return self.confidence = share(text, 100.0),
            _ => return,
        };
        field.push_str(text);
    }

    fn message(self) -> Message {
        let date = Date::parse(&self.date);
        let inactive = self.state.eq_ignore_ascii_case("inactive");
        if !self.kind.eq_ignore_ascii_case("ANPR") {
            let beats = inactive && self.kind.eq_ignore_ascii_case("videoloss");
            return if beats { Message::Heartbeat(date) } else { Message::Other };
        }
        if inactive {
            return Message::Other;
        }
        let text = plate(&self.plate);
        let channel = if self.recorder_channel.is_empty() { self.channel } else { self.recorder_channel };
        let mark = match self.uuid.as_str() {
            // The same second may be that of two vehicles.
            "" if !self.date.is_empty() => Mark::of(&[&self.date, &channel, &self.lane, &text]),
            uuid => Mark::of(&[uuid]),
        };
        Message::Vehicle(Told {
            confidence: self.confidence,
            mark,
            pictures: self.announced.or((self.listed > 0).then_some(self.listed)),
            again: self.again || self.posted.parse().is_ok_and(|times: u32| times > 1),
            channel: channel.parse().ok(),
            lane: self.lane.parse().ok(),
            course: Course::read(&self.course, "forward", "reverse"),
            date,
            text,
        })
    }
}

/// What a message says. The heartbeat is a `videoloss` that is not.
pub(crate) fn read(body: &[u8]) -> Result<Message, EventError> {
    let text = std::str::from_utf8(body).map_err(|_| EventError::Text)?;
    let mut xml = Reader::from_str(text.trim_start_matches('\u{feff}').trim());
    let mut path: Vec<String> = Vec::new();
    let mut fields = Fields::default();
    loop {
        match xml.read_event().map_err(|_| EventError::Xml)? {
            Event::Start(element) => {
                if path.len() >= MAX_DEPTH {
                    return Err(EventError::Xml);
                }
                let name = element.local_name();
                path.push(name.as_ref().to_owned());
                fields.listed += usize::from(path.last().is_some_and(|name| name == "pictureInfo"));
            }
            Event::End(_) => drop(path.pop()),
            // A camera may be called "Entry &amp; Exit"; a plate may not, and nobody may define references.
            Event::GeneralRef(name) => {
                let predefined = ["amp", "lt", "gt", "quot", "apos"].iter().any(|known| *name == **known);
                if !predefined || path.last().is_some_and(|field| field == "licensePlate") {
                    return Err(EventError::Xml);
                }
            }
            Event::DocType(_) | Event::PI(_) => return Err(EventError::Xml),
            Event::Text(content) => {
                let place: Vec<&str> = path.iter().map(String::as_str).collect();
                fields.take(&place, content.trim());
            }
            Event::Eof => break,
            Event::Empty(_) | Event::Decl(_) | Event::CData(_) | Event::Comment(_) => {}
        }
    }
    if !path.is_empty() || fields.kind.is_empty() {
        return Err(EventError::Xml);
    }
    Ok(fields.message())
}

/// A number from 0 to `whole` as a share of it; `None` for what is none.
pub(super) fn share(text: &str, whole: f32) -> Option<f32> {
    let value: f32 = text.parse().ok()?;
    (0.0..=whole).contains(&value).then(|| value / whole)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(plate: &str, id: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <EventNotificationAlert version=\"2.0\" xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n\
             <ipAddress>192.0.2.20</ipAddress><channelID>1</channelID><dateTime>2026-05-04T08:00:00+03:00</dateTime>\n\
             <activePostCount>1</activePostCount><eventType>ANPR</eventType><eventState>active</eventState><UUID>{id}</UUID>\n\
             <ANPR><country>34</country><licensePlate>{plate}</licensePlate><line>2</line><direction>forward</direction>\n\
             <confidenceLevel>97</confidenceLevel><pictureInfoList><pictureInfo><fileName>licensePlatePicture.jpg</fileName>\n\
             </pictureInfo><pictureInfo><fileName>detectionPicture.jpg</fileName></pictureInfo></pictureInfoList></ANPR>\n\
             </EventNotificationAlert>"
        )
    }

    fn vehicle(text: &str) -> Told {
        let Ok(Message::Vehicle(told)) = read(text.as_bytes()) else { panic!("{text}") };
        told
    }

    #[test]
    fn an_event_is_read_by_the_place_of_its_elements() {
        let told = vehicle(&event("A123BC77", "u-1"));
        assert_eq!((told.text.as_str(), told.confidence), ("A123BC77", Some(0.97)));
        assert_eq!((told.pictures, told.again, told.mark), (Some(2), false, Mark::of(&["u-1"])));
        assert_eq!((told.channel, told.lane, told.course), (Some(1), Some(2), Some(Course::Approach)));
        assert_eq!(told.date, Date::parse("2026-05-04T05:00:00Z"));
        for none in ["unknown", "", "A very long text that is no plate"] {
            assert_eq!(vehicle(&event(none, "u")).text, "");
        }
        let elsewhere = event("A123BC77", "u").replace("licensePlate>", "originalLicensePlate>");
        assert_eq!(vehicle(&elsewhere).text, "");
        let behind_a_recorder =
            event("A123BC77", "u").replace("<channelID>", "<dynChannelID>7</dynChannelID><channelID>");
        assert_eq!(vehicle(&behind_a_recorder).channel, Some(7));
        let other_names = event("A123BC77", "u").replace("line>", "laneNo>").replace("forward", "reverse");
        assert_eq!((vehicle(&other_names).lane, vehicle(&other_names).course), (Some(2), Some(Course::Leave)));
        let unsaid = event("A123BC77", "u").replace("<line>2</line>", "").replace("forward", "unknown");
        assert_eq!((vehicle(&unsaid).lane, vehicle(&unsaid).course), (None, None));
    }

    #[test]
    fn a_heartbeat_is_none_and_dated() {
        let beat = "<EventNotificationAlert><dateTime>2026-05-04T08:00:00</dateTime><eventType>videoloss</eventType>\
                    <eventState>inactive</eventState></EventNotificationAlert>";
        assert_eq!(read(beat.as_bytes()), Ok(Message::Heartbeat(Date::parse("2026-05-04T08:00:00"))));
        for other in [beat.replace("inactive", "active"), beat.replace("videoloss", "VMD")] {
            assert_eq!(read(other.as_bytes()), Ok(Message::Other));
        }
    }

    #[test]
    fn what_was_kept_back_or_is_uploaded_again_is_known_as_such() {
        let good = event("A123BC77", "u-1");
        let inactive = good.replace("<eventState>active", "<eventState>inactive");
        assert_eq!(read(inactive.as_bytes()), Ok(Message::Other));
        let kept = good.replace("<UUID>", "<isDataRetransmission>true</isDataRetransmission><UUID>");
        for again in [&kept, &kept.replace(">true<", ">1<"), &good.replace("PostCount>1<", "PostCount>2<")] {
            assert!(vehicle(again).again, "{again}");
        }
        for present in [&kept.replace(">true<", ">false<"), &good.replace("PostCount>1<", "PostCount>0<")] {
            assert!(!vehicle(present).again, "{present}");
        }
    }

    #[test]
    fn an_event_without_an_id_is_known_by_all_that_identifies_it() {
        let one = event("A123BC77", "");
        let mark = |text: &str| vehicle(text).mark;
        assert!(mark(&one).is_some() && mark(&one) == mark(&one));
        for (from, to) in [("08:00:00", "08:00:01"), ("<line>2", "<line>1"), ("A123BC77", "B456CE99")] {
            assert_ne!(mark(&one), mark(&one.replace(from, to)), "{to}");
        }
        assert_eq!(mark(&one.replace("2026-05-04T08:00:00+03:00", "")), None);
        let long = |last: &str| mark(&event("A123BC77", &format!("{}{last}", "0".repeat(128))));
        assert_ne!(long("a"), long("b"), "two events that differ at their end are two");
    }

    #[test]
    fn a_name_with_an_ampersand_does_no_harm() {
        let named = event("A123BC77", "u-1").replace("<UUID>", "<channelName>Entry &amp; Exit</channelName><UUID>");
        assert_eq!(vehicle(&named).text, "A123BC77");
    }

    #[test]
    fn broken_and_wicked_xml_is_no_event() {
        let good = event("A123BC77", "u-1");
        let bomb = format!("<!DOCTYPE a [<!ENTITY b \"A123BC77\">]>{}", event("&b;", "u").split_once("?>").unwrap().1);
        let deep = "<a>".repeat(2_000);
        for bad in [
            &good[..good.len() - 10],
            &good.replace("</ANPR>", "</ANPX>"),
            &bomb,
            &event("&amp;", "u"),
            &deep,
            "",
            "no xml",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(60)]);
        }
        assert_eq!(read(b"<a>\xFF</a>"), Err(EventError::Text));
    }
}
