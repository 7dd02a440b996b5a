//! For each operation that luck seldom carries out, one call that does, with what nothing else is told of. schemathesis makes
//! these calls first, whatever the seed.

use serde_json::{Map, Value, json};

use super::known::{CONSOLE, DAY_MS, Known, subject};
use super::support::{CUSTOMER, Client, Cloud, SITE, consent};

/// What each operation is called with, as `Case` of schemathesis takes it.
pub(crate) type Cases = Map<String, Value>;

const FORM: &str = "application/x-www-form-urlencoded";

/// A subject that no dictionary names.
fn nobody_else(n: usize) -> String {
    subject(1_000 + n)
}

/// At the site, with this id, and this body if it is not null.
fn at(parameter: &str, id: impl Into<Value>, body: Value) -> Value {
    let mut case = json!({"path_parameters": {"site": SITE}});
    case["path_parameters"][parameter] = id.into();
    if !body.is_null() {
        case["body"] = body;
    }
    case
}

/// With this alone in the path, and this body if it is not null.
fn of(parameter: &str, id: impl Into<Value>, body: Value) -> Value {
    let mut case = at(parameter, id, body);
    case["path_parameters"].as_object_mut().unwrap().remove("site");
    case
}

fn site(body: Value) -> Value {
    at("site", SITE, body)
}

/// What anybody may call, as this account.
fn anybody(account: &str) -> Cases {
    let login = json!({"response_type": "code", "client_id": CONSOLE, "scope": "openid", "code_challenge_method": "S256",
        "redirect_uri": "https://console.example.org/back",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"});
    let token = json!({"grant_type": "client_credentials", "client_id": account});
    Cases::from_iter([
        ("authorize".to_owned(), json!({"query": login})),
        ("authorize_by_post".to_owned(), json!({"body": login, "media_type": FORM})),
        ("token".to_owned(), json!({"body": token, "media_type": FORM})),
        ("problem".to_owned(), of("problem", "not-found", Value::Null)),
    ])
}

/// As `admin`, the customer's back end.
pub(crate) async fn of_customer(known: &mut Known, cloud: &Cloud, client: &Client) -> Cases {
    let given = client.post(&format!("/v1/sites/{SITE}/consents"), consent(&nobody_else(0))).await;
    given.text("consent_id");
    let mut cases = anybody("admin");
    let validity = json!({"valid_until": cloud.clock_rfc3339(7 * DAY_MS)});
    let change = |mut case: Value| {
        case["headers"] = json!({"If-Match": "*"});
        case
    };
    // The last is without a plate, the one before is a plate's: opening with that is refused, and asks no controller.
    let (bare, of_plate) = (known.take("passes"), known.take("passes"));
    let keyed = |mut case: Value, key: &str| {
        case["headers"] = json!({"Idempotency-Key": key});
        case
    };
    let mut face = at("subject", nobody_else(0), Value::Null);
    face["media_type"] = json!("image/jpeg");
    let until = &validity["valid_until"];
    let week = json!({"time_zone": "Europe/Moscow", "hours": ["mon-fri 08:00-20:00"]});
    let webhook = json!({"url": "https://hooks.invalid/more", "kinds": ["access.event"]});
    for (operation, case) in [
        ("list_events", site(Value::Null)),
        ("admit_plate", site(json!({"plate": "K001BC77", "schedule": week}))),
        ("read_plate", at("plate_id", known.take("plate_ids"), Value::Null)),
        ("change_plate", change(at("plate_id", known.take("plate_ids"), validity.clone()))),
        ("remove_plate", at("plate_id", known.take("plate_ids"), Value::Null)),
        ("admit_card", site(json!({"number": "w26:15:1"}))),
        ("read_card", at("card_id", known.take("card_ids"), Value::Null)),
        ("change_card", change(at("card_id", known.take("card_ids"), validity.clone()))),
        ("remove_card", at("card_id", known.take("card_ids"), Value::Null)),
        ("give_guest_pass", site(json!({"plate": "K002BC77", "valid_until": until}))),
        ("read_guest_pass", at("pass", bare, Value::Null)),
        ("open_with_guest_pass", keyed(at("pass", of_plate, json!({"access_point": "birch-door"})), "guest")),
        ("open_access_point", keyed(of("access_point", "birch-door", Value::Null), "resident")),
        ("end_guest_pass", at("pass", known.take("passes_to_end"), Value::Null)),
        ("record_consent", site(consent(&nobody_else(1)))),
        ("read_consent", at("consent", known.take("consents"), Value::Null)),
        ("withdraw_consent", at("consent", known.take("consents"), Value::Null)),
        ("read_subject", at("subject", nobody_else(0), Value::Null)),
        ("enrol_face", face),
        ("read_consent_text", of("text", known.take("texts"), Value::Null)),
        ("record_consent_text", json!({"body": {"version": "2026-20", "language": "en", "text": "I agree."}})),
        ("read_erasure", of("erasure", known.take("erasures"), Value::Null)),
        ("read_act", of("erasure", known.take("erasures"), Value::Null)),
        ("sell_property", site(json!({"plates": ["K003BC77"], "subjects": []}))),
        ("read_sale", of("sale", known.take("sales"), Value::Null)),
        ("export_incident", site(json!({"from": "2026-01-10T10:00:00Z", "to": "2026-01-11T10:00:00Z"}))),
        ("register_webhook", json!({"body": webhook})),
        ("read_webhook", of("webhook", known.take("webhooks"), Value::Null)),
        ("rotate_webhook_secret", of("webhook", known.take("webhooks"), Value::Null)),
        ("remove_webhook", of("webhook", known.take("webhooks_to_remove"), Value::Null)),
    ] {
        cases.insert(operation.to_owned(), case);
    }
    cases
}

/// As `operator` and as `officer`, the operator's own.
pub(crate) fn of_operator(known: &mut Known, account: &str) -> Cases {
    let mut cases = anybody(account);
    // The newest but one is an installer, and the newest a customer's.
    let (residents, installer) = (known.take("principals"), known.take("principals"));
    let account = json!({"principal_id": "more", "customer_id": CUSTOMER, "role": "auditor",
        "password": "correct horse battery"});
    let back = json!({"redirect_uri": "https://console.example.org/more"});
    for (operation, case) in [
        ("register_site", json!({"body": {"site_id": "birch-street-16", "address": "16 Birch Street"}})),
        ("register_customer", json!({"body": {"customer_id": "more-homes", "name": "More Homes", "sites": []}})),
        ("register_principal", json!({"body": account})),
        ("register_redirect_uri", of("principal", CONSOLE, back)),
        ("give_sites", of("principal", installer, json!({"sites": [SITE]}))),
        ("revoke_principal", of("principal", residents, Value::Null)),
        ("revoke_certificate", json!({"body": {"issuer": "CN=Birch Homes CA,O=Birch Homes", "serial": "3F2A"}})),
        ("register_controller", site(json!({"controller_id": "more-gate"}))),
        ("read_controller", of("controller", known.take("controllers"), Value::Null)),
        ("renew_claim", of("controller", known.take("controllers"), Value::Null)),
        ("decommission_controller", of("controller", known.take("controllers"), Value::Null)),
        ("revoke_controller", of("controller", known.take("claimed"), Value::Null)),
        ("read_erasure", of("erasure", known.take("erasures"), Value::Null)),
    ] {
        cases.insert(operation.to_owned(), case);
    }
    cases
}
