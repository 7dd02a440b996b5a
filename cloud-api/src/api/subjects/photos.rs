//! The photos of an enrolment: one as the body itself, or one to five as parts of a form (RFC 7578).
//!
//! The form is taken apart where it lies. A parser that reads a stream would leave copies of the photos behind.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::web::extract::{PHOTO_LIMIT_BYTES, read_body, require_media_type};
use crate::problem::Problem;

/// Photos in one call.
pub(super) const MAX_PHOTOS: usize = 5;
/// Largest form, bytes: five photos as telephones take them, not five of the largest.
const FORM_LIMIT_BYTES: usize = 2 * PHOTO_LIMIT_BYTES;
/// RFC 2046 §5.1.1.
const BOUNDARY_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=70;

const PICTURES: [&str; 2] = ["image/jpeg", "image/png"];
const FORM: &str = "multipart/form-data";
const WANTED: &str = "a photo: Content-Type image/jpeg or image/png, or a multipart/form-data of such parts";

/// A form of several photos of one resident.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form")]
pub(crate) struct PhotoForm {
    /// One to five photos, JPEG or PNG, at most 8 MiB each and 16 MiB together: a part named `photo` for each.
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1, max_items = 5)]
    photo: Vec<Vec<u8>>,
}

/// Photos, JPEG or PNG by their declared type; their bytes are overwritten when dropped.
pub(crate) struct Photos(pub(super) Vec<Zeroizing<Vec<u8>>>);

impl Photos {
    /// What the photos are, for telling a repeated call from another: boundaries of forms differ each time.
    pub(super) fn digests(&self) -> Vec<u8> {
        self.0.iter().flat_map(Sha256::digest).collect()
    }
}

impl<S: Send + Sync> FromRequest<S> for Photos {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if require_media_type(&parts.headers, &[FORM], WANTED).is_err() {
            require_media_type(&parts.headers, &PICTURES, WANTED)?;
            let photo = read_body(&parts.headers, body, PHOTO_LIMIT_BYTES).await?;
            return Ok(Self(vec![Zeroizing::new(photo)]));
        }
        let form = Zeroizing::new(read_body(&parts.headers, body, FORM_LIMIT_BYTES).await?);
        let boundary = boundary(&parts.headers).ok_or(Problem::Malformed("boundary of the form"))?;
        photos(&form, boundary).map(Self)
    }
}

fn boundary(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = parameter(content_type, "boundary")?;
    BOUNDARY_CHARACTERS.contains(&boundary.len()).then_some(boundary)
}

/// A parameter of a header's value, without its quotes.
fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, found) = parameters.find(|(found, _)| found.trim().eq_ignore_ascii_case(name))?;
    let found = found.trim();
    Some(found.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(found))
}

fn photos(form: &[u8], boundary: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, Problem> {
    let parts = parts(form, boundary).ok_or(Problem::Malformed("form"))?;
    if parts.is_empty() || parts.len() > MAX_PHOTOS {
        return Err(Problem::InvalidField(format!("send 1 to {MAX_PHOTOS} photos in a form")));
    }
    parts.into_iter().map(|part| photo(&part)).collect()
}

fn photo(part: &Part<'_>) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let disposition = part.header("content-disposition").unwrap_or_default();
    if parameter(disposition, "name") != Some("photo") {
        return Err(Problem::InvalidField("every part of the form is named `photo`".to_owned()));
    }
    let declared = part.header("content-type").unwrap_or_default();
    if !PICTURES.iter().any(|picture| declared.eq_ignore_ascii_case(picture)) {
        return Err(Problem::UnsupportedMediaType(WANTED));
    }
    if part.content.len() > PHOTO_LIMIT_BYTES {
        return Err(Problem::BodyTooLarge { limit_bytes: PHOTO_LIMIT_BYTES });
    }
    Ok(Zeroizing::new(part.content.to_vec()))
}

/// A part of a form, as it lies in the body.
struct Part<'a> {
    headers: &'a str,
    content: &'a [u8],
}

