//! The fields this API exchanges, each with where it is kept, what for, and how long: the list that is agreed with the
//! information-security officer (requirement S5). A field without a row fails the tests, so nothing gets in unnoticed.
//!
//! A row names `Schema.field`, `*.field` for every schema, `parameter name`, or `body operation`; the exact one wins.

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) field: &'static str,
    pub(super) stored: &'static str,
    pub(super) purpose: &'static str,
    pub(super) retention: &'static str,
}

const fn row(field: &'static str, stored: &'static str, purpose: &'static str, retention: &'static str) -> Row {
    Row { field, stored, purpose, retention }
}

const NOWHERE: &str = "nowhere";
const NONE: &str = "not kept";
const SITE_LIFE: &str = "as long as the site is served";
const CONTRACT: &str = "as long as the customer is served";
const EVIDENCE: &str = "kept as evidence, without the data it is about";
const EVENTS: &str = "as the contract with the customer says";

const CONSENTED: &str = "the resident's consent in writing: 152-FZ art. 11 (1)";
const SERVED: &str = "a contract for the resident's benefit: 152-FZ art. 6 (1) 5";
const PROOF: &str = "the duty to prove a consent: 152-FZ art. 9 (3)";
const ERASED: &str = "the duty to erase and to prove it: 152-FZ art. 21 (5)";
const ACCOUNTED: &str = "the duty to register what is done with personal data: 152-FZ art. 19 (2) 8";
const NOT_PERSONAL: &str = "no personal data";

/// On what legal basis a field is processed, by the schema it belongs to. What is about systems, houses and companies is no
/// personal data; subject tokens are treated as such although nobody here can tell whose they are.
pub(super) fn legal_basis(field: &str) -> &'static str {
    let (schema, member) = field.split_once('.').unwrap_or((field, ""));
    match schema {
        "body enrol_face" | "FaceEnrolled" | "PhotoQuality" | "parameter subject" => CONSENTED,
        "RecordConsent" | "ConsentRecorded" | "parameter consent" => PROOF,
        "ErasureView" | "ErasureOrdered" | "ReceiptView" | "parameter erasure" => ERASED,
        "AdmitPlate" | "PlateAdmitted" | "PlateView" | "AdmitCard" | "CardAdmitted" | "CardView" | "ChangeValidity"
        | "SellProperty" | "SaleView" | "EventView" | "EventFields" | "EventLine" | "OpenOutcome"
        | "parameter plate_id" | "parameter card_id" | "parameter sale" => SERVED,
        "AuditedCall" | "ActionLine" if member != "customer_id" && member != "site_id" => ACCOUNTED,
        _ => NOT_PERSONAL,
    }
}

