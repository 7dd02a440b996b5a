//! A login by browser, and every way it must not go.

use axum::body::Body;
use axum::http::Request;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::auth::roles::Role;
use crate::testing::tokens::*;
use crate::testing::{Answer, Api, CUSTOMER, ISSUER, OTHER_CUSTOMER, PASSWORD, START, peer};

const BACK: &str = "https://app.example.org/back?tenant=1";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// What a request for the page says, beside what it leads to.
const GOOD: [(&str, &str); 8] = [
    ("response_type", "code"),
    ("client_id", "service"),
    ("redirect_uri", BACK),
    ("scope", "openid"),
    ("state", "st&te \"1\""),
    ("nonce", "n-1"),
    ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    ("code_challenge_method", "S256"),
];

/// The client is `service`, people are `porter` of the same customer and `stranger` of another one.
async fn world() -> Api {
    let api = Api::new().await;
    add_login(&api, "porter", Role::CustomerIntegration, Some(CUSTOMER)).await;
    add_login(&api, "stranger", Role::CustomerIntegration, Some(OTHER_CUSTOMER)).await;
    let added = api.app.storage.add_redirect_uri("service".to_owned(), BACK.to_owned(), START).await;
    added.unwrap();
    api
}

fn with(changes: &[(&'static str, Option<&str>)]) -> Vec<(String, String)> {
    let changed = |name: &str| changes.iter().find(|(changed, _)| *changed == name);
    let kept = GOOD.iter().filter(|(name, _)| changed(name).is_none());
    let mut pairs: Vec<(String, String)> = kept.map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    pairs.extend(changes.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned()))));
    pairs
}

async fn ask(api: &Api, changes: &[(&'static str, Option<&str>)]) -> Answer {
    let query = serde_urlencoded::to_string(with(changes)).unwrap();
    api.call(Request::get(format!("/oauth2/authorize?{query}")).body(Body::empty()).unwrap()).await
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{}", answer.json);
    String::from_utf8(answer.bytes.clone()).unwrap()
}

fn hidden(page: &Answer, name: &str) -> String {
    let (html, start) = (html(page), format!("name=\"{name}\" value=\""));
    let rest = html.split_once(&start).unwrap_or_else(|| panic!("no field {name}")).1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// Submits the page's form as a browser would.
struct Submission {
    cookie: Option<String>,
    origin: Option<&'static str>,
    fields: Vec<(&'static str, String)>,
}

impl Submission {
    fn of(page: &Answer, username: &str, password: &str) -> Self {
        let cookie = page.header("set-cookie").split_once(';').unwrap().0.to_owned();
        let fields = vec![
            ("request", hidden(page, "request")),
            ("csrf", hidden(page, "csrf")),
            ("username", username.to_owned()),
            ("password", password.to_owned()),
            ("answer", "sign-in".to_owned()),
        ];
        Self { cookie: Some(cookie), origin: Some(ISSUER), fields }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(field, _)| *field != name);
        self.fields.push((name, value.to_owned()));
        self
    }

    async fn send(&self, api: &Api) -> Answer {
        let body = serde_urlencoded::to_string(&self.fields).unwrap();
        let mut request = Request::post("/oauth2/sign-in").header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; {cookie}"));
        }
        if let Some(origin) = self.origin {
            request = request.header("origin", origin);
        }
        api.call(request.body(Body::from(body)).unwrap()).await
    }
}

/// Where an answer leads to, and what it brings.
fn brought(answer: &Answer) -> (String, Vec<(String, String)>) {
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.bytes));
    let url = Url::parse(&answer.header("location")).unwrap();
    let pairs = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    (format!("{}{}", url.origin().ascii_serialization(), url.path()), pairs)
}

