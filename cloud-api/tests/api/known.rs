//! What the cloud holds before schemathesis comes, and what it is told of that: ids that nobody can make up, and values that
//! the API takes. One file for each dictionary of `tests/peer/schemathesis.toml`, a value a line.

use std::collections::BTreeMap;
use std::path::Path;

use cardea_cloud::storage::certificates::IssuedCertificate;
use cardea_cloud::storage::sites::Scope;
use cardea_protocol::clock::Clock as _;
use cardea_protocol::id::{AccessPointId, ControllerId, SiteId};
use cardea_protocol::message::{AccessPoint, AccessPointKind};
use serde_json::json;

use super::support::{CUSTOMER, Client, Cloud, SITE, consent};

/// Of what a call uses up.
const MANY: usize = 60;
/// Of what stays.
const FEW: usize = 6;
/// Webhooks that stay, and as many to remove: ten are possible, and one more is to be registered.
const WEBHOOKS: usize = 4;
pub(crate) const DAY_MS: i64 = 86_400_000;

/// The dictionaries of what is made here.
const MADE: [&str; 16] = [
    "access_points",
    "card_ids",
    "claimed",
    "consents",
    "controllers",
    "erasures",
    "lately",
    "passes",
    "passes_to_end",
    "plate_ids",
    "principals",
    "sales",
    "soon",
    "texts",
    "webhooks",
    "webhooks_to_remove",
];

/// The client of the description's example, through which people log in by browser.
pub(crate) const CONSOLE: &str = "operator-console";

/// The dictionaries.
pub(crate) struct Known(BTreeMap<&'static str, Vec<String>>);

impl Known {
    /// What is known before anything is made.
    pub(crate) fn new() -> Self {
        let strings = |values: &[&str]| values.iter().copied().map(str::to_owned).collect();
        let numbered = |text: fn(usize) -> String| (0..MANY).map(text).collect();
        let made = MADE.into_iter().map(|name| (name, Vec::new()));
        let given = [
            ("clients", strings(&["admin", "operator", "officer", CONSOLE])),
            ("moments", strings(&["2026-01-10T10:00:00Z", "2026-01-11T10:00:00Z", "2026-01-12T10:00:00+03:00"])),
            ("numbers", numbered(|n| format!("w26:13:{n}"))),
            ("plates", numbered(|n| format!("C{n:03}BC77"))),
            ("problems", strings(&["not-found", "consent-missing", "plate-malformed", "role-forbidden"])),
            ("sites", strings(&[SITE])),
            ("sold_numbers", numbered(|n| format!("w26:14:{n}"))),
            ("sold_plates", numbered(|n| format!("E{n:03}BC77"))),
            ("sold_subjects", numbered(|n| subject(2 * MANY + n))),
            ("subjects", numbered(subject)),
            ("versions", strings(&["2026-03"])),
        ];
        Self(made.chain(given).collect())
    }

    fn note(&mut self, name: &str, value: String) {
        self.0.get_mut(name).unwrap().push(value);
    }

    /// One that no dictionary names any more.
    pub(crate) fn take(&mut self, name: &str) -> String {
        self.0.get_mut(name).unwrap().pop().unwrap()
    }

    /// Everything a customer has to do with.
    pub(crate) async fn of_customer(cloud: &Cloud, client: &Client) -> Self {
        let mut known = Self::new();
        let at = format!("/v1/sites/{SITE}");
        for n in 0..MANY {
            let plate = client.post(&format!("{at}/plates"), json!({"plate": format!("A{n:03}BC77")})).await;
            known.note("plate_ids", plate.text("plate_id"));
            let card = client.post(&format!("{at}/cards"), json!({"number": format!("w26:12:{n}")})).await;
            known.note("card_ids", card.text("card_id"));
            let given = client.post(&format!("{at}/consents"), consent(&subject(n))).await;
            known.note("consents", given.text("consent_id"));
        }
        for n in 0..FEW {
            let text = json!({"version": format!("2026-1{n}"), "language": "en", "text": "I agree."});
            known.note("texts", client.post("/v1/consent-texts", text).await.text("text_id"));
            let body = json!({"plates": [format!("B{n:03}BC77")], "subjects": []});
            known.note("sales", client.post(&format!("{at}/property-sales"), body).await.text("sale_id"));
        }
        known.note_passes(cloud, client).await;
        known.note_webhooks(client).await;
        known.note_erasures(client).await;
        console(&cloud.logged_in("operator").await).await;
        claimed(cloud, "birch-gate", vec![door()]).await;
        known.note("access_points", "birch-door".to_owned());
        known
    }

    /// Passes with a plate and without one, and from and until when a pass may count. Those to end are others, so that the
    /// rest stay.
    async fn note_passes(&mut self, cloud: &Cloud, client: &Client) {
        for days in 1..=FEW as i64 {
            self.note("lately", cloud.clock_rfc3339(-days * DAY_MS));
            self.note("soon", cloud.clock_rfc3339(days * DAY_MS));
        }
        let until = cloud.clock_rfc3339(7 * DAY_MS);
        for n in 0..MANY {
            let plate = (n % 2 == 0).then(|| format!("H{n:03}BC77"));
            let body = json!({"plate": plate, "subject": subject(n), "valid_until": until});
            let pass = client.post(&format!("/v1/sites/{SITE}/guest-passes"), body).await.text("pass_id");
            self.note(if n < FEW { "passes" } else { "passes_to_end" }, pass);
        }
    }

    /// Webhooks that lead nowhere: `.invalid` names nothing (RFC 6761 §6.4). Those to remove are others, so that the rest
    /// stay.
    async fn note_webhooks(&mut self, client: &Client) {
        for n in 0..2 * WEBHOOKS {
            let body = json!({"url": format!("https://hooks.invalid/{n}"), "kinds": ["access.event"]});
            let webhook = client.post("/v1/webhooks", body).await.text("webhook_id");
            self.note(if n < WEBHOOKS { "webhooks" } else { "webhooks_to_remove" }, webhook);
        }
    }

    /// Erasures that are complete: no controller has anything to erase yet.
    async fn note_erasures(&mut self, client: &Client) {
        let consents = format!("/v1/sites/{SITE}/consents");
        for n in 0..FEW {
            let given = client.post(&consents, consent(&subject(MANY + n))).await.text("consent_id");
            let withdrawn = client.post(&format!("{consents}/{given}/withdrawal"), json!({})).await;
            self.note("erasures", withdrawn.text("erasure_id"));
        }
    }

    /// Everything the operator's own staff has to do with.
    pub(crate) async fn of_operator(cloud: &Cloud) -> Self {
        let mut known = Self::new();
        let client = &cloud.logged_in("operator").await;
        known.note_erasures(&cloud.logged_in("admin").await).await;
        console(client).await;
        known.note("claimed", claimed(cloud, "birch-gate", Vec::new()).await);
        for n in 0..MANY {
            let controller = json!({"controller_id": format!("gate-{n}")});
            let answer = client.post(&format!("/v1/sites/{SITE}/controllers"), controller).await;
            known.note("controllers", answer.text("controller_id"));
            let (role, customer) = if n % 2 == 0 { ("installer", None) } else { ("resident-support", Some(CUSTOMER)) };
            let account = json!({"principal_id": format!("account-{n}"), "customer_id": customer, "role": role,
                "password": "correct horse battery"});
            known.note("principals", client.post("/v1/principals", account).await.text("principal_id"));
        }
        known
    }

    /// Writes the dictionaries to `folder`, a file each.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, values) in &self.0 {
            let mut lines: Vec<String> = values.iter().map(|value| json!(value).to_string()).collect();
            if lines.is_empty() {
                // None must be empty: what the account has nothing to do with is not asked for either.
                lines.push(json!("none").to_string());
            }
            std::fs::write(folder.join(format!("{name}.txt")), lines.join("\n")).unwrap();
        }
    }
}

