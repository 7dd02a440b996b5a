//! What holds for every endpoint, by walking the table.

use serde_json::json;

use super::*;
use crate::auth::roles::{Belongs, Role};
use crate::testing::{
    Api, As, BARRIER, CONTROLLER, CUSTOMER, FACE_PHOTO, SITE, SUBJECT, as_admin, as_nobody, as_role, as_role_elsewhere,
    consent,
};

/// The path with ids in it: such that a caller who may passes the guard, whatever the handler then says.
fn concrete(path: &str) -> String {
    path.replace("{site}", SITE)
        .replace("{controller}", CONTROLLER)
        .replace("{subject}", SUBJECT)
        .replace("{principal}", "installer")
        .replace("{access_point}", BARRIER)
        .replace("{plate_id}", "none")
        .replace("{card_id}", "none")
        .replace("{pass}", "none")
        .replace("{consent}", "none")
        .replace("{erasure}", "none")
        .replace("{sale}", "none")
        .replace("{text}", "none")
        .replace("{webhook}", "none")
}

/// A site with one of everything, and the paths and bodies that name it.
struct World {
    api: Api,
    plate: String,
    card: String,
    pass: String,
    consent: String,
    erasure: String,
    sale: String,
    webhook: String,
    operators_webhook: String,
}

const OTHER_SUBJECT: &str = "6a1d3f1f-9b2c-4d6f-8e2f-1b2c3d4e5f60";

impl World {
    async fn new() -> Self {
        let api = Api::new().await;
        let post = |path: String, body: serde_json::Value| {
            let api = &api;
            async move { api.post(&path, &body, as_admin()).await }
        };
        let id = |answer: crate::testing::Answer, name: &str| answer.json[name].as_str().unwrap().to_owned();
        let site = format!("/v1/sites/{SITE}");
        let plate = id(post(format!("{site}/plates"), json!({"plate": "A777BC77"})).await, "plate_id");
        let card = id(post(format!("{site}/cards"), json!({"number": "w26:1:1"})).await, "card_id");
        let pass = json!({"valid_until": "2026-11-30T00:00:00Z", "single_entry": false});
        let pass = id(post(format!("{site}/guest-passes"), pass).await, "pass_id");
        let ended = id(post(format!("{site}/consents"), consent(OTHER_SUBJECT)).await, "consent_id");
        let erasure = post(format!("{site}/consents/{ended}/withdrawal"), json!({})).await;
        let sale = post(format!("{site}/property-sales"), json!({"plates": ["A778BC77"], "subjects": []})).await;
        post(format!("{site}/consents"), consent(SUBJECT)).await;
        let consent = consent("9d406c42-ce5f-4a9c-9152-4e5f60718293");
        let consent = id(post(format!("{site}/consents"), consent).await, "consent_id");
        let (erasure, sale) = (id(erasure, "erasure_id"), id(sale, "sale_id"));
        let webhook = json!({"url": "https://hooks.example.org/", "kinds": ["controller.reachable"]});
        let operators = api.post("/v1/webhooks", &webhook, as_role(Role::Administrator)).await;
        let webhook = id(post("/v1/webhooks".to_owned(), webhook).await, "webhook_id");
        let operators_webhook = id(operators, "webhook_id");
        Self { api, plate, card, pass, consent, erasure, sale, webhook, operators_webhook }
    }

    fn path(&self, template: &str) -> String {
        let path = template
            .replace("{plate_id}", &self.plate)
            .replace("{card_id}", &self.card)
            .replace("{pass}", &self.pass)
            .replace("{consent}", &self.consent)
            .replace("{erasure}", &self.erasure)
            .replace("{sale}", &self.sale)
            .replace("{text}", &format!("text-of-{CUSTOMER}"));
        concrete(&path)
    }