fn parameter(answer: &Answer, name: &str) -> Option<String> {
    brought(answer).1.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A code for `porter`.
async fn a_code(api: &Api) -> String {
    let page = ask(api, &[]).await;
    let answer = Submission::of(&page, "porter", PASSWORD).send(api).await;
    parameter(&answer, "code").unwrap()
}

async fn exchange(api: &Api, code: &str, changes: &[(&'static str, Option<&str>)]) -> Answer {
    let good = [
        ("grant_type", "authorization_code"),
        ("client_id", "service"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    let mut form: Vec<(&str, &str)> =
        good.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name)).collect();
    form.extend(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    api.post_form("/oauth2/token", &form).await
}

#[tokio::test]
async fn a_person_logs_in_and_the_client_gets_tokens_in_their_name() {
    let api = world().await;
    let page = ask(&api, &[]).await;
    assert_eq!((page.status, page.header("cache-control").as_str()), (200, "no-store"));
    let answer = Submission::of(&page, "porter", PASSWORD).send(&api).await;
    let (to, pairs) = brought(&answer);
    assert_eq!(to, "https://app.example.org/back");
    assert_eq!(pairs[0], ("tenant".to_owned(), "1".to_owned()));
    assert_eq!(parameter(&answer, "state").as_deref(), Some("st&te \"1\""));
    assert_eq!(parameter(&answer, "iss").as_deref(), Some(ISSUER));

    let tokens = exchange(&api, &parameter(&answer, "code").unwrap(), &[]).await;
    assert_eq!((tokens.status, tokens.text("scope")), (200, "customer-integration openid"));
    assert_eq!(use_token(&api, tokens.text("access_token")).await.status, 200);
    let id: Value = insecure_decode_claims(tokens.text("id_token")).unwrap();
    assert_eq!((&id["sub"], &id["aud"], &id["nonce"]), (&"porter".into(), &"service".into(), &"n-1".into()));
    let access: Value = insecure_decode_claims(tokens.text("access_token")).unwrap();
    assert_eq!((&access["sub"], &access["client_id"]), (&"porter".into(), &"service".into()));

    let refreshed = refresh(&api, tokens.text("refresh_token")).await;
    assert_ne!(refreshed.text("refresh_token"), tokens.text("refresh_token"));
    let id: Value = insecure_decode_claims(refreshed.text("id_token")).unwrap();
    assert_eq!((&id["aud"], id.get("nonce")), (&"service".into(), None));
}

#[tokio::test]
async fn the_page_allows_nothing_but_itself() {
    let api = world().await;
    let page = ask(&api, &[]).await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self' https://app.example.org;",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert_eq!(
        (page.header("x-frame-options").as_str(), page.header("referrer-policy").as_str()),
        ("DENY", "same-origin")
    );
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    let html = html(&page);
    assert!(!html.contains("<script") && !html.contains(" on"), "no script");
    // The style sheet is the very one the policy lets in.
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")));
}

#[tokio::test]
async fn nobody_is_sent_anywhere_but_to_a_registered_address() {
    let api = world().await;
    for changes in [
        [("redirect_uri", None)],
        [("redirect_uri", Some("https://app.example.org/back"))],
        [("redirect_uri", Some("https://app.example.org/back?tenant=1&x=1"))],
        [("redirect_uri", Some("https://app.example.org/back?tenant=12"))],
        [("redirect_uri", Some("https://app.example.org/Back?tenant=1"))],
        [("redirect_uri", Some("https://evil.example.org/back?tenant=1"))],
        [("redirect_uri", Some("javascript:alert(1)"))],
        [("client_id", None)],
        [("client_id", Some("nobody"))],
        [("client_id", Some("admin"))],
    ] {
        let answer = ask(&api, &changes).await;
        assert_eq!((answer.status, answer.header("location").as_str()), (400, ""), "{changes:?}");
        assert!(!html(&answer).contains("evil"));
    }
    let twice = format!("/oauth2/authorize?{}&client_id=other", serde_urlencoded::to_string(with(&[])).unwrap());
    let answer = api.call(Request::get(twice).body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.header("location").as_str()), (400, ""));
}

#[tokio::test]
async fn other_faults_are_told_to_the_client() {
    let api = world().await;
    for (change, expected) in [
        (("response_type", Some("token")), "unsupported_response_type"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("code_challenge", None), "invalid_request"),
        (("scope", Some("everything")), "invalid_scope"),
        (("prompt", Some("none")), "login_required"),
    ] {
        let answer = ask(&api, &[change]).await;
        assert_eq!(parameter(&answer, "error").as_deref(), Some(expected), "{change:?}");
        assert_eq!(parameter(&answer, "state").as_deref(), Some("st&te \"1\""));
        assert_eq!(parameter(&answer, "iss").as_deref(), Some(ISSUER));
    }
    // Parameters nobody knows are ignored.
    assert_eq!(ask(&api, &[("ui_locales", Some("ru"))]).await.status, 200);
}

#[tokio::test]
async fn the_request_may_come_by_post() {
    let api = world().await;
    let form = with(&[]);
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = api.post_form("/oauth2/authorize", &form).await;
    let answer = Submission::of(&page, "porter", PASSWORD).send(&api).await;
    assert!(parameter(&answer, "code").is_some());
}

#[tokio::test]
async fn a_form_of_another_browser_page_or_time_is_refused() {
    let api = world().await;
    let (page, another) = (ask(&api, &[]).await, ask(&api, &[("state", Some("other"))]).await);
    let good = || Submission::of(&page, "porter", PASSWORD);
    let evil = URL_SAFE_NO_PAD.encode("{}");
    for (what, submission) in [
        ("no cookie", Submission { cookie: None, ..good() }),
        ("another browser's cookie", Submission { cookie: Submission::of(&another, "", "").cookie, ..good() }),
        ("a cookie that is none", Submission { cookie: Some("__Host-cardea-sign-in=x".to_owned()), ..good() }),
        ("from another site", Submission { origin: Some("https://evil.example.org"), ..good() }),
        ("from nowhere", Submission { origin: Some("null"), ..good() }),
        ("another request", good().set("request", &hidden(&another, "request"))),
        ("a made-up request", good().set("request", &evil)),
        ("a made-up proof", good().set("csrf", &evil)),
        ("no proof", good().set("csrf", "")),
        ("one more field", good().set("admin", "1")),
    ] {
        let answer = submission.send(&api).await;
        assert_eq!((answer.status, answer.header("location").as_str()), (400, ""), "{what}");
        assert!(html(&answer).contains("too old, or was made for another browser"), "{what}");
    }
    assert_eq!(Submission { origin: None, ..good() }.send(&api).await.status, 303);
    api.clock.advance_ms(600_000);
    assert_eq!(good().send(&api).await.status, 400);
}

#[tokio::test]
async fn whoever_cancels_goes_back_without_a_password() {
    let api = world().await;
    let page = ask(&api, &[]).await;
    let answer = Submission::of(&page, "", "").set("answer", "cancel").send(&api).await;
    assert_eq!(parameter(&answer, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_wrong_password_an_unknown_login_and_another_customers_look_alike() {
    let api = world().await;
    let page = ask(&api, &[]).await;
    for (username, password) in [("porter", "wrong"), ("no<i>one", "wrong"), ("stranger", PASSWORD)] {
        let answer = Submission::of(&page, username, password).send(&api).await;
        assert_eq!(answer.status, 400);
        let html = html(&answer);
        assert!(html.contains("Login or password is wrong.") && !html.contains("no<i>one"), "{html}");
        // The page that comes with the refusal works.
        let again =
            Submission { cookie: Submission::of(&page, "", "").cookie, ..Submission::of(&answer, "porter", PASSWORD) };
        assert_eq!(again.send(&api).await.status, 303);
    }
    let (action, _, _, outcome) = api.app.storage.recent_actions(1).await.unwrap().remove(0);
    assert_eq!((action.as_str(), outcome.as_str()), ("sign_in", "done"));
}

#[tokio::test]
async fn guessing_is_slowed_down_here_too() {
    let api = world().await;
    let page = ask(&api, &[]).await;
    for _ in 0..5 {
        assert_eq!(Submission::of(&page, "porter", "wrong").send(&api).await.status, 400);
    }
    let slowed = Submission::of(&page, "porter", PASSWORD).send(&api).await;
    assert_eq!((slowed.status, slowed.header("retry-after").as_str()), (429, "1"));
    assert_eq!(try_token(&api).await, (429, "slow_down".to_owned()), "one count for both ways in");
    api.clock.advance_ms(1_000);
    assert_eq!(Submission::of(&page, "porter", PASSWORD).send(&api).await.status, 303);
}

async fn try_token(api: &Api) -> (u16, String) {
    let form = [("grant_type", "password"), ("username", "porter"), ("password", PASSWORD)];
    let answer = api.post_form("/oauth2/token", &form).await;
    (answer.status, answer.text("error").to_owned())
}

#[tokio::test]
async fn what_a_request_says_cannot_become_markup() {
    let api = world().await;
    let page = ask(&api, &[("state", Some("\"><script>alert(1)</script>")), ("nonce", Some("<b>"))]).await;
    let html = html(&page);
    assert!(!html.contains("<script") && !html.contains("<b>"));
}

#[tokio::test]
async fn a_role_other_than_ones_own_is_not_granted() {
    let api = world().await;
    let page = ask(&api, &[("scope", Some("openid operator"))]).await;
    let answer = Submission::of(&page, "porter", PASSWORD).send(&api).await;
    assert_eq!(parameter(&answer, "error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn a_code_is_for_one_client_address_and_verifier_and_spent_by_any_try() {
    let api = world().await;
    let other_verifier = "x".repeat(43);
    for (changes, expected) in [
        ([("client_id", Some("admin"))], "invalid_grant"),
        ([("redirect_uri", Some("https://app.example.org/back"))], "invalid_grant"),
        ([("code_verifier", Some(other_verifier.as_str()))], "invalid_grant"),
    ] {
        let code = a_code(&api).await;
        assert_eq!(exchange(&api, &code, &changes).await.error(), (400, expected), "{changes:?}");
        assert_eq!(exchange(&api, &code, &[]).await.error(), (400, "invalid_grant"), "spent: {changes:?}");
    }
    let code = a_code(&api).await;
    for missing in ["code_verifier", "redirect_uri", "client_id", "code"] {
        assert_eq!(exchange(&api, &code, &[(missing, None)]).await.error(), (400, "invalid_request"), "{missing}");
    }
    assert_eq!(exchange(&api, &code, &[("code_verifier", Some("short"))]).await.error(), (400, "invalid_request"));
    assert_eq!(exchange(&api, "nonsense", &[]).await.error(), (400, "invalid_grant"));
    assert_eq!(exchange(&api, &code, &[]).await.status, 200, "a request without its fields has shown nothing");
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let api = world().await;
    let (early, late) = (a_code(&api).await, a_code(&api).await);
    api.clock.advance_ms(59_999);
    assert_eq!(exchange(&api, &early, &[]).await.status, 200);
    api.clock.advance_ms(1);
    assert_eq!(exchange(&api, &late, &[]).await.error(), (400, "invalid_grant"));
}

#[tokio::test]
async fn a_code_shown_twice_ends_what_it_has_begun() {
    let api = world().await;
    let code = a_code(&api).await;
    let tokens = exchange(&api, &code, &[]).await;
    let refreshed = refresh(&api, tokens.text("refresh_token")).await;
    // Long after, and after other logins have swept what is over.
    api.clock.advance_ms(1_000_000);
    a_code(&api).await;
    assert_eq!(use_token(&api, refreshed.text("access_token")).await.status, 200);
    assert_eq!(exchange(&api, &code, &[]).await.error(), (400, "invalid_grant"));
    for token in [&tokens, &refreshed] {
        assert_refused(&use_token(&api, token.text("access_token")).await, "it was revoked");
    }
    assert_eq!(refresh(&api, refreshed.text("refresh_token")).await.error(), (400, "invalid_grant"));
}

#[tokio::test]
async fn the_clients_certificate_is_needed_for_the_exchange() {
    let mut api = world().await;
    let code = a_code(&api).await;
    let own = std::mem::replace(&mut api.peer, peer(&[(rcgen::DnType::CommonName, "thief")]));
    assert_eq!(exchange(&api, &code, &[]).await.error(), (401, "invalid_client"));
    api.peer = own;
    assert_eq!(exchange(&api, &code, &[]).await.status, 200);
    api.peer.is_controller = true;
    assert_eq!(ask(&api, &[]).await.status, 400);
}

#[tokio::test]
async fn a_client_that_is_disabled_acts_in_nobodys_name() {
    let api = world().await;
    let tokens = exchange(&api, &a_code(&api).await, &[]).await;
    disable(&api, "service").await;
    assert_refused(&use_token(&api, tokens.text("access_token")).await, "its client is disabled");
    assert_eq!(refresh(&api, tokens.text("refresh_token")).await.error(), (400, "invalid_grant"));
}

#[tokio::test]
async fn an_account_that_goes_in_between_gets_nothing() {
    let api = world().await;
    let (code, page) = (a_code(&api).await, ask(&api, &[]).await);
    disable(&api, "porter").await;
    assert_eq!(exchange(&api, &code, &[]).await.error(), (400, "invalid_grant"));
    disable(&api, "service").await;
    assert_eq!(Submission::of(&page, "porter", PASSWORD).send(&api).await.status, 400);
}
