//! Events as Dahua's cameras write them: lines of `Events[0].Name=value` (HTTP API, `snapManager.cgi`, event
//! `TrafficJunction`), followed by a picture.

use super::{EventError, Told, hikvision::share, plate};

/// The scale of `Object.Confidence`.
const CONFIDENCE: f32 = 255.0;

/// An event about a vehicle; `None` for any other, and for the heartbeat.
pub(crate) fn read(body: &[u8]) -> Result<Option<Told>, EventError> {
    let text = std::str::from_utf8(body).map_err(|_| EventError::Text)?;
    let mut told = Told::default();
    let (mut code, mut number, mut object, mut object_type) = ("", "", "", "");
    let (mut id, mut at) = ("", String::new());
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let Some(key) = key.trim().strip_prefix("Events[0].") else { continue };
        let value = value.trim();
        match key {
            "EventBaseInfo.Code" | "Code" => code = value,
            "TrafficCar.PlateNumber" => number = value,
            "Object.Text" => object = value,
            "Object.ObjectType" => object_type = value,
            "Object.Confidence" => told.confidence = share(value, CONFIDENCE),
            "EventID" | "GroupID" => id = value,
            "UTC" | "UTCMS" | "PTS" => at.push_str(value),
            _ => {}
        }
    }
    if code != "TrafficJunction" {
        return Ok(None);
    }
    told.text = plate(if number.is_empty() && object_type == "Plate" { object } else { number });
    told.mark = if id.is_empty() && at.is_empty() { String::new() } else { format!("{id}@{at}") };
    Ok(Some(told))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(plate: &str, id: &str) -> String {
        format!(
            "Events[0].EventBaseInfo.Code=TrafficJunction\r\nEvents[0].EventBaseInfo.Action=Pulse\r\nEvents[0].Lane=1\r\n\
             Events[0].Object.ObjectType=Plate\r\nEvents[0].Object.Confidence=204\r\nEvents[0].EventID={id}\r\n\
             Events[0].PTS=42949485818.0\r\nEvents[0].TrafficCar.PlateNumber={plate}\r\nEvents[0].UTC=1777870800\r\n"
        )
    }

    #[test]
    fn an_event_is_read_and_everything_else_is_none() {
        let told = read(event("A123BC77", "7").as_bytes()).unwrap().unwrap();
        assert_eq!((told.text.as_str(), told.confidence), ("A123BC77", Some(0.8)));
        assert!(told.mark.starts_with("7@") && told.pictures.is_none());
        let object = event("", "7") + "Events[0].Object.Text=B456CE99\r\n";
        assert_eq!(read(object.as_bytes()).unwrap().unwrap().text, "B456CE99");
        let car = object.replace("ObjectType=Plate", "ObjectType=Vehicle");
        assert_eq!(read(car.as_bytes()).unwrap().unwrap().text, "", "the text of a vehicle is its make");
        for other in ["Heartbeat\r\n", "", "Events[0].Code=VideoMotion", "Events[1].Code=TrafficJunction"] {
            assert_eq!(read(other.as_bytes()), Ok(None), "{other}");
        }
        assert_eq!(read(b"Events[0].Code=\xFF"), Err(EventError::Text));
    }
}
