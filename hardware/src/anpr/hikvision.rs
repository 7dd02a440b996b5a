//! Events as Hikvision's cameras write them: XML `EventNotificationAlert` (ISAPI, event type `ANPR`), followed by the
//! pictures it lists.
//!
//! Only the few elements that matter are read, by their place. A document type, an entity, or nesting deeper than any camera
//! needs makes it no event.

use quick_xml::{Reader, events::Event};

use super::{EventError, Told, plate};

const MAX_DEPTH: usize = 16;

/// An event about a vehicle; `None` for any other event, such as the heartbeat (`videoloss`, inactive).
pub(crate) fn read(body: &[u8]) -> Result<Option<Told>, EventError> {
    let text = std::str::from_utf8(body).map_err(|_| EventError::Text)?;
    let mut xml = Reader::from_str(text.trim_start_matches('\u{feff}').trim());
    let mut path: Vec<String> = Vec::new();
    let (mut told, mut kind, mut ids, mut dates, mut listed) =
        (Told::default(), String::new(), String::new(), String::new(), 0);
    loop {
        match xml.read_event().map_err(|_| EventError::Xml)? {
            Event::Start(element) => {
                if path.len() >= MAX_DEPTH {
                    return Err(EventError::Xml);
                }
                let name = element.local_name();
                path.push(name.as_ref().to_owned());
                listed += usize::from(path.last().is_some_and(|name| name == "pictureInfo"));
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
                let content = content.trim();
                let place: Vec<&str> = path.iter().map(String::as_str).collect();
                match place[..] {
                    [_, "eventType"] => kind.push_str(content),
                    [_, "dateTime"] => dates.push_str(content),
                    [_, "UUID"] => ids.push_str(content),
                    [_, "isDataRetransmission"] => told.again = content == "true",
                    [_, "picNum"] => told.pictures = content.parse().ok(),
                    [_, "ANPR", "licensePlate"] => told.text.push_str(content),
                    [_, "ANPR", "confidenceLevel"] => told.confidence = share(content, 100.0),
                    _ => {}
                }
            }
            Event::Eof => break,
            Event::Empty(_) | Event::Decl(_) | Event::CData(_) | Event::Comment(_) => {}
        }
    }
    if !path.is_empty() || kind.is_empty() {
        return Err(EventError::Xml);
    }
    if !kind.eq_ignore_ascii_case("ANPR") {
        return Ok(None);
    }
    told.text = plate(&told.text);
    told.mark = if ids.is_empty() { dates } else { ids };
    told.pictures = told.pictures.or((listed > 0).then_some(listed));
    Ok(Some(told))
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
             <ipAddress>192.0.2.20</ipAddress><dateTime>2026-05-04T08:00:00+03:00</dateTime><eventType>ANPR</eventType>\n\
             <eventState>active</eventState><UUID>{id}</UUID><ANPR><country>34</country><licensePlate>{plate}</licensePlate>\n\
             <confidenceLevel>97</confidenceLevel><pictureInfoList><pictureInfo><fileName>licensePlatePicture.jpg</fileName>\n\
             </pictureInfo><pictureInfo><fileName>detectionPicture.jpg</fileName></pictureInfo></pictureInfoList></ANPR>\n\
             </EventNotificationAlert>"
        )
    }

    #[test]
    fn an_event_is_read_by_the_place_of_its_elements() {
        let told = read(event("A123BC77", "u-1").as_bytes()).unwrap().unwrap();
        assert_eq!(told.text, "A123BC77");
        assert_eq!(
            (told.confidence, told.mark.as_str(), told.pictures, told.again),
            (Some(0.97), "u-1", Some(2), false)
        );
        let heartbeat = "<EventNotificationAlert><eventType>videoloss</eventType></EventNotificationAlert>";
        assert_eq!(read(heartbeat.as_bytes()), Ok(None));
        let again =
            event("A123BC77", "u-1").replace("<UUID>", "<isDataRetransmission>true</isDataRetransmission><UUID>");
        assert!(read(again.as_bytes()).unwrap().unwrap().again);
        for none in ["unknown", "", "A very long text that is no plate"] {
            assert_eq!(read(event(none, "u").as_bytes()).unwrap().unwrap().text, "");
        }
        let elsewhere = event("A123BC77", "u").replace("licensePlate>", "originalLicensePlate>");
        assert_eq!(read(elsewhere.as_bytes()).unwrap().unwrap().text, "");
    }

    #[test]
    fn a_name_with_an_ampersand_does_no_harm() {
        let named = event("A123BC77", "u-1").replace("<UUID>", "<channelName>Entry &amp; Exit</channelName><UUID>");
        assert_eq!(read(named.as_bytes()).unwrap().unwrap().text, "A123BC77");
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
