//! What a server's answer means for a download that may already hold some bytes: RFC 9110 §14 (range requests) as a pure
//! function, so that every combination is a test without a server.

use super::attempt::FetchError;

/// The parts of an answer's head that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// `Content-Length`, in bytes.
    pub(crate) length: Option<u64>,
    /// `Content-Range`, as it came.
    pub(crate) content_range: Option<String>,
    /// `ETag`, as it came.
    pub(crate) etag: Option<String>,
}

/// How large the file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// What the description says, in bytes.
    pub(crate) exact: Option<u64>,
    /// What is taken at most, in bytes.
    pub(crate) limit: u64,
}

/// What to do with the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It continues what is here.
    Append,
    /// It is the file from its beginning.
    Restart,
    /// There is none, and what is here is the whole file.
    Whole,
    /// What is here is of no use with this server: throw it away and ask for all of it.
    AskForAll,
}

/// Judges an answer to a request for the bytes from `asked_from` on, or for the whole file where that is `None`.
pub(crate) fn judge(head: &Head, asked_from: Option<u64>, size: Size) -> Result<Verdict, FetchError> {
    match (head.status, asked_from) {
        (200, _) => {
            check_total(head.length, size)?;
            Ok(Verdict::Restart)
        }
        (206, Some(from)) => {
            let Some(range) = head.content_range.as_deref().and_then(ContentRange::parse) else {
                return Ok(Verdict::AskForAll);
            };
            check_total(range.total, size)?;
            Ok(if range.first == Some(from) { Verdict::Append } else { Verdict::AskForAll })
        }
        (416, Some(from)) => {
            let total = head.content_range.as_deref().and_then(ContentRange::parse).and_then(|range| range.total);
            Ok(if size.exact.is_none() && total == Some(from) { Verdict::Whole } else { Verdict::AskForAll })
        }
        (status, _) => Err(FetchError::Status(status)),
    }
}

fn check_total(total: Option<u64>, size: Size) -> Result<(), FetchError> {
    match (total, size.exact) {
        (Some(announced), Some(expected)) if announced != expected => {
            Err(FetchError::OtherSize { announced, expected })
        }
        (Some(announced), _) if announced > size.limit => Err(FetchError::TooLong { limit: size.limit }),
        _ => Ok(()),
    }
}

/// `Content-Range: bytes 5-9/10`, `bytes 5-9/*` or `bytes */10` (RFC 9110 §14.4).
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        if range == "*" {
            return Some(Self { first: None, total });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let sound = first <= last && total.is_none_or(|total| last < total);
        sound.then_some(Self { first: Some(first), total })
    }
}

/// A strong validator, which alone may stand in `If-Range` (RFC 9110 §13.1.5).
pub(crate) fn strong(etag: &str) -> Option<&str> {
    (etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')).then_some(etag)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const TEN: Size = Size { exact: Some(10), limit: 10 };
    const OPEN: Size = Size { exact: None, limit: 100 };

    fn head(status: u16, length: Option<u64>, range: &str) -> Head {
        let content_range = (!range.is_empty()).then(|| range.to_owned());
        Head { status, length, content_range, etag: None }
    }

    #[test]
    fn the_rest_is_appended_where_it_was_asked_for() {
        assert_eq!(judge(&head(206, Some(6), "bytes 4-9/10"), Some(4), TEN).unwrap(), Verdict::Append);
        assert_eq!(judge(&head(206, None, "bytes 4-9/*"), Some(4), TEN).unwrap(), Verdict::Append);
    }

    #[test]
    fn a_server_that_ignores_the_range_starts_anew() {
        assert_eq!(judge(&head(200, Some(10), ""), Some(4), TEN).unwrap(), Verdict::Restart);
        assert_eq!(judge(&head(200, None, ""), None, TEN).unwrap(), Verdict::Restart);
    }

    #[test]
    fn another_part_than_asked_for_is_never_appended() {
        for range in ["bytes 0-9/10", "bytes 5-9/10", "bytes 4-3/10", "bytes 4-10/10", "", "items 4-9/10", "bytes 4"] {
            assert_eq!(judge(&head(206, None, range), Some(4), TEN).unwrap(), Verdict::AskForAll, "{range}");
        }
    }

    #[test]
    fn an_unsatisfiable_range_means_whole_only_where_the_size_says_so() {
        assert_eq!(judge(&head(416, None, "bytes */10"), Some(10), OPEN).unwrap(), Verdict::Whole);
        assert_eq!(judge(&head(416, None, "bytes */9"), Some(10), OPEN).unwrap(), Verdict::AskForAll);
        assert_eq!(judge(&head(416, None, ""), Some(10), OPEN).unwrap(), Verdict::AskForAll);
    }

    #[test]
    fn a_size_that_cannot_be_right_is_refused_before_a_byte_is_read() {
        assert!(matches!(judge(&head(200, Some(11), ""), None, TEN), Err(FetchError::OtherSize { announced: 11, .. })));
        assert!(matches!(judge(&head(200, Some(9), ""), None, TEN), Err(FetchError::OtherSize { announced: 9, .. })));
        assert!(matches!(judge(&head(200, Some(101), ""), None, OPEN), Err(FetchError::TooLong { limit: 100 })));
        assert!(matches!(
            judge(&head(206, None, "bytes 4-10/11"), Some(4), TEN),
            Err(FetchError::OtherSize { announced: 11, expected: 10 })
        ));
    }

    #[test]
    fn other_statuses_are_errors() {
        for status in [204, 206, 301, 304, 403, 404, 416, 429, 500, 503] {
            assert!(matches!(judge(&head(status, None, ""), None, TEN), Err(FetchError::Status(s)) if s == status));
        }
    }

    #[test]
    fn weak_validators_do_not_hold_a_resumption() {
        assert_eq!(strong("\"abc\""), Some("\"abc\""));
        for weak in ["W/\"abc\"", "abc", "\"", ""] {
            assert_eq!(strong(weak), None, "{weak:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_appends_at_another_place(first in 0_u64..20, last in 0_u64..20, total in 0_u64..20, from in 0_u64..20) {
            let answer = head(206, None, &format!("bytes {first}-{last}/{total}"));
            if let Ok(Verdict::Append) = judge(&answer, Some(from), TEN) {
                prop_assert_eq!((first, total), (from, 10));
            }
        }

        #[test]
        fn no_header_makes_it_panic(status in 100_u16..600, range in ".{0,40}", from in proptest::option::of(any::<u64>())) {
            let _ = judge(&head(status, None, &range), from, OPEN);
        }
    }
}
