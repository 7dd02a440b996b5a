//! What reads a camera's bytes, as plain functions, for the fuzzer: not part of the API.

use crate::{
    anpr::{Message, dahua, hikvision, part},
    camera::h264::{Pictures, Unit, access_units},
    mjpeg::Multipart,
};

/// The largest part and coded picture here, in bytes.
const MAX_BYTES: usize = 4096;

/// Takes a multipart stream apart, in chunks of `chunk` bytes; answers how many bytes all its bodies have.
pub fn multipart(content_type: &str, stream: &[u8], chunk: usize) -> Option<usize> {
    let mut parts = Multipart::from_content_type(content_type, MAX_BYTES).ok()?;
    let mut bytes = 0;
    for chunk in stream.chunks(chunk.max(1)) {
        parts.push(chunk);
        while let Some(body) = parts.next_body().ok()? {
            assert!(body.len() <= MAX_BYTES, "a part beyond the limit");
            bytes += body.len();
        }
    }
    Some(bytes)
}

/// Reads an event of either make; answers the plates.
pub fn plate_event(bytes: &[u8]) -> Vec<String> {
    let _ = part("", bytes.to_vec().into(), hikvision::MAKE);
    let plate = |read| match read {
        Ok(Message::Vehicle(told)) => Some(told.text),
        _ => None,
    };
    [hikvision::read(bytes), dahua::read(bytes)].into_iter().filter_map(plate).collect()
}

/// Takes an H.264 stream apart and decodes it; answers how many pictures were shown.
pub fn h264(stream: &[u8]) -> usize {
    let mut pictures = Pictures::new(1 << 16, 1 << 16);
    let mut shown = 0;
    for data in access_units(stream) {
        if pictures.push(Unit { data, captured_at: None }, false).is_err() {
            break;
        }
        match pictures.decode() {
            Ok(found) => shown += usize::from(found.is_some()),
            Err(_) => break,
        }
    }
    shown
}