/// All rows.
pub(super) const ROWS: &[Row] = &[
    // errors
    row("ProblemDetails.type", NOWHERE, "tells a program what went wrong", NONE),
    row("ProblemDetails.status", NOWHERE, "tells a program what went wrong", NONE),
    row("ProblemDetails.title", NOWHERE, "tells a person what went wrong", NONE),
    row("ProblemDetails.request_id", "the log", "finds the request in the log", "as long as the log"),
    row("ProblemDetails.detail", NOWHERE, "tells a person what to do; repeats no value", NONE),
    row("OAuthError.error", NOWHERE, "tells a program what went wrong", NONE),
    row("OAuthError.error_description", NOWHERE, "tells a person what to do", NONE),
    // tokens
    row("TokenRequest.grant_type", NOWHERE, "chooses the grant", NONE),
    row("TokenRequest.username", NOWHERE, "names the account", NONE),
    row("TokenRequest.password", NOWHERE, "proves the account; overwritten in memory", NONE),
    row("TokenRequest.client_id", NOWHERE, "names the account", NONE),
    row("TokenRequest.refresh_token", "refresh_tokens, as SHA-256", "continues a login", "until the login ends"),
    row("TokenRequest.scope", NOWHERE, "names the role", NONE),
    row("TokenResponse.access_token", NOWHERE, "proves the account for an hour at most", NONE),
    row("TokenResponse.token_type", NOWHERE, "says how to send the token", NONE),
    row("TokenResponse.expires_in", NOWHERE, "says how long the token is good", NONE),
    row("TokenResponse.refresh_token", "refresh_tokens, as SHA-256", "continues a login", "until the login ends"),
    row("TokenResponse.scope", NOWHERE, "names the role", NONE),
    // sites, customers, accounts
    row("*.site_id", "sites", "names a house", SITE_LIFE),
    row("*.address", "sites", "tells people which building; never a flat", SITE_LIFE),
    row("SiteView.revision", "sites", "shows how far controllers have to come", SITE_LIFE),
    row("SiteList.sites", NOWHERE, "lists sites", NONE),
    row("*.customer_id", "customers", "names the customer", CONTRACT),
    row("RegisterCustomer.name", "customers", "tells people which company", CONTRACT),
    row("RegisterCustomer.sites", "customer_sites", "says where the customer is served", CONTRACT),
    row("*.principal_id", "principals, audit", "names an account of a system or a post", CONTRACT),
    row("RegisterPrincipal.role", "principals", "says what the account may do", CONTRACT),
    row("RegisterPrincipal.password", "principals, as Argon2id hash", "proves the account", CONTRACT),
    row("RegisterPrincipal.subject_dn", "principals", "proves the account by its client certificate", CONTRACT),
    row("PrincipalList.principals", NOWHERE, "lists accounts", NONE),
    row("*.next", NOWHERE, "continues a list", NONE),
    row("PrincipalView.role", "principals", "says what the account may do", CONTRACT),
    row("PrincipalView.registered_at", "principals", "shows since when there is an account", CONTRACT),
    row("PrincipalView.revoked_at", "principals", "shows whether there is still an account", CONTRACT),
    row("GiveSites.sites", "principal_sites", "says where an installer works", CONTRACT),
    // the audit
    row("AuditPage.calls", NOWHERE, "lists calls", NONE),
    row("AuditedCall.at", "audit", "says when it was asked for", EVENTS),
    row("AuditedCall.operation", "audit", "says what was asked for", EVENTS),
    row("AuditedCall.target", "audit", "says what it acted on; never a plate, a card or a subject", EVENTS),
    row("AuditedCall.outcome", "audit", "says what became of it", EVENTS),
    // controllers and equipment
    row("*.controller_id", "controllers", "names a controller", SITE_LIFE),
    row(
        "ControllerRegistered.claim_code",
        "controllers, as Argon2id hash",
        "lets an installer claim it once",
        "until used or expired",
    ),
    row("ControllerRegistered.claim_expires_at", "controllers", "limits the claim code", "until used"),
    row("ControllerView.status", "controllers", "shows the controller's standing", SITE_LIFE),
    row("ControllerView.connected", "controllers", "shows whether it is reachable", SITE_LIFE),
    row("ControllerView.in_sync", "controllers", "shows whether revocations are enforced", SITE_LIFE),
    row("ControllerView.cursor", "controllers", "shows whether revocations are enforced", SITE_LIFE),
    row("ControllerView.digest", "controllers", "shows whether revocations are enforced", SITE_LIFE),
    row("ControllerView.site_revision", "sites", "shows whether revocations are enforced", SITE_LIFE),
    row("ControllerView.applied_at", "controllers", "shows whether revocations are enforced", SITE_LIFE),
    row("ControllerView.last_seen", "controllers", "shows whether it is reachable", SITE_LIFE),
    row("ControllerView.software", "controllers", "shows what needs an update", SITE_LIFE),
    row("ControllerView.embedder", "controllers", "shows which templates it can use", SITE_LIFE),
    row("EquipmentList.access_points", NOWHERE, "lists equipment", NONE),
    row("AccessPointView.access_point_id", "access_points", "names a barrier or door", SITE_LIFE),
    row("AccessPointView.kind", "access_points", "says what it is", SITE_LIFE),
    row("AccessPointView.credentials", "access_points", "says what opens it", SITE_LIFE),
    row("AccessPointView.reachable", "access_points", "shows whether it answers", SITE_LIFE),
    row("AccessPointView.state", "access_points", "shows its state", SITE_LIFE),
    // plates
    row("AdmitPlate.plate", "plates, and on the site's controllers", "opens the barrier", "until removed or sold"),
    row("PlateView.plate", "plates, and on the site's controllers", "opens the barrier", "until removed or sold"),
    row(
        "*.valid_from",
        "plates and cards, and on the site's controllers",
        "limits the admission",
        "until removed or sold",
    ),
    row(
        "*.valid_until",
        "plates and cards, and on the site's controllers",
        "limits the admission",
        "until removed or sold",
    ),
    row("*.lifts_sale", NOWHERE, "admits again on purpose after a sale", NONE),
    row("PlateAdmitted.plate_id", "plates", "names the admission", "until removed or sold; its number stays in events"),
    row("PlateView.plate_id", "plates", "names the admission", "until removed or sold; its number stays in events"),
    row("PlateList.plates", NOWHERE, "lists plates", NONE),
    // cards
    row(
        "AdmitCard.number",
        "cards, and on the site's controllers, as a hash alone",
        "opens what has a reader",
        "until removed or sold",
    ),
    row("CardAdmitted.card_id", "cards", "names the admission", "until removed or sold; its number stays in events"),
    row("CardView.card_id", "cards", "names the admission", "until removed or sold; its number stays in events"),
    row("CardList.cards", NOWHERE, "lists cards", NONE),
    // consents and biometrics
    row(
        "*.subject",
        "cards, consents, subject_keys, templates, erasures, events",
        "the customer's opaque token of a resident",
        EVIDENCE,
    ),
    row("RecordConsent.document_version", "consents", "proves what was consented to", EVIDENCE),
    row("RecordConsent.given_at", "consents", "proves when it was consented to", EVIDENCE),
    row("RecordConsent.evidence_sha256", "consents", "ties the record to the signed document", EVIDENCE),
    row("ConsentRecorded.consent_id", "consents", "names the consent", EVIDENCE),
    row("body enrol_face", NOWHERE, "the photo: becomes a template; overwritten in memory, never on a disk", NONE),
    row(
        "FaceEnrolled.template_id",
        "templates (with the encrypted template), and on the site's controllers",
        "opens the door",
        "until consent ends or the flat is sold; then erased at once",
    ),
    row("FaceEnrolled.quality", NOWHERE, "lets the customer ask for a better photo", NONE),
    row("PhotoQuality.eye_distance_px", NOWHERE, "lets the customer ask for a better photo", NONE),
    row("PhotoQuality.detection_score", NOWHERE, "lets the customer ask for a better photo", NONE),
    row("*.erasure_id", "erasures", "names an erasure", EVIDENCE),
    row("ErasureOrdered.state", NOWHERE, "shows whether the erasure is complete", NONE),
    row("ErasureView.state", NOWHERE, "shows whether the erasure is complete", NONE),
    row("ErasureView.reason", "erasures", "proves why it was erased", EVIDENCE),
    row("ErasureView.ordered_at", "erasures", "proves when it was erased", EVIDENCE),
    row("ErasureView.cloud_erased", "erasures", "proves what was erased", EVIDENCE),
    row("ErasureView.completed_at", "erasures", "proves when it was erased", EVIDENCE),
    row("ErasureView.receipts", "erasure_controllers", "proves that every controller has erased", EVIDENCE),
    row("ReceiptView.state", NOWHERE, "shows who still has to answer", NONE),
    row("ReceiptView.received_at", "erasure_controllers", "proves when it was erased", EVIDENCE),
    row("ReceiptView.receipt_jws", "erasure_controllers", "proves that the controller has erased", EVIDENCE),
    // opening
    row("*.command_id", "commands, events", "names an order to open", EVENTS),
    row("OpenOutcome.state", "commands", "says whether it opened", EVENTS),
    row("*.reason", "commands, events", "says why it did or did not open", EVENTS),
    // sales
    row(
        "SellProperty.plates",
        "sale_blocks, as keyed fingerprint",
        "blocks the former owner's cars",
        "until lifted by name of the sale",
    ),
    row(
        "SellProperty.cards",
        "sale_blocks, as keyed fingerprint",
        "blocks the former owner's cards",
        "until lifted by name of the sale",
    ),
    row(
        "SellProperty.subjects",
        "erasures; sale_blocks, as keyed fingerprint",
        "erases and blocks the former residents",
        "until lifted by name of the sale",
    ),
    row("SaleView.sale_id", "sales", "names the sale", EVIDENCE),
    row("SaleView.state", NOWHERE, "shows whether every controller blocks", NONE),
    row("SaleView.revision", "sales", "shows whether every controller blocks", EVIDENCE),
    row("SaleView.plates", "sales", "counts the plates blocked", EVIDENCE),
    row("SaleView.cards", "sales", "counts the cards blocked", EVIDENCE),
    row("SaleView.subjects", "sales", "counts the subjects blocked", EVIDENCE),
    row("SaleView.erasures", "erasures", "names the erasures", EVIDENCE),
    row("SaleView.at", "sales", "proves when it was blocked", EVIDENCE),
    // events
    row("EventList.events", NOWHERE, "lists events", NONE),
    row("EventView.event_id", "events", "names an event", EVENTS),
    row("EventView.at", "events", "says when it happened", EVENTS),
    row("EventView.access_point_id", "events", "says where it happened", EVENTS),
    row("EventFields.type", "events", "says what happened", EVENTS),
    row("EventFields.credential", "events", "says what was presented", EVENTS),
    row("EventFields.granted", "events", "says whether access was granted", EVENTS),
    row("EventFields.plate_id", "events", "says which admission matched", EVENTS),
    row("EventFields.card_id", "events", "says which admission matched", EVENTS),
    row("EventFields.score", "events", "lets a wrong decision be understood", EVENTS),
    row("EventFields.threshold", "events", "lets a wrong decision be understood", EVENTS),
    row("EventFields.liveness", "events", "lets a wrong decision be understood", EVENTS),
    row("EventFields.capture_ms", "events", "shows where time went", EVENTS),
    row("EventFields.detect_ms", "events", "shows where time went", EVENTS),
    row("EventFields.read_ms", "events", "shows where time went", EVENTS),
    row("EventFields.decide_ms", "events", "shows where time went", EVENTS),
    row("EventFields.relay_ms", "events", "shows where time went", EVENTS),
    row("EventFields.state", "events", "says which state was reached", EVENTS),
    row("EventFields.alarm", "events", "says what needs a person", EVENTS),
    row("EventFields.equipment", "events", "says which board or camera", EVENTS),
    row("EventFields.reachable", "events", "says whether it answers", EVENTS),
    row("EventFields.dropped", "events", "shows gaps", EVENTS),
    // incident exports
    row("ExportIncident.from", NOWHERE, "limits the export", NONE),
    row("ExportIncident.to", NOWHERE, "limits the export", NONE),
    row("IncidentBundle.header", NOWHERE, "says what the bundle covers", NONE),
    row("IncidentBundle.entries", NOWHERE, "tells what happened, under pseudonyms", NONE),
    row("IncidentBundle.signature", NOWHERE, "proves the bundle complete and unaltered", NONE),
    row("Header.format", NOWHERE, "names the format", NONE),
    row("Header.from", NOWHERE, "says what the bundle covers", NONE),
    row("Header.until", NOWHERE, "says what the bundle covers", NONE),
    row("Header.made_at", NOWHERE, "says when the bundle was made", NONE),
    row("Line.n", NOWHERE, "proves the order of lines", NONE),
    row("Line.prev", NOWHERE, "proves the order of lines", NONE),
    row("Line.at", "events, audit", "says when it happened", EVENTS),
    row("Entry.event", NOWHERE, "holds an event", NONE),
    row("Entry.action", NOWHERE, "holds an action", NONE),
    row("EventLine.controller", NOWHERE, "a pseudonym of this bundle", NONE),
    row("EventLine.access_point", "events", "says where it happened", EVENTS),
    row("EventLine.received_at", "events", "shows late reports", EVENTS),
    row("ActionLine.by", NOWHERE, "a pseudonym of this bundle", NONE),
    row("ActionLine.operation", "audit", "says what was asked for", EVENTS),
    row("ActionLine.outcome", "audit", "says what became of it", EVENTS),
    row("SealLine.jws", NOWHERE, "proves the bundle complete and unaltered", NONE),
    // the inventory itself
    row("DataInventory.fields", NOWHERE, "lists this inventory", NONE),
    row("FieldView.field", NOWHERE, "lists this inventory", NONE),
    row("FieldView.description", NOWHERE, "lists this inventory", NONE),
    row("FieldView.stored", NOWHERE, "lists this inventory", NONE),
    row("FieldView.purpose", NOWHERE, "lists this inventory", NONE),
    row("FieldView.legal_basis", NOWHERE, "lists this inventory", NONE),
    row("FieldView.seen_by", NOWHERE, "lists this inventory", NONE),
    row("FieldView.retention", NOWHERE, "lists this inventory", NONE),
    // in the path, the query or a header
    row("parameter site", NOWHERE, "names a house", NONE),
    row("parameter controller", NOWHERE, "names a controller", NONE),
    row("parameter plate_id", NOWHERE, "names an admission", NONE),
    row("parameter card_id", NOWHERE, "names an admission", NONE),
    row("parameter consent", NOWHERE, "names a consent", NONE),
    row("parameter erasure", NOWHERE, "names an erasure", NONE),
    row(
        "parameter subject",
        "subject_keys, templates, erasures, events",
        "the customer's opaque token of a resident",
        EVIDENCE,
    ),
    row("parameter access_point", "commands", "names a barrier or door", EVENTS),
    row(
        "parameter Idempotency-Key",
        "idempotent_answers; commands for an order to open",
        "keeps a repeated call from being done twice",
        "a day; that of an order, as the contract with the customer says",
    ),
    row("parameter X-Request-Id", "the log", "finds the request in the log", "as long as the log"),
    row("parameter If-Match", NOWHERE, "keeps a change from undoing another one", NONE),
    row("parameter principal", NOWHERE, "names an account", NONE),
    row("parameter problem", NOWHERE, "names a kind of problem", NONE),
    row("parameter sale", NOWHERE, "names a sale", NONE),
    row("parameter after", NOWHERE, "continues a list", NONE),
    row("parameter limit", NOWHERE, "limits a list", NONE),
];