    /// Calls an operation as one who means it. There is a row for each: a new operation does not compile without one.
    async fn call(&self, endpoint: &Endpoint, operation: Operation, who: As) -> crate::testing::Answer {
        use Operation as O;
        // Each tenant has webhooks of its own, and the operator sees no customer's.
        let own = if who == as_role(Role::Administrator) { &self.operators_webhook } else { &self.webhook };
        let path = self.path(&endpoint.path.replace("{webhook}", own));
        let body = match operation {
            O::EnrolFace => return self.api.post_photo(&path, FACE_PHOTO, who).await,
            O::Open => return self.api.post_keyed(&path, "key-1", who).await,
            O::RegisterSite => json!({"address": "x"}),
            O::RegisterCustomer => json!({"name": "x", "sites": []}),
            O::RegisterPrincipal => {
                json!({"principal_id": "new", "customer_id": CUSTOMER, "role": "auditor", "subject_dn": "CN=new"})
            }
            O::RegisterRedirectUri => json!({"redirect_uri": "https://a.example.org/back"}),
            O::RevokeCertificate => json!({"issuer": crate::pki::AUTHORITY_NAME, "serial": "3F2A"}),
            O::GiveSites => json!({"sites": [SITE]}),
            O::RegisterController => json!({"controller_id": "gate-9"}),
            O::AdmitPlate => json!({"plate": "A123BC77"}),
            O::GiveGuestPass => json!({"plate": "A125BC77", "valid_until": "2026-11-30T00:00:00Z"}),
            O::OpenWithPass => {
                let body = json!({"access_point": BARRIER});
                return self.api.post_json_keyed(&path, &body, "key-2", who).await;
            }
            O::AdmitCard => json!({"number": "w26:12:34567"}),
            O::ChangePlate | O::ChangeCard => json!({"valid_until": "2030-01-01T00:00:00Z"}),
            O::RecordConsentText => json!({"version": "2", "language": "en", "text": "I agree."}),
            O::RecordConsent => consent("7b2e4a20-ac3d-4e7a-9f30-2c3d4e5f6071"),
            O::SellProperty => json!({"plates": ["A124BC77"], "subjects": []}),
            O::ExportIncident => json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}),
            O::RegisterWebhook => json!({"url": "https://hooks.example.org/", "kinds": ["controller.reachable"]}),
            O::ListPrincipals
            | O::ListWebhooks
            | O::ReadWebhook
            | O::RotateWebhookSecret
            | O::RemoveWebhook
            | O::RevokePrincipal
            | O::ReadAudit
            | O::RenewClaim
            | O::ReadController
            | O::RevokeController
            | O::DecommissionController
            | O::ListSites
            | O::ListEquipment
            | O::ListPlates
            | O::ReadPlate
            | O::RemovePlate
            | O::ListGuestPasses
            | O::ReadGuestPass
            | O::EndGuestPass
            | O::ListCards
            | O::ReadCard
            | O::RemoveCard
            | O::WithdrawConsent
            | O::ReadErasure
            | O::ReadSale
            | O::ListConsentTexts
            | O::ReadConsentText
            | O::ListConsents
            | O::ReadConsent
            | O::ReadSubject
            | O::ReadAct
            | O::ListEvents => return self.api.send(&endpoint.method, &path, who).await,
        };
        self.api.send_json(&endpoint.method, &path, &body, who).await
    }
}

/// What names no site or thing of another's: each customer does and sees its own.
const OWN_ONLY: [Operation; 7] = [
    Operation::ListSites,
    Operation::ListPrincipals,
    Operation::ReadAudit,
    Operation::ListConsentTexts,
    Operation::RecordConsentText,
    Operation::ListWebhooks,
    Operation::RegisterWebhook,
];

