//! `GET /v1/erasures/{erasure}/act`: the act of destruction, once everything is destroyed.
//!
//! Its fields are those that Roskomnadzor's Order 179 of 28 October 2022 asks for: of the act (section 3) and of the extract
//! from the information system's log (section 5), which has to lie beside it where data are processed by machines. What
//! Cardea cannot know, such as who signs, is left blank.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::ErasureId;
use cardea_protocol::jws::Use;
use cardea_protocol::rfc3339;
use maud::{Markup, html};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::api::subjects::read_erasure::visible;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::page::Page;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::erasures::{Erasure, ErasureReason};

/// The categories of data that an erasure destroys.
const CATEGORIES: [&str; 1] = ["biometric personal data: templates of a face"];
const METHOD: &str = "the key the templates were encrypted under was deleted first, then the templates, in the cloud's \
    database and in each controller's, with the freed space overwritten; each controller searched its own files \
    for what was left, and signed that it found nothing";

// === doc ===

/// An act of destruction.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActView {
    /// What it says.
    act: Act,
    /// The same as a JWS (`typ` `cardea-act+jws`), signed with a key of `GET /v1/signing-keys`.
    jws: String,
}

/// What an act of destruction says.
#[derive(Serialize, ToSchema)]
pub(crate) struct Act {
    /// The erasure it is about.
    erasure_id: String,
    /// Whose data they were: the customer served at the site.
    operator: Party,
    /// Who processed them for the customer.
    processor: Party,
    /// The data subject, by the customer's opaque token.
    subject: String,
    /// Categories of the data that were destroyed.
    categories: Vec<String>,
    /// The information system they were destroyed in.
    information_system: String,
    /// How.
    method: String,
    /// Why: `consent-withdrawn` or `property-sold`.
    reason: String,
    /// When it was ordered (RFC 3339).
    #[schema(format = DateTime)]
    ordered_at: String,
    /// When the last of them was destroyed (RFC 3339).
    #[schema(format = DateTime)]
    destroyed_at: String,
    /// Extract from the log: where and when.
    log: Vec<LogLine>,
}

/// A party, as far as it is known.
#[derive(Serialize, ToSchema)]
pub(crate) struct Party {
    /// Its name.
    name: Option<String>,
    /// Its address.
    address: Option<String>,
}

/// One place the data were destroyed at.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogLine {
    /// `cloud`, or the controller.
    place: String,
    /// `erased`, or `decommissioned` for a controller that was taken out of service instead of answering.
    what: String,
    /// When (RFC 3339); of a controller, when its receipt arrived, or when it was decommissioned.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// SHA-256 of the controller's signed receipt, which `GET /v1/erasures/{id}` shows.
    receipt_sha256: Option<String>,
}

async fn act_of(app: &App, erasure: Erasure, completed_at: String) -> Result<Act, Problem> {
    let cloud = LogLine {
        place: "cloud".to_owned(),
        what: "erased".to_owned(),
        at: Some(rfc3339::format(erasure.ordered_at)),
        receipt_sha256: None,
    };
    let controllers = erasure.controllers.into_iter().map(|part| LogLine {
        place: part.controller.to_string(),
        what: if part.verified { "erased" } else { "decommissioned" }.to_owned(),
        at: if part.verified { part.received_at } else { part.decommissioned_at }.map(rfc3339::format),
        receipt_sha256: part.receipt_jws.map(|jws| hex::encode(Sha256::digest(jws))),
    });
    let settings = &app.config.acts;
    Ok(Act {
        erasure_id: erasure.erasure_id.to_string(),
        operator: Party { name: app.storage.customer_name_at(&erasure.site).await?, address: None },
        processor: Party { name: settings.processor_name.clone(), address: settings.processor_address.clone() },
        subject: erasure.subject.as_str().to_owned(),
        categories: CATEGORIES.map(str::to_owned).to_vec(),
        information_system: settings.information_system.clone(),
        method: METHOD.to_owned(),
        reason: erasure.reason.as_str().to_owned(),
        ordered_at: rfc3339::format(erasure.ordered_at),
        destroyed_at: completed_at,
        log: std::iter::once(cloud).chain(controllers).collect(),
    })
}

// === the page ===

const STYLE: &str = "body{font:11pt/1.45 Georgia,serif;margin:0;color:#111}main{max-width:44rem;margin:2rem auto;padding:0 1.5rem}\
h1{font-size:1.3rem;text-align:center}h2{font-size:1.05rem;margin-top:1.5rem}table{border-collapse:collapse;width:100%}\
td,th{border:1px solid #999;padding:.35rem .5rem;text-align:left;vertical-align:top}th{width:38%;font-weight:normal}\
small{display:block;color:#555}td{overflow-wrap:anywhere}.sign{height:2.2rem}@page{margin:18mm}@media print{main{margin:0;padding:0}}";

fn row(russian: &str, english: &str, value: &Markup) -> Markup {
    html! { tr { th { (russian) small { (english) } } td { (value) } } }
}

/// What is not known is a line to write on.
fn known(value: Option<&String>) -> Markup {
    html! { @if let Some(value) = value { (value) } @else { "______________________________" } }
}