/// A token of a resident.
pub(crate) fn subject(n: usize) -> String {
    format!("5f0c2f0e-8a1b-4c5e-9d1e-{n:012x}")
}

/// The operator registers it, with where it leads back to.
async fn console(operator: &Client) {
    let account = json!({"principal_id": CONSOLE, "customer_id": CUSTOMER, "role": "customer-integration",
        "password": "correct horse battery"});
    operator.post("/v1/principals", account).await.text("principal_id");
    let uri = json!({"redirect_uri": "https://console.example.org/back"});
    let registered = operator.post(&format!("/v1/principals/{CONSOLE}/redirect-uris"), uri).await;
    assert_eq!(registered.status, 204, "{registered:?}");
}

/// A controller that is known and away, and what it has.
async fn claimed(cloud: &Cloud, name: &str, equipment: Vec<AccessPoint>) -> String {
    let (storage, now) = (&cloud.server.app().storage, cloud.clock.now());
    let (controller, site) = (ControllerId::new(name).unwrap(), SiteId::new(SITE).unwrap());
    let (hash, later) = (format!("none of {name}"), now.plus_ms(60_000));
    storage.register_controller(&Scope::Operator, &controller, &site, hash.clone(), later, now).await.unwrap();
    let certificate =
        IssuedCertificate { serial: "a1".to_owned(), public_point: vec![4; 65], issued_at: now, not_after: later };
    storage.finish_claim(&controller, hash, certificate).await.unwrap();
    storage.record_equipment(&controller, equipment, now).await.unwrap();
    name.to_owned()
}

fn door() -> AccessPoint {
    AccessPoint {
        id: AccessPointId::new("birch-door").unwrap(),
        kind: AccessPointKind::Door,
        credentials: vec!["remote".to_owned()],
        reachable: true,
        state: "closed".to_owned(),
    }
}