#[tokio::test]
async fn every_route_and_every_role_at_home() {
    for role in Role::ALL {
        let world = World::new().await;
        for endpoint in endpoints() {
            let Access::Role(operation) = endpoint.access else { continue };
            let answer = world.call(&endpoint, operation, as_role(role)).await;
            let what = format!("{role:?} {} {}: {} {}", endpoint.method, endpoint.path, answer.status, answer.json);
            if !role.may(operation) {
                assert_eq!(answer.problem(), (403, "role-forbidden"), "{what}");
            } else if matches!(operation, Operation::Open | Operation::OpenWithPass) {
                assert_eq!(answer.problem(), (503, "controller-unreachable"), "{what}");
            } else {
                assert!((200..300).contains(&answer.status), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn every_route_and_every_role_elsewhere() {
    for role in Role::ALL {
        let Some(stranger) = as_role_elsewhere(role) else {
            assert!(role != Role::Installer && role.belongs() == Belongs::Operator, "{role:?} has no other tenant");
            continue;
        };
        let world = World::new().await;
        let before =
            (world.api.revision().await, world.api.get(&world.path("/v1/sites/{site}/plates"), as_admin()).await);
        for endpoint in endpoints() {
            let Access::Role(operation) = endpoint.access else { continue };
            let answer = world.call(&endpoint, operation, stranger).await;
            let what = format!("{role:?} {} {}: {} {}", endpoint.method, endpoint.path, answer.status, answer.json);
            if !role.may(operation) {
                assert_eq!(answer.problem(), (403, "role-forbidden"), "{what}");
            } else if OWN_ONLY.contains(&operation) {
                assert!((200..300).contains(&answer.status), "{what}");
                for foreign in [SITE, CUSTOMER, CONTROLLER, "\"admin\""] {
                    // What it has itself tried at a foreign site is its own doing, and told.
                    let told = operation == Operation::ReadAudit && foreign == SITE;
                    assert!(told || !answer.json.to_string().contains(foreign), "{what}");
                }
            } else {
                assert_eq!(answer.problem(), (404, "not-found"), "{what}");
            }
        }
        let after = world.api.get(&world.path("/v1/sites/{site}/plates"), as_admin()).await;
        assert_eq!((world.api.revision().await, after.json), (before.0, before.1.json), "{role:?} changed something");
    }
}

#[tokio::test]
async fn a_former_name_of_a_role_keeps_working() {
    let api = Api::new().await;
    for (former, role) in Role::FORMER {
        let set = move |tx: &crate::storage::engine::Transaction<'_>| {
            tx.execute(
                "UPDATE principals SET role = ?1 WHERE principal_id = 'admin'",
                crate::storage::engine::params![former],
            )?;
            Ok::<_, crate::storage::StorageError>(())
        };
        api.app.storage.write(set).await.unwrap();
        let may = api.get(&format!("/v1/sites/{SITE}/plates"), as_admin()).await;
        assert_eq!(may.status, 200);
        let export = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"});
        let export = api.post(&format!("/v1/sites/{SITE}/incident-exports"), &export, as_admin()).await;
        assert_eq!(export.status == 200, role.may(Operation::ExportIncident), "{former}");
    }
}

#[tokio::test]
async fn every_example_of_a_request_is_taken_by_its_route() {
    let world = World::new().await;
    // One needs a controller that answers.
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.access != Access::Role(Operation::OpenWithPass))
    {
        let Access::Role(operation) = endpoint.access else { continue };
        let Some(request) = reference::examples::of(operation.id()).and_then(|example| example.request) else {
            continue;
        };
        let body = reference::examples::value(request).to_string().replace("birch-homes\"", &format!("{CUSTOMER}\""));
        // Where the example names what this world has already.
        let body = body.replace(SUBJECT, "8c3f5b31-bd4e-4f8b-8041-3d4e5f607182");
        let path = world.path(endpoint.path);
        let path = path.replace("{principal}", "installer");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let who = as_role(operation.roles()[0]);
        let answer = world.api.send_json(&endpoint.method, &path, &body, who).await;
        assert!((200..300).contains(&answer.status), "{} {path}: {}", endpoint.method, answer.json);
    }
}

#[tokio::test]
async fn every_guarded_route_wants_a_token() {
    let api = Api::new().await;
    for endpoint in endpoints() {
        let answer = api.send(&endpoint.method, &concrete(endpoint.path), as_nobody()).await;
        if endpoint.access == Access::Certificate {
            assert_ne!(answer.status, 401, "{}", endpoint.path);
        } else {
            assert_eq!(answer.problem(), (401, "token-missing"), "{}", endpoint.path);
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"cardea\"");
        }
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn every_change_is_audited_refused_or_not() {
    let api = Api::new().await;
    for endpoint in endpoints().into_iter().filter(|endpoint| !endpoint.method.is_safe()) {
        let Access::Role(operation) = endpoint.access else { continue };
        for credential in [as_admin(), as_nobody()] {
            let answer = api.send(&endpoint.method, &concrete(endpoint.path), credential).await;
            let (action, _, _, outcome) = api.app.storage.recent_actions(1).await.unwrap().remove(0);
            assert_eq!(action, operation.id());
            let expected = if answer.status < 400 { "done".to_owned() } else { answer.problem().1.to_owned() };
            assert_eq!(outcome, expected, "{}", endpoint.path);
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::new().await;
    assert_eq!(api.get("/v2/nothing", as_admin()).await.problem(), (404, "not-found"));
    assert_eq!(api.delete("/v1/sites", as_admin()).await.problem(), (405, "method-not-allowed"));
    assert_eq!(api.get("/v1/sites/UPPER%2Fcase/plates", as_admin()).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn bodies_of_other_types_broken_ones_and_large_ones_are_problems() {
    let api = Api::new().await;
    let path = format!("/v1/sites/{SITE}/plates");
    let text = api.post_bytes(&path, "text/plain", b"A123BC77".to_vec(), as_admin()).await;
    assert_eq!(text.problem(), (415, "unsupported-media-type"));
    let broken = api.post_bytes(&path, "application/json", b"{\"plate\":".to_vec(), as_admin()).await;
    assert_eq!(broken.problem(), (400, "malformed-request"));
    let large = json!({"plate": "x".repeat(web::extract::JSON_LIMIT_BYTES)}).to_string().into_bytes();
    let large = api.post_bytes(&path, "application/json", large, as_admin()).await;
    assert_eq!(large.problem(), (413, "body-too-large"));
}

#[tokio::test]
async fn every_json_body_refuses_an_unknown_field() {
    let document = reference::openapi::document();
    let api = Api::new().await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(name) = schema.as_str().and_then(|path| path.rsplit('/').next()) else { continue };
            assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
            let known = Operation::ALL.iter().find(|known| operation["operationId"] == known.id()).unwrap();
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let who = as_role(known.roles()[0]);
            let answer = if *known == Operation::OpenWithPass {
                api.post_json_keyed(&concrete(path), &json!({"zzz": 1}), "key-1", who).await
            } else {
                api.send_json(&method, &concrete(path), &json!({"zzz": 1}), who).await
            };
            assert_eq!(answer.problem(), (422, "invalid-field"), "{path}");
            assert!(answer.json["detail"].as_str().unwrap().contains("unknown field `zzz`"), "{path}");
        }
    }
}