impl<'a> Part<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.split("\r\n").filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// The parts between the lines of `boundary` (RFC 2046 §5.1.1), one more than [`MAX_PHOTOS`] at most; `None` where the form
/// is cut short or no form. What mail allows and no client of HTTP sends, such as text before the first part, is no form.
fn parts<'a>(form: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let line = format!("\r\n--{boundary}");
    let mut rest = form.strip_prefix(&line.as_bytes()[2..])?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") && parts.len() <= MAX_PHOTOS {
        let (headers, content) = split(rest.strip_prefix(b"\r\n")?, b"\r\n\r\n")?;
        let (content, next) = split(content, line.as_bytes())?;
        parts.push(Part { headers: std::str::from_utf8(headers).ok()?, content });
        rest = next;
    }
    Some(parts)
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..found], &bytes[found + at.len()..]))
}

/// A form of these photos, as a browser writes it.
#[cfg(test)]
pub(crate) fn form(photos: &[&[u8]], boundary: &str) -> Vec<u8> {
    let mut form = Vec::new();
    for photo in photos {
        form.extend(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n").bytes(),
        );
        form.extend(b"Content-Type: image/jpeg\r\n\r\n");
        form.extend_from_slice(photo);
        form.extend(b"\r\n");
    }
    form.extend(format!("--{boundary}--\r\n").bytes());
    form
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_into_a_form_comes_out(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..=MAX_PHOTOS),
        ) {
            let sent: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
            let found = photos(&form(&sent, "a-boundary-nobody-drew"), "a-boundary-nobody-drew").unwrap();
            prop_assert_eq!(found.iter().map(|photo| photo.as_slice()).collect::<Vec<_>>(), sent);
        }

        #[test]
        fn a_form_cut_short_is_no_form(cut in any::<prop::sample::Index>()) {
            let whole = form(&[b"one", b"two"], "b");
            let end = whole.len() - "--\r\n".len();
            prop_assert!(photos(&whole[..cut.index(end)], "b").is_err());
        }

        #[test]
        fn no_bytes_make_it_fail_otherwise(bytes in prop::collection::vec(prop::sample::select(b"\r\n-b:;=\"".to_vec()), 0..60)) {
            let _ = photos(&bytes, "b");
            let _ = photos(&[b"--b\r\n".as_slice(), &bytes].concat(), "b");
        }
    }

    fn refused(form: &[u8]) -> Problem {
        photos(form, "b").unwrap_err()
    }

    #[test]
    fn what_is_not_one_to_five_photos_is_refused() {
        assert!(matches!(refused(&form(&[], "b")), Problem::InvalidField(_)));
        assert!(matches!(refused(&form(&[b"x".as_slice(); 6], "b")), Problem::InvalidField(_)));
        let text =
            |form: Vec<u8>, from: &str, to: &str| String::from_utf8(form).unwrap().replace(from, to).into_bytes();
        let other = text(form(&[b"x"], "b"), "\"photo\"", "\"passport\"");
        assert!(matches!(refused(&other), Problem::InvalidField(_)));
        let pdf = text(form(&[b"x"], "b"), "image/jpeg", "application/pdf");
        assert!(matches!(refused(&pdf), Problem::UnsupportedMediaType(_)));
        let large = vec![b'x'; PHOTO_LIMIT_BYTES + 1];
        assert!(matches!(refused(&form(&[&large], "b")), Problem::BodyTooLarge { limit_bytes: PHOTO_LIMIT_BYTES }));
    }

    #[test]
    fn a_boundary_is_found_quoted_or_not() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            boundary(&headers).map(str::to_owned)
        };
        assert_eq!(of("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("multipart/form-data; charset=utf-8; Boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(of("multipart/form-data"), None);
        assert_eq!(of("multipart/form-data; boundary="), None);
    }
}
