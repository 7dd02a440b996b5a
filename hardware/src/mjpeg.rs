//! Takes a `multipart/x-mixed-replace` stream apart, from chunks of any size.
//!
//! Source: RFC 2046 section 5.1.1 (delimiters), and what cameras make of it: boundaries that are announced with their leading
//! dashes, parts with or without `Content-Length`, bare line feeds, junk before the first part. Everything is bounded: a
//! part may have at most `max_bytes`, its header block 8 KiB.

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest header block of a part.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Why the stream cannot be understood. It has to be opened anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the response is not multipart/x-mixed-replace with a boundary")]
    NotMultipart,
    #[error("a part has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the header of a part has more than {MAX_HEADER_BYTES} bytes or an unreadable length")]
    BadHeader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Looking for a delimiter; what comes before it is not kept.
    Preamble,
    /// After a delimiter, up to the blank line.
    Header,
    /// A body of known length.
    Sized(usize),
    /// A body up to the next delimiter, of which this many bytes were searched already.
    Unsized(usize),
}

/// An incremental parser: push chunks, take bodies.
#[derive(Debug)]
pub(crate) struct Multipart {
    delimiter: Vec<u8>,
    max_bytes: usize,
    buffer: BytesMut,
    state: State,
    /// The media type of the part at hand, in lower case, without parameters.
    kind: String,
}

impl Multipart {
    /// Reads the boundary from the response's `Content-Type`.
    pub(crate) fn from_content_type(content_type: &str, max_bytes: usize) -> Result<Self, StreamError> {
        let mut fields = content_type.split(';').map(str::trim);
        let kind = fields.next().unwrap_or_default().to_ascii_lowercase();
        let boundary = fields
            .find_map(|field| {
                let (name, value) = field.split_once('=')?;
                name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
            })
            .unwrap_or_default()
            .trim_start_matches('-');
        if !kind.starts_with("multipart/") || boundary.is_empty() || boundary.len() > 70 {
            return Err(StreamError::NotMultipart);
        }
        Ok(Self {
            delimiter: format!("--{boundary}").into_bytes(),
            max_bytes,
            buffer: BytesMut::new(),
            state: State::Preamble,
            kind: String::new(),
        })
    }

    /// Adds a chunk of the stream.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// True while the first bytes of a body are there and the last are not.
    pub(crate) fn inside_body(&self) -> bool {
        matches!(self.state, State::Sized(_) | State::Unsized(_)) && !self.buffer.is_empty()
    }

