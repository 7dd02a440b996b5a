//! Pages that people see: plain HTML without script, under a policy that allows nothing but the page itself.
//!
//! maud escapes whatever is put into a page; the only text that is not escaped is the style sheet.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

/// A page.
pub(crate) struct Page<'a> {
    /// The language it is in (BCP 47).
    pub(crate) language: &'static str,
    /// What it is called.
    pub(crate) title: &'a str,
    /// Its one style sheet, which the policy lets in by its hash (CSP Level 3 §2.3.1).
    pub(crate) style: &'static str,
    /// What is on it.
    pub(crate) body: &'a Markup,
    /// Where its forms may lead, as CSP says it.
    pub(crate) form_action: &'a str,
}

impl Page<'_> {
    pub(crate) fn response(&self, status: StatusCode) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang=(self.language) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " – Cardea" }
                    style { (PreEscaped(self.style)) }
                }
                body { main { (self.body) } }
            }
        };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; form-action {}; frame-ancestors 'none'; base-uri 'none'",
            STANDARD.encode(Sha256::digest(self.style)),
            self.form_action
        );
        let mut response = (status, page.into_string()).into_response();
        let headers = response.headers_mut();
        let fixed: [(HeaderName, &'static str); 3] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::X_FRAME_OPTIONS, "DENY"),
            // Not no-referrer: browsers would then hide the origin of a form, which is checked.
            (header::REFERRER_POLICY, "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}
