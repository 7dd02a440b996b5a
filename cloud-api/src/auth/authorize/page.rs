//! The pages people log in on.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::page::Page;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f4f2;color:#1c1c1a}\
main{max-width:22rem;margin:12vh auto;padding:2rem;background:#fff;border:1px solid #d8d8d4;border-radius:.5rem}\
h1{font-size:1.25rem;margin:0 0 1rem}label{display:block;margin:1rem 0 .25rem}\
input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem;border:1px solid #77776f;border-radius:.25rem}\
button{font:inherit;margin:1.5rem .5rem 0 0;padding:.5rem 1.25rem;border:1px solid #1c1c1a;border-radius:.25rem;\
background:#fff;color:inherit}button[value=sign-in]{background:#1c1c1a;color:#fff}[role=alert]{color:#a3160a}";

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
    Page { language: "en", title, style: STYLE, body, form_action }.response(status)
}