fn page(view: &ActView) -> Response {
    let act = &view.act;
    let reason = if act.reason == ErasureReason::ConsentWithdrawn.as_str() {
        html! { "отзыв согласия субъекта" small { "the data subject withdrew the consent" } }
    } else {
        html! { "прекращение права на помещение" small { "the property was sold" } }
    };
    let categories = html! { @for category in &act.categories { (category) br; } };
    let body = html! {
        h1 { "Акт об уничтожении персональных данных" small { "Act of destruction of personal data" } }
        table {
            (row("Номер", "Number", &html! { (act.erasure_id) }))
            (row("Оператор", "Operator: name", &known(act.operator.name.as_ref())))
            (row("Адрес оператора", "Operator: address", &known(act.operator.address.as_ref())))
            (row("Лицо, обрабатывавшее данные по поручению", "Processor: name", &known(act.processor.name.as_ref())))
            (row("Адрес этого лица", "Processor: address", &known(act.processor.address.as_ref())))
            (row("Субъект данных (условный номер)", "Data subject, by opaque token", &html! { (act.subject) }))
            (row("Категории уничтоженных данных", "Categories of data", &categories))
            (row("Информационная система", "Information system", &html! { (act.information_system) }))
            (row("Способ уничтожения", "Method", &html! { (act.method) }))
            (row("Причина уничтожения", "Reason", &reason))
            (row("Дата уничтожения", "Date of destruction", &html! { (act.destroyed_at) }))
        }
        h2 { "Выгрузка из журнала событий" small { "Extract from the log" } }
        table {
            tr { td { "Где" small { "place" } } td { "Что" small { "what" } } td { "Когда" small { "when" } }
                td { "SHA-256 квитанции" small { "of the signed receipt" } } }
            @for line in &act.log {
                tr { td { (line.place) } td { (line.what) } td { (line.at.as_deref().unwrap_or("–")) }
                    td { (line.receipt_sha256.as_deref().unwrap_or("–")) } }
            }
        }
        h2 { "Уничтожившие лица" small { "Destroyed by" } }
        table {
            tr { td { "Фамилия, имя, отчество" small { "name" } } td { "Должность" small { "position" } }
                td { "Подпись" small { "signature" } } }
            @for _ in 0..2 { tr { td.sign {} td {} td {} } }
        }
    };
    Page {
        language: "ru", title: "Акт об уничтожении", style: STYLE, body: &body, form_action: "'none'"
    }
    .response(StatusCode::OK)
}

// === handler ===

/// Get the act of destruction of a complete erasure; with `Accept: text/html`, to print and sign.
#[utoipa::path(get, path = "/v1/erasures/{erasure}/act", operation_id = "read_act", tag = "biometrics",
    params(("erasure" = String, Path, description = "Erasure id")), security(("token" = [])),
    responses((status = 200, description = "The act", content((ActView = "application/json"), (String = "text/html")))))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(erasure): Params<ErasureId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let erasure = visible(&app, &caller, &erasure).await?;
    let incomplete =
        Problem::Conflict("the erasure is not complete: there is an act once every controller has answered");
    let completed_at = erasure.completed_at.map(rfc3339::format).ok_or(incomplete)?;
    let act = act_of(&app, erasure, completed_at).await?;
    let signer = app.signing.signer().map_err(|error| Problem::internal(&error))?;
    let jws = signer.sign(Use::Act, &act).map_err(|error| Problem::internal(&error))?;
    let view = ActView { act, jws };
    let to_read = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if to_read.is_some_and(|accept| accept.contains("text/html")) {
        return Ok(page(&view));
    }
    Ok(axum::Json(view).into_response())
}

// === tests ===

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, header};
    use cardea_protocol::jws::{Use, Verifier};
    use serde_json::{Value, json};

    use crate::testing::{Api, CONTROLLER, SITE, SUBJECT, as_admin, as_other, consent};

    /// Where the erasure of a withdrawn consent is.
    async fn withdrawn(api: &Api) -> String {
        let consents = format!("/v1/sites/{SITE}/consents");
        let recorded = api.post(&consents, &consent(SUBJECT), as_admin()).await;
        let withdrawal = format!("{consents}/{}/withdrawal", recorded.json["consent_id"].as_str().unwrap());
        let ordered = api.post_empty(&withdrawal, as_admin()).await;
        format!("/v1/erasures/{}", ordered.json["erasure_id"].as_str().unwrap())
    }

    #[tokio::test]
    async fn an_act_says_what_the_order_asks_for_and_is_signed() {
        let api = Api::new().await;
        let path = format!("{}/act", withdrawn(&api).await);
        let answer = api.get(&path, as_admin()).await;
        let act = &answer.json["act"];
        assert_eq!(
            (answer.status, &act["subject"], &act["reason"]),
            (200, &json!(SUBJECT), &json!("consent-withdrawn"))
        );
        for field in ["operator", "processor", "categories", "information_system", "method", "destroyed_at"] {
            assert!(!act[field].is_null(), "{field}");
        }
        assert!(act["operator"]["name"].is_string() && act["processor"]["name"].is_null(), "{act}");
        let verifier = Verifier::ed25519(api.app.signing.public_pem()).unwrap();
        let signed: Value = verifier.verify(Use::Act, answer.json["jws"].as_str().unwrap()).unwrap();
        assert_eq!(&signed, act);
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
    }

    #[tokio::test]
    async fn to_a_person_it_is_a_page_to_sign() {
        let api = Api::new().await;
        let path = format!("{}/act", withdrawn(&api).await);
        let request = api.request(&Method::GET, &path, as_admin()).header(header::ACCEPT, "text/html,*/*;q=0.8");
        let answer = api.call(request.body(Body::empty()).unwrap()).await;
        assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.header("content-type"));
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        let page = String::from_utf8(answer.bytes).unwrap();
        assert!(page.contains(SUBJECT) && page.contains("Подпись") && !page.contains("<script"), "{page}");
    }

    #[tokio::test]
    async fn there_is_none_while_a_controller_has_not_answered() {
        let api = Api::new().await;
        api.activate(CONTROLLER).await;
        let path = format!("{}/act", withdrawn(&api).await);
        assert_eq!(api.get(&path, as_admin()).await.problem(), (409, "conflict"));
    }
}
