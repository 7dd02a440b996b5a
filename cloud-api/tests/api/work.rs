//! The customer's and the operator's work from end to end, as far as it goes without a controller.

use cardea_cloud::export::verify;
use reqwest::Method;
use serde_json::json;

use super::support::{Cloud, PASSWORD, SITE, SUBJECT, answer, consent};

#[tokio::test]
async fn from_an_empty_cloud_to_a_sale_and_a_verified_export() {
    let cloud = Cloud::start().await;
    let operator = cloud.logged_in("operator").await;
    let created = |answer: super::support::Answer| assert_eq!(answer.status, 201, "{answer:?}");
    created(operator.post("/v1/sites", json!({"site_id": SITE, "address": "12 Birch Street"})).await);
    created(
        operator
            .post("/v1/customers", json!({"customer_id": "birch-homes", "name": "Birch Homes", "sites": [SITE]}))
            .await,
    );
    let account = json!({"principal_id": "birch-backend", "customer_id": "birch-homes", "role": "customer-integration",
        "password": PASSWORD, "subject_dn": "CN=birch-backend,O=Birch Homes"});
    created(operator.post("/v1/principals", account).await);
    let controller = operator.post(&format!("/v1/sites/{SITE}/controllers"), json!({"controller_id": "gate-1"})).await;
    assert_eq!(controller.text("claim_code").len(), 19);

    let mut customer = cloud.client("birch-backend");
    let form = [("grant_type", "password"), ("username", "birch-backend"), ("password", PASSWORD)];
    customer.token = Some(customer.token(&form).await.text("access_token"));
    assert_eq!(customer.get("/v1/sites").await.json["sites"][0]["site_id"], SITE);
    assert_eq!(customer.post("/v1/sites", json!({"address": "x"})).await.problem(), (403, "role-forbidden"));

    created(customer.post(&format!("/v1/sites/{SITE}/plates"), json!({"plate": "А123ВС77"})).await);
    let text = json!({"version": "2026-03", "language": "en", "text": "I agree."});
    created(customer.post("/v1/consent-texts", text).await);
    let recorded = customer.post(&format!("/v1/sites/{SITE}/consents"), consent(SUBJECT)).await;
    let withdrawal = format!("/v1/sites/{SITE}/consents/{}/withdrawal", recorded.text("consent_id"));
    let erasure = answer(customer.request(Method::POST, &withdrawal)).await;
    assert_eq!(erasure.status, 202);
    let erasure = customer.get(&format!("/v1/erasures/{}", erasure.text("erasure_id"))).await;
    assert_eq!(erasure.text("state"), "complete");

    let sale = customer
        .post(&format!("/v1/sites/{SITE}/property-sales"), json!({"plates": ["A123BC77"], "subjects": [SUBJECT]}))
        .await;
    assert_eq!(customer.get(&format!("/v1/property-sales/{}", sale.text("sale_id"))).await.text("state"), "complete");
    let again = customer.post(&format!("/v1/sites/{SITE}/plates"), json!({"plate": "A123BC77"})).await;
    assert_eq!(again.problem(), (409, "blocked-by-sale"));
    assert!(!contains(&cloud.disk(), "А123ВС77".as_bytes()) && !contains(&cloud.disk(), b"A123BC77"));

    let period = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"});
    assert_eq!(customer.post(&format!("/v1/sites/{SITE}/incident-exports"), period).await.status, 200);
    let bundle = customer.post(&format!("/v1/sites/{SITE}/incident-exports"), last_days(&cloud)).await.bytes;
    let verifier = cloud.server.app().signing.verifier().unwrap();
    assert!(verify(&bundle, &verifier).unwrap().entries >= 5);
    let mut changed = bundle.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    assert!(verify(&changed, &verifier).is_err());
    cloud.server.stop().await.unwrap();
}

fn last_days(cloud: &Cloud) -> serde_json::Value {
    use cardea_protocol::clock::Clock as _;
    use cardea_protocol::rfc3339::format;
    let now = cloud.clock.now();
    json!({"from": format(now.plus_ms(-86_400_000)), "to": format(now.plus_ms(86_400_000))})
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn opening_at_a_controller_that_is_away_is_an_immediate_error() {
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let request = client.request(Method::POST, "/v1/access-points/no-such-door/open").header("idempotency-key", "k-1");
    assert_eq!(answer(request).await.problem(), (404, "not-found"));
}
