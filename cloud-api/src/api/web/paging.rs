//! Lists come in pages: `limit`, an opaque `after`, and in the answer `next` and a `Link` header (RFC 8288) while there is more.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::problem::Problem;

/// How many are listed where nothing is said.
pub(in crate::api) const DEFAULT_LIMIT: u32 = 100;
/// How many are listed at most.
pub(in crate::api) const MAX_LIMIT: u32 = 1_000;

/// What a list may be asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageQuery {
    /// `next` of the page before
    after: Option<String>,
    /// At most this many, 1 to 1000; 100 where nothing is given
    limit: Option<u32>,
}

/// Which part of a list is asked for.
#[derive(Debug)]
pub(in crate::api) struct Page {
    /// The last id of the page before.
    pub(in crate::api) after: Option<String>,
    /// At most this many.
    pub(in crate::api) limit: u32,
}

/// A limit, if it is one.
pub(in crate::api) fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::InvalidField(format!("limit is 1 to {MAX_LIMIT}")))
    }
}

/// What was given as a cursor is none.
pub(in crate::api) fn no_cursor() -> Problem {
    Problem::InvalidField("after is the next of an earlier page, as it was given".to_owned())
}

/// The cursor behind the thing of that id.
pub(in crate::api) fn cursor(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

impl PageQuery {
    /// The page asked for.
    pub(in crate::api) fn page(self) -> Result<Page, Problem> {
        let decode = |cursor: String| {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| no_cursor())?;
            String::from_utf8(bytes).map_err(|_| no_cursor())
        };
        Ok(Page { after: self.after.map(decode).transpose()?, limit: limit(self.limit)? })
    }
}

impl Page {
    /// This page of `all`, and the cursor of the next one while there is more. What was removed meanwhile leaves no gap
    /// and no repetition behind, since a page begins behind an id and not at a position.
    fn cut<T>(self, mut all: Vec<T>, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        all.sort_by(|a, b| id(a).cmp(id(b)));
        if let Some(after) = &self.after {
            all.retain(|one| id(one) > after.as_str());
        }
        let more = all.len() > self.limit as usize;
        all.truncate(self.limit as usize);
        let next = all.last().filter(|_| more).map(|last| cursor(id(last)));
        (all, next)
    }
}

/// The answer to a list that is read whole: the views of this page of `all`, and the cursor of the next one, as `list`.
pub(in crate::api) fn answer<T, V, L: Serialize>(
    page: Page,
    all: Vec<T>,
    id: impl Fn(&T) -> &str,
    view: impl Fn(T) -> V,
    list: impl FnOnce(Vec<V>, Option<String>) -> L,
) -> Response {
    let limit = page.limit;
    let (part, next) = page.cut(all, id);
    let link = next.clone();
    linked(list(part.into_iter().map(view).collect(), next), limit, link.as_deref())
}

/// The answer, with a link to the page behind it.
pub(in crate::api) fn linked<T: Serialize>(body: T, limit: u32, next: Option<&str>) -> Response {
    let mut response = axum::Json(body).into_response();
    // A reference to the same path, so that no proxy's rewriting breaks it.
    let link = next.map(|next| HeaderValue::try_from(format!("<?after={next}&limit={limit}>; rel=\"next\"")));
    if let Some(Ok(link)) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pages_together_are_the_list_once(ids in proptest::collection::btree_set("[a-z0-9-]{1,8}", 0..50), limit in 1u32..12) {
            let all: Vec<String> = ids.into_iter().collect();
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = PageQuery { after, limit: Some(limit) }.page().unwrap();
                let (part, next) = page.cut(all.clone(), |id| id.as_str());
                prop_assert!(part.len() <= limit as usize && (next.is_none() || part.len() == limit as usize));
                seen.extend(part);
                if next.is_none() {
                    break;
                }
                after = next;
            }
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn what_is_no_cursor_is_told(after in ".{0,40}") {
            let page = PageQuery { after: Some(after), limit: None }.page();
            prop_assert!(page.is_ok() || matches!(page, Err(Problem::InvalidField(_))));
        }
    }
}