    /// What the part of the last body said to be, as `image/jpeg`; empty if it did not say.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The next complete body; `None` asks for more of the stream.
    pub(crate) fn next_body(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            match self.state {
                State::Preamble => {
                    let Some(at) = find(&self.buffer, &self.delimiter) else {
                        let keep = self.buffer.len().min(self.delimiter.len() - 1);
                        self.buffer.advance(self.buffer.len() - keep);
                        return Ok(None);
                    };
                    self.buffer.advance(at + self.delimiter.len());
                    self.state = State::Header;
                }
                State::Header => {
                    let end = end_of_header(&self.buffer);
                    if end.map_or(self.buffer.len(), |(header_len, _)| header_len) > MAX_HEADER_BYTES {
                        return Err(StreamError::BadHeader);
                    }
                    let Some((header_len, body_at)) = end else { return Ok(None) };
                    let length = match field(&self.buffer[..header_len], "content-length") {
                        Some(length) => Some(length.parse().map_err(|_| StreamError::BadHeader)?),
                        None => None,
                    };
                    let kind = field(&self.buffer[..header_len], "content-type").unwrap_or_default();
                    self.kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                    self.buffer.advance(body_at);
                    self.state = match length {
                        Some(length) if length > self.max_bytes => {
                            return Err(StreamError::TooLarge { limit: self.max_bytes });
                        }
                        Some(length) => State::Sized(length),
                        None => State::Unsized(0),
                    };
                }
                State::Sized(length) => {
                    if self.buffer.len() < length {
                        return Ok(None);
                    }
                    self.state = State::Preamble;
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
                State::Unsized(searched) => {
                    let from = searched.saturating_sub(self.delimiter.len() - 1);
                    let Some(at) = find(&self.buffer[from..], &self.delimiter).map(|at| from + at) else {
                        if self.buffer.len() > self.max_bytes + self.delimiter.len() {
                            return Err(StreamError::TooLarge { limit: self.max_bytes });
                        }
                        self.state = State::Unsized(self.buffer.len());
                        return Ok(None);
                    };
                    let body = without_line_end(&self.buffer[..at]).len();
                    let body = self.buffer.split_to(at).split_to(body).freeze();
                    self.state = State::Preamble;
                    return Ok(Some(body));
                }
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let last_start = haystack.len().checked_sub(needle.len())?;
    let mut at = 0;
    while at <= last_start {
        at += haystack[at..=last_start].iter().position(|byte| *byte == first)?;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The length of the header block and where the body begins, once the blank line is there. What stands on the delimiter's
/// own line is part of the block and ignored.
fn end_of_header(buffer: &[u8]) -> Option<(usize, usize)> {
    let crlf = find(buffer, b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = find(buffer, b"\n\n").map(|at| (at, at + 2));
    match (crlf, lf) {
        (Some(crlf), Some(lf)) => Some(if crlf.0 < lf.0 { crlf } else { lf }),
        (one, other) => one.or(other),
    }
}

/// The first field of this name in a header block.
fn field<'a>(header: &'a [u8], wanted: &str) -> Option<&'a str> {
    header.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// Cuts the line end that belongs to the delimiter, and dashes of a boundary that was announced without them.
fn without_line_end(body: &[u8]) -> &[u8] {
    let undashed = body.len() - body.iter().rev().take_while(|byte| **byte == b'-').count();
    let body = if body[..undashed].ends_with(b"\n") { &body[..undashed] } else { body };
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    body.strip_suffix(b"\r").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parser(max_bytes: usize) -> Multipart {
        Multipart::from_content_type("multipart/x-mixed-replace; boundary=frame", max_bytes).unwrap()
    }

    fn all(parser: &mut Multipart) -> Vec<Bytes> {
        std::iter::from_fn(|| parser.next_body().unwrap()).collect()
    }

    /// How cameras write a part: with or without a length, CRLF or LF.
    fn part(body: &[u8], sized: bool, eol: &str) -> Vec<u8> {
        let length = if sized { format!("Content-Length: {}{eol}", body.len()) } else { String::new() };
        let mut out = format!("--frame{eol}Content-Type: image/jpeg{eol}{length}{eol}").into_bytes();
        out.extend_from_slice(body);
        out.extend_from_slice(eol.as_bytes());
        out
    }

    proptest! {
        #[test]
        fn bodies_survive_any_chunking(
            bodies in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..400), any::<bool>(), any::<bool>()), 1..6),
            cuts in prop::collection::vec(1usize..97, 1..40),
            junk in "[a-z]{0,20}",
        ) {
            let mut stream = junk.into_bytes();
            stream.extend_from_slice(b"\r\n");
            let mut expected = Vec::new();
            for (mut body, sized, crlf) in bodies {
                if !sized {
                    body.push(0xD9); // as a JPEG ends: not with a line end, which only a length could keep
                }
                stream.extend_from_slice(&part(&body, sized, if crlf { "\r\n" } else { "\n" }));
                expected.push(body);
            }
            stream.extend_from_slice(b"--frame--\r\n");
            let mut parser = parser(1000);
            let mut got = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                let (chunk, later) = rest.split_at((*cut).min(rest.len()));
                parser.push(chunk);
                got.extend(all(&mut parser).into_iter().map(|body| body.to_vec()));
                rest = later;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn noise_never_panics_and_is_never_hoarded(noise in prop::collection::vec(any::<u8>(), 0..4000)) {
            let mut parser = parser(64);
            for chunk in noise.chunks(50) {
                parser.push(chunk);
                while let Ok(Some(_)) = parser.next_body() {}
            }
            prop_assert!(parser.buffer.len() <= MAX_HEADER_BYTES + 128);
        }
    }

    #[test]
    fn boundaries_are_read_as_cameras_write_them() {
        for (content_type, wire) in [
            ("multipart/x-mixed-replace;boundary=--frame", "--frame"),
            ("multipart/x-mixed-replace; boundary=\"frame\"", "--frame"),
            ("Multipart/X-Mixed-Replace; charset=x; Boundary=--frame", "----frame"),
        ] {
            let mut parser = Multipart::from_content_type(content_type, 100).unwrap();
            parser.push(format!("{wire}\r\n\r\nABC\r\n{wire}\r\n\r\nDEF\r\n{wire}").as_bytes());
            assert_eq!(all(&mut parser), ["ABC", "DEF"], "{content_type}");
        }
        for refused in ["image/jpeg", "multipart/x-mixed-replace", "multipart/x-mixed-replace; boundary=--", ""] {
            assert_eq!(Multipart::from_content_type(refused, 1).unwrap_err(), StreamError::NotMultipart, "{refused}");
        }
    }

    #[test]
    fn a_part_says_what_it_is_until_the_next_does() {
        let mut parser = parser(100);
        parser.push(
            b"--frame\r\nContent-Type: Application/XML; charset=\"UTF-8\"\r\n\r\nA\r\n--frame\r\n\r\nB\r\n--frame\r\n",
        );
        assert_eq!((parser.next_body().unwrap().unwrap().as_ref(), parser.kind()), (&b"A"[..], "application/xml"));
        assert_eq!((parser.next_body().unwrap().unwrap().as_ref(), parser.kind()), (&b"B"[..], ""));
    }

    #[test]
    fn sizes_are_limited() {
        let mut announced = parser(10);
        announced.push(&part(&[7; 11], true, "\r\n"));
        assert_eq!(announced.next_body(), Err(StreamError::TooLarge { limit: 10 }));
        let mut endless = parser(10);
        endless.push(b"--frame\r\n\r\n");
        endless.push(&[7; 30]);
        assert_eq!(endless.next_body(), Err(StreamError::TooLarge { limit: 10 }));
        let mut header = parser(10);
        header.push(b"--frame\r\n");
        header.push(&[b'x'; MAX_HEADER_BYTES + 1]);
        assert_eq!(header.next_body(), Err(StreamError::BadHeader));
        let mut ended = parser(10);
        ended.push(&[b"--frame\r\n", &[b'x'; MAX_HEADER_BYTES + 1][..], b"\r\n\r\n"].concat());
        assert_eq!(ended.next_body(), Err(StreamError::BadHeader), "in one piece, too");
        let mut length = parser(10);
        length.push(b"--frame\r\nContent-Length: many\r\n\r\n");
        assert_eq!(length.next_body(), Err(StreamError::BadHeader));
    }
}
