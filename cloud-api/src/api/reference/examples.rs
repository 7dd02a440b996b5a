//! One example of each operation's request and answer, for the OpenAPI document. The tests send each request to its route,
//! and hold each answer to its schema.

use serde_json::Value;

/// The request id in examples of problems.
pub(in crate::api) const REQUEST_ID: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";

/// What goes and what comes.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Example {
    pub(in crate::api) request: Option<&'static str>,
    pub(in crate::api) answer: Option<&'static str>,
}

/// The example of an operation.
pub(in crate::api) fn of(id: &str) -> Option<Example> {
    EXAMPLES.iter().find(|(operation, ..)| *operation == id).map(|(_, request, answer)| {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        Example { request: some(request), answer: some(answer) }
    })
}

/// An example as a value: JSON, or a text that is none.
pub(in crate::api) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Operation, request, answer.
const EXAMPLES: &[(&str, &str, &str)] = &[
    // about
    (
        "discovery",
        "",
        r#"{"issuer": "https://cloud.example.org", "token_endpoint": "https://cloud.example.org/oauth2/token",
        "jwks_uri": "https://cloud.example.org/oauth2/jwks",
        "grant_types_supported": ["password", "client_credentials", "refresh_token"]}"#,
    ),
    ("jwks", "", r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "…", "x": "…"}]}"#),
    (
        "token",
        r#"{"grant_type": "client_credentials", "client_id": "birch-homes-back-end"}"#,
        r#"{"access_token": "eyJ0eXAiOiJhdCtqd3Qi…", "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": "FNrWoB2wBfReGfxkfw6p…", "scope": "customer-integration"}"#,
    ),
    ("authorize", "", "<!DOCTYPE html>…"),
    (
        "authorize_by_post",
        r#"{"response_type": "code", "client_id": "operator-console", "redirect_uri": "https://console.example.org/back",
        "scope": "openid", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}"#,
        "<!DOCTYPE html>…",
    ),
    ("sign_in", r#"{"request": "…", "csrf": "…", "username": "porter", "password": "…", "answer": "sign-in"}"#, ""),
    ("revoke_token", r#"{"token": "FNrWoB2wBfReGfxkfw6p…"}"#, ""),
    (
        "introspect_token",
        r#"{"token": "eyJ0eXAiOiJhdCtqd3Qi…"}"#,
        r#"{"active": true, "scope": "customer-integration", "client_id": "birch-homes-back-end",
        "sub": "birch-homes-back-end", "token_type": "Bearer", "exp": 1798761600}"#,
    ),
    ("userinfo", "", r#"{"sub": "porter", "roles": ["resident-support"]}"#),
    ("userinfo_by_post", "", r#"{"sub": "porter", "roles": ["resident-support"]}"#),
    ("openapi", "", r#"{"openapi": "3.1.0", "info": {"title": "Cardea cloud API"}}"#),
    ("docs", "", "<!doctype html>…"),
    ("problem", "", "## consent-missing\n\n403 No active consent: …"),
    (
        "data_inventory",
        "",
        r#"{"fields": [{"field": "AdmitPlate.plate", "description": "The plate as people write it",
        "stored": "plates, and on the site's controllers", "purpose": "opens the barrier",
        "legal_basis": "a contract for the resident's benefit: 152-FZ art. 6 (1) 5", "retention": "until removed or sold",
        "seen_by": []}]}"#,
    ),
    ("signing_keys", "", r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "…", "x": "…"}]}"#),
    // the operator's own
    (
        "register_site",
        r#"{"site_id": "birch-street-14", "address": "14 Birch Street"}"#,
        r#"{"site_id": "birch-street-14"}"#,
    ),
    (
        "register_customer",
        r#"{"customer_id": "elm-homes", "name": "Elm Homes", "sites": []}"#,
        r#"{"customer_id": "elm-homes"}"#,
    ),
    ("register_redirect_uri", r#"{"redirect_uri": "https://console.example.org/back"}"#, ""),
    (
        "register_principal",
        r#"{"principal_id": "birch-homes-back-end", "customer_id": "birch-homes", "role": "customer-integration",
        "subject_dn": "CN=back-end,O=Birch Homes"}"#,
        r#"{"principal_id": "birch-homes-back-end"}"#,
    ),
    (
        "list_principals",
        "",
        r#"{"principals": [{"principal_id": "birch-homes-back-end", "customer_id": "birch-homes",
        "role": "customer-integration", "registered_at": "2026-11-23T09:00:00Z", "revoked_at": null}], "next": null}"#,
    ),
    (
        "revoke_certificate",
        r#"{"issuer": "CN=Cardea CA", "serial": "3F2A"}"#,
        r#"{"serial": "3f2a", "revoked_at": "2026-11-26T09:00:00Z", "issuer_known": true}"#,
    ),
    ("give_sites", r#"{"sites": ["birch-street-12"]}"#, ""),
    (
        "read_audit",
        "",
        r#"{"calls": [{"at": "2026-11-23T18:19:26Z", "principal_id": "birch-homes-back-end", "customer_id": "birch-homes",
        "site_id": "birch-street-12", "operation": "admit_plate", "target": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a",
        "outcome": "done"}], "next": "MTA0Mg"}"#,
    ),
    (
        "register_controller",
        r#"{"controller_id": "birch-street-12-gate"}"#,
        r#"{"controller_id": "birch-street-12-gate", "claim_code": "7KQ4-M2XP-93TD-VH6R",
        "claim_expires_at": "2026-11-24T18:00:00Z", "claim_uri": "cardea:claim?v=1&controller=birch-street-12-gate&site=birch-street-12&enrol=https://cloud.example.org:8444&api=https://cloud.example.org:8443&ca=3f2a9d51c07b4e8f6a1d25b8903c7e4410f9ab6d58e2c3714b06fd9e87a5132c&code=7KQ4-M2XP-93TD-VH6R"}"#,
    ),
    (
        "renew_claim",
        "",
        r#"{"controller_id": "birch-street-12-gate", "claim_code": "C5WN-8RJY-46GA-ZP2K",
        "claim_expires_at": "2026-11-25T18:00:00Z", "claim_uri": "cardea:claim?v=1&controller=birch-street-12-gate&site=birch-street-12&enrol=https://cloud.example.org:8444&api=https://cloud.example.org:8443&ca=3f2a9d51c07b4e8f6a1d25b8903c7e4410f9ab6d58e2c3714b06fd9e87a5132c&code=C5WN-8RJY-46GA-ZP2K"}"#,
    ),
    (
        "read_controller",
        "",
        r#"{"controller_id": "birch-street-12-gate", "site_id": "birch-street-12", "status": "active", "connected": true,
        "in_sync": true, "cursor": 41, "digest": "sha256:5d41402a…", "site_revision": 41,
        "applied_at": "2026-11-23T18:19:26Z", "last_seen": "2026-11-23T18:19:30Z", "software": "0.1.0",
        "embedder": "base-face-1", "refuses_from": {"plate": null, "face": null, "card": null}, "revoked_at": null, "decommissioned_at": null,
        "to_account_for": {"subjects": 12, "erasures_owed": 1, "erasures": [
            {"erasure_id": "0f4f2c52-3a8a-4b63-9f0c-0d8f3a0a7a51", "waiting_since": "2026-11-23T18:19:26.301Z"}]}}"#,
    ),
    // the customer
    (
        "list_sites",
        "",
        r#"{"sites": [{"site_id": "birch-street-12", "address": "12 Birch Street", "revision": 41}], "next": null}"#,
    ),
    (
        "list_equipment",
        "",
        r#"{"access_points": [{"access_point_id": "birch-street-12-barrier", "kind": "barrier",
        "credentials": ["plate", "remote"], "reachable": true, "state": "closed"}], "next": null}"#,
    ),
    (
        "list_plates",
        "",
        r#"{"plates": [{"plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a", "plate": "A123BC77", "subject": null,
        "schedule": null, "single_entry": false, "valid_from": null, "valid_until": null}], "next": "OWE2YTViNGMtNmQxZi00YjhlLTlhNTctMGM0ZDVmMWIyZTNh"}"#,
    ),
    (
        "admit_plate",
        r#"{"plate": "А123ВС 77", "valid_until": "2027-01-01T00:00:00Z"}"#,
        r#"{"plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a"}"#,
    ),
    (
        "read_plate",
        "",
        r#"{"plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a", "plate": "A123BC77", "subject": null,
        "schedule": null, "single_entry": false, "valid_from": null, "valid_until": "2027-01-01T00:00:00Z"}"#,
    ),
    ("change_plate", r#"{"valid_until": "2027-06-01T00:00:00Z"}"#, ""),
    (
        "list_guest_passes",
        "",
        r#"{"guest_passes": [{"pass_id": "2f1d0c5e-7a0e-4f9b-8a55-6e1d2c3b4a59", "state": "valid", "subject": null,
        "plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a", "single_entry": true, "valid_from": "2026-11-28T09:00:00Z",
        "valid_until": "2026-11-28T21:00:00Z", "used_at": null}], "next": null}"#,
    ),
    (
        "give_guest_pass",
        r#"{"plate": "К456МН 77", "valid_from": "2026-11-28T09:00:00Z", "valid_until": "2026-11-28T21:00:00Z"}"#,
        r#"{"pass_id": "2f1d0c5e-7a0e-4f9b-8a55-6e1d2c3b4a59"}"#,
    ),
    (
        "read_guest_pass",
        "",
        r#"{"pass_id": "2f1d0c5e-7a0e-4f9b-8a55-6e1d2c3b4a59", "state": "valid", "subject": null,
        "plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a", "single_entry": true, "valid_from": "2026-11-28T09:00:00Z",
        "valid_until": "2026-11-28T21:00:00Z", "used_at": null}"#,
    ),
    ("end_guest_pass", "", ""),
    (
        "open_with_guest_pass",
        r#"{"access_point": "birch-street-12-barrier"}"#,
        r#"{"command_id": "e49b4204-28a5-4f52-acc9-1e1d8e430ee1", "state": "confirmed"}"#,
    ),
    (
        "list_cards",
        "",
        r#"{"cards": [{"card_id": "0d3f1c52-7a0e-4f9b-8a55-6e1d2c3b4a59",
        "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", "valid_from": null, "valid_until": null}], "next": null}"#,
    ),
    (
        "admit_card",
        r#"{"number": "w26:12:34567", "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f"}"#,
        r#"{"card_id": "0d3f1c52-7a0e-4f9b-8a55-6e1d2c3b4a59"}"#,
    ),
    (
        "read_card",
        "",
        r#"{"card_id": "0d3f1c52-7a0e-4f9b-8a55-6e1d2c3b4a59", "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f",
        "valid_from": null, "valid_until": null}"#,
    ),
    ("change_card", r#"{"valid_from": null, "valid_until": "2027-06-01T00:00:00Z"}"#, ""),
    (
        "record_consent",
        r#"{"subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", "document_version": "2026-03",
        "given_at": "2026-03-01T09:00:00Z",
        "evidence_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}"#,
        r#"{"consent_id": "c1b0a2d3-5e6f-4a7b-8c9d-0e1f2a3b4c5d"}"#,
    ),
    ("withdraw_consent", "", r#"{"erasure_id": "684e1352-151e-4873-8234-3bdf72d9f6d6", "state": "pending"}"#),
    (
        "read_erasure",
        "",
        r#"{"erasure_id": "684e1352-151e-4873-8234-3bdf72d9f6d6", "site_id": "birch-street-12",
        "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", "reason": "consent-withdrawn", "state": "complete",
        "ordered_at": "2026-11-23T18:19:26.271Z", "cloud_erased": 1, "completed_at": "2026-11-23T18:19:26.345Z",
        "receipts": [{"controller_id": "birch-street-12-gate", "state": "received",
        "received_at": "2026-11-23T18:19:26.345Z", "receipt_jws": "eyJ0eXAiOiJjYXJkZWEtcmVjZWlwdCtqd3Mi…",
        "waiting_since": null, "last_seen": "2026-11-23T18:19:26.345Z", "revoked_at": null, "decommissioned_at": null}]}"#,
    ),
    (
        "list_consent_texts",
        "",
        r#"{"consent_texts": [{"text_id": "0c7f6b1e-9d3a-4a5e-8f21-6b7c8d9e0f10", "customer_id": "birch-homes",
        "version": "2026-03", "language": "ru", "text_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "recorded_at": "2026-03-01T08:00:00Z"}]}"#,
    ),
    (
        "record_consent_text",
        r#"{"version": "2026-09", "language": "ru", "text": "Я согласен на обработку биометрии для прохода в дом."}"#,
        r#"{"text_id": "0c7f6b1e-9d3a-4a5e-8f21-6b7c8d9e0f10",
        "text_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}"#,
    ),
    (
        "read_consent_text",
        "",
        r#"{"text_id": "0c7f6b1e-9d3a-4a5e-8f21-6b7c8d9e0f10", "customer_id": "birch-homes", "version": "2026-03",
        "language": "ru", "text_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "recorded_at": "2026-03-01T08:00:00Z", "text": "Я согласен на обработку биометрии для прохода в дом."}"#,
    ),
    (
        "list_consents",
        "",
        r#"{"consents": [{"consent_id": "c6b1a1de-6d0a-4c7b-9a53-0e1f2a3b4c5d",
        "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", "document_version": "2026-03", "given_at": "2026-03-01T09:00:00Z",
        "evidence_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "recorded_at": "2026-03-01T09:05:00Z"}]}"#,
    ),
    (
        "read_consent",
        "",
        r#"{"consent_id": "c6b1a1de-6d0a-4c7b-9a53-0e1f2a3b4c5d",
        "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", "document_version": "2026-03", "given_at": "2026-03-01T09:00:00Z",
        "evidence_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "recorded_at": "2026-03-01T09:05:00Z", "ended_at": "2026-11-23T18:19:26.271Z", "ended_by": "withdrawal"}"#,
    ),
    (
        "read_subject",
        "",
        r#"{"subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", "consents": [], "templates": [
        {"template_id": "7f630b32-ad92-4a9a-bf35-52410c7d7aad", "model": "face-embedder", "created_at": "2026-03-01T09:06:00Z"}],
        "plates": [{"plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a", "plate": "A123BC77", "single_entry": false}],
        "guest_passes": [],
        "cards": [{"card_id": "3f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f"}], "controllers": ["birch-street-12-gate"], "erasures": [
        {"erasure_id": "684e1352-151e-4873-8234-3bdf72d9f6d6", "ordered_at": "2026-02-01T09:06:00Z",
        "completed_at": "2026-02-01T09:06:01Z"}]}"#,
    ),
    (
        "read_act",
        "",
        r#"{"act": {"erasure_id": "684e1352-151e-4873-8234-3bdf72d9f6d6", "operator": {"name": "Birch Homes"},
        "processor": {"name": "Gates and Doors Ltd", "address": "1 Example Street"}, "subject": "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f",
        "categories": ["biometric personal data: templates of a face"], "information_system": "Cardea", "method": "…",
        "reason": "consent-withdrawn", "ordered_at": "2026-11-23T18:19:26.271Z", "destroyed_at": "2026-11-23T18:19:26.345Z",
        "log": [{"place": "cloud", "what": "erased", "at": "2026-11-23T18:19:26.271Z"}]}, "jws": "eyJ0eXAiOiJjYXJkZWEtYWN0K2p3cyI…"}"#,
    ),
    (
        "enrol_face",
        "",
        r#"{"template_id": "7f630b32-ad92-4a9a-bf35-52410c7d7aad",
        "quality": {"eye_distance_px": 78.2, "detection_score": 0.78, "comparison_quality": 0.98},
        "photos": [{"photo": 1, "kept": false, "reason": "face-blurred",
        "advice": "the face is blurred: send a sharper photo"}, {"photo": 2, "kept": true,
        "comparison_quality": 0.98}], "duplicates": []}"#,
    ),
    ("open_access_point", "", r#"{"command_id": "e49b4204-28a5-4f52-acc9-1e1d8e430ee1", "state": "confirmed"}"#),
    ("sell_property", r#"{"plates": ["А123ВС 77"], "subjects": ["5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f"]}"#, SALE),
    ("read_sale", "", SALE),
    (
        "list_events",
        "",
        r#"{"events": [{"event_id": "b7c1d2e3-4f5a-4b6c-8d7e-9f0a1b2c3d4e", "at": "2026-11-23T18:19:20Z",
        "access_point_id": "birch-street-12-barrier", "type": "access-decision", "credential": "plate", "granted": true,
        "reason": "plate-admitted", "plate_id": "9a6a5b4c-6d1f-4b8e-9a57-0c4d5f1b2e3a", "score": 9.4, "threshold": 4.6}],
        "next": "b7c1d2e3-4f5a-4b6c-8d7e-9f0a1b2c3d4e"}"#,
    ),
    (
        "export_incident",
        r#"{"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}"#,
        "{\"format\":\"cardea-incident/1\",\"site_id\":\"birch-street-12\",…}\n{\"n\":1,\"prev\":\"…\",…}\n{\"jws\":\"…\"}\n",
    ),
    (
        "register_webhook",
        r#"{"url": "https://hooks.example.org/cardea", "kinds": ["erasure.completed", "property-sale.completed"]}"#,
        r#"{"webhook_id": "0b9d0f6e-3c4a-4d5e-8f70-1a2b3c4d5e6f",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYq="}"#,
    ),
    (
        "list_webhooks",
        "",
        r#"{"webhooks": [{"webhook_id": "0b9d0f6e-3c4a-4d5e-8f70-1a2b3c4d5e6f", "url": "https://hooks.example.org/cardea",
        "kinds": ["erasure.completed"], "registered_at": "2026-11-23T18:19:20Z", "waiting": 0}]}"#,
    ),
    (
        "read_webhook",
        "",
        r#"{"webhook_id": "0b9d0f6e-3c4a-4d5e-8f70-1a2b3c4d5e6f", "url": "https://hooks.example.org/cardea",
        "kinds": ["erasure.completed"], "registered_at": "2026-11-23T18:19:20Z", "failing_since": "2026-11-24T02:00:00Z",
        "waiting": 2, "last_delivery": {"message_id": "msg_5a4baa52-c050-41ac-9ade-3c4f8c50b20d",
        "at": "2026-11-24T02:05:10Z", "outcome": "refused", "status": 503}}"#,
    ),
    (
        "rotate_webhook_secret",
        "",
        r#"{"secret": "whsec_C2FVsBQIhrscChlQIMV2b5sSYspob7oDMfKQ9r8GKYq=", "former_until": "2026-11-25T18:19:20Z"}"#,
    ),
];

const SALE: &str = r#"{"sale_id": "d1c21388-20b3-4dbd-8ab9-ee0eccdb828b", "site_id": "birch-street-12", "state": "pending",
    "revision": 42, "plates": 1, "cards": 0, "subjects": 1, "erasures": ["5a4baa52-c050-41ac-9ade-3c4f8c50b20d"],
    "at": "2026-11-23T18:19:27.341Z"}"#;
