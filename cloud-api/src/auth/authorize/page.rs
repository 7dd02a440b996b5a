//! The pages people see: plain HTML without script, under a policy that allows nothing but itself.
//!
//! maud escapes whatever is put into a page; the only text that is not escaped is the style sheet.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f4f2;color:#1c1c1a}\
main{max-width:22rem;margin:12vh auto;padding:2rem;background:#fff;border:1px solid #d8d8d4;border-radius:.5rem}\
h1{font-size:1.25rem;margin:0 0 1rem}label{display:block;margin:1rem 0 .25rem}\
input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem;border:1px solid #77776f;border-radius:.25rem}\
button{font:inherit;margin:1.5rem .5rem 0 0;padding:.5rem 1.25rem;border:1px solid #1c1c1a;border-radius:.25rem;\
background:#fff;color:inherit}button[value=sign-in]{background:#1c1c1a;color:#fff}[role=alert]{color:#a3160a}";

/// What lets the one style sheet in (CSP Level 3 §2.3.1).
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE)));

/// A form to sign in with.
pub(super) struct SignInPage<'a> {
    /// Which client the person comes from.
    pub(super) client_id: &'a str,
    /// The request, as the form carries it.
    pub(super) request: &'a str,
    /// Proof that this form was made for this browser.
    pub(super) csrf: &'a str,
    /// Origin that the answer will lead to: browsers hold redirections after a form to its policy too.
    pub(super) leads_to: &'a str,
    /// Why the last try has failed.
    pub(super) alert: Option<&'a str>,
}

impl SignInPage<'_> {
    pub(super) fn response(&self, status: StatusCode) -> Response {
        let body = html! {
            h1 { "Sign in" }
            p { "to " strong { (self.client_id) } }
            @if let Some(alert) = self.alert { p role="alert" { (alert) } }
            form method="post" action="sign-in" autocomplete="on" {
                input type="hidden" name="request" value=(self.request);
                input type="hidden" name="csrf" value=(self.csrf);
                label for="username" { "Login" }
                input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false"
                    maxlength="64" required autofocus;
                label for="password" { "Password" }
                input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required;
                button name="answer" value="sign-in" { "Sign in" }
                button name="answer" value="cancel" formnovalidate { "Cancel" }
            }
        };
        page(status, "Sign in", &body, &format!("'self' {}", self.leads_to))
    }
}

/// A page that says why there is nothing to sign in to.
pub(super) fn fault(status: StatusCode, what: &str) -> Response {
    page(status, "Not possible", &html! { h1 { "This does not work" } p role="alert" { (what) } }, "'none'")
}

fn page(status: StatusCode, title: &str, body: &Markup, form_action: &str) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Cardea" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action {form_action}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    );
    let mut response = (status, page.into_string()).into_response();
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not no-referrer: browsers would then hide the origin of the form, which is checked.
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
