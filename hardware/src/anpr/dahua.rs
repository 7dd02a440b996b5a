//! Events as Dahua's cameras write them: lines of `Events[0].Name=value` (HTTP API, `snapManager.cgi`, event
//! `TrafficJunction`), followed by a picture.
//!
//! `EventBaseInfo.Index` counts channels from 0, `channel` in the request from 1. `UTC` is the local time of some models;
//! where it is, `RealUTC` is the true one. `TrafficCar.DrivingDirection[0]` is `Approach` or `Leave`.

use super::{Course, EventError, Make, Message, Told, date::Date, hikvision::share, mark::Mark, plate};

/// The scale of `Object.Confidence`.
const CONFIDENCE: f32 = 255.0;

/// Parts in plain text are events and heartbeats.
pub(crate) const MAKE: Make = Make { read, is_message: |kind, _| kind.is_empty() || kind.starts_with("text/") };

/// What a message says; [`Message::Heartbeat`] has no date here.
pub(crate) fn read(body: &[u8]) -> Result<Message, EventError> {
    let text = std::str::from_utf8(body).map_err(|_| EventError::Text)?;
    if text.trim().eq_ignore_ascii_case("heartbeat") {
        return Ok(Message::Heartbeat(None));
    }
    let mut told = Told::default();
    let (mut code, mut number, mut object, mut object_type) = ("", "", "", "");
    let (mut id, mut group, mut utc, mut real_utc, mut utc_ms, mut pts) = ("", "", "", "", "", "");
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let Some(key) = key.trim().strip_prefix("Events[0].") else { continue };
        let value = value.trim();
        match key {
            "EventBaseInfo.Code" | "Code" => code = value,
            "EventBaseInfo.Index" => told.channel = value.parse().ok().and_then(|index: u32| index.checked_add(1)),
            "Lane" => told.lane = value.parse().ok(),
            "TrafficCar.DrivingDirection[0]" => told.course = Course::read(value, "Approach", "Leave"),
            "TrafficCar.PlateNumber" => number = value,
            "Object.Text" => object = value,
            "Object.ObjectType" => object_type = value,
            "Object.Confidence" => told.confidence = share(value, CONFIDENCE),
            "EventID" => id = value,
            "GroupID" => group = value,
            "UTC" => utc = value,
            "RealUTC" => real_utc = value,
            "UTCMS" => utc_ms = value,
            "PTS" => pts = value,
            _ => {}
        }
    }
    if code != "TrafficJunction" {
        return Ok(Message::Other);
    }
    told.text = plate(if number.is_empty() && object_type == "Plate" { object } else { number });
    // Numbers begin anew when the camera starts, so the times belong to them.
    let marked = [id, group, utc, utc_ms, pts].iter().any(|field| !field.is_empty());
    told.mark = Mark::of(&[id, group, utc, real_utc, utc_ms, pts, &told.text]).filter(|_| marked);
    told.date = Date::from_unix_s(if real_utc.is_empty() { utc } else { real_utc });
    Ok(Message::Vehicle(told))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(plate: &str, id: &str) -> String {
        format!(
            "Events[0].EventBaseInfo.Code=TrafficJunction\r\nEvents[0].EventBaseInfo.Action=Pulse\r\n\
             Events[0].EventBaseInfo.Index=0\r\nEvents[0].Lane=1\r\n\
             Events[0].Object.ObjectType=Plate\r\nEvents[0].Object.Confidence=204\r\nEvents[0].EventID={id}\r\n\
             Events[0].PTS=42949485818.0\r\nEvents[0].TrafficCar.DrivingDirection[0]=Approach\r\n\
             Events[0].TrafficCar.PlateNumber={plate}\r\nEvents[0].UTC=1777870800\r\n"
        )
    }

    fn vehicle(text: &str) -> Told {
        let Ok(Message::Vehicle(told)) = read(text.as_bytes()) else { panic!("{text}") };
        told
    }

    #[test]
    fn an_event_is_read_and_everything_else_is_none() {
        let told = vehicle(&event("A123BC77", "7"));
        assert_eq!((told.text.as_str(), told.confidence, told.pictures), ("A123BC77", Some(0.8), None));
        assert_eq!((told.channel, told.lane, told.course), (Some(1), Some(1), Some(Course::Approach)));
        assert_eq!(told.date, Date::parse("2026-05-04T05:00:00Z"));
        let object = event("", "7") + "Events[0].Object.Text=B456CE99\r\n";
        assert_eq!(vehicle(&object).text, "B456CE99");
        let car = object.replace("ObjectType=Plate", "ObjectType=Vehicle");
        assert_eq!(vehicle(&car).text, "", "the text of a vehicle is its make");
        assert_eq!(read(b"Heartbeat\r\n"), Ok(Message::Heartbeat(None)));
        for other in ["", "Events[0].Code=VideoMotion", "Events[1].Code=TrafficJunction"] {
            assert_eq!(read(other.as_bytes()), Ok(Message::Other), "{other}");
        }
        assert_eq!(read(b"Events[0].Code=\xFF"), Err(EventError::Text));
    }

    #[test]
    fn the_true_utc_is_taken_and_nonsense_is_nothing_said() {
        let local = event("A123BC77", "7") + "Events[0].RealUTC=1777860000\r\n";
        assert_eq!(vehicle(&local).date, Date::from_unix_s("1777860000"));
        let odd = event("A123BC77", "7").replace("Approach", "Sideways").replace("Lane=1", "Lane=left");
        let odd = odd.replace("Index=0", "Index=4294967295").replace("UTC=1777870800", "UTC=soon");
        let told = vehicle(&odd);
        assert_eq!((told.channel, told.lane, told.course, told.date), (None, None, None, None));
    }

    #[test]
    fn an_event_is_known_by_all_that_identifies_it() {
        let mark = |text: &str| vehicle(text).mark;
        let one = event("A123BC77", "7");
        assert!(mark(&one).is_some() && mark(&one) == mark(&one));
        for (from, to) in [("EventID=7", "EventID=8"), ("UTC=1777870800", "UTC=1777870801"), ("A123BC77", "B456CE99")] {
            assert_ne!(mark(&one), mark(&one.replace(from, to)), "{to}");
        }
        assert_eq!(mark("Events[0].Code=TrafficJunction\nEvents[0].TrafficCar.PlateNumber=A123BC77"), None);
    }
}
