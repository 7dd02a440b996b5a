//! What the API makes of bytes in the place of a JSON body, for fuzz/: the real extractor, each type of body, no handler.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use axum::http::header;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::web::extract::Json;
use super::{
    accounts, cards, certificates, consent_texts, controllers, guest_passes, plates, records, sales, sites, subjects,
    webhooks,
};

static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().ok());

fn taken<T: DeserializeOwned>(bytes: &[u8]) -> Result<(), String> {
    let request = Request::builder().header(header::CONTENT_TYPE, "application/json");
    let (Some(runtime), Ok(request)) = (RUNTIME.as_ref(), request.body(Body::from(bytes.to_vec()))) else {
        return Err(String::new());
    };
    runtime.block_on(Json::<T>::from_request(request, &())).map(|_| ()).map_err(|problem| problem.to_string())
}

/// Reads bytes as a body: nothing, or the problem's words for people.
pub type Reader = fn(&[u8]) -> Result<(), String>;

/// A reader for each type of body.
pub const BODIES: [Reader; 17] = [
    taken::<accounts::register::RegisterPrincipal>,
    taken::<accounts::redirect_uri::RegisterRedirectUri>,
    taken::<accounts::give_sites::GiveSites>,
    taken::<cards::admit::AdmitCard>,
    taken::<super::web::validity::ChangeValidity>,
    taken::<certificates::revoke::RevokeCertificate>,
    taken::<consent_texts::record::RecordConsentText>,
    taken::<controllers::register::RegisterController>,
    taken::<guest_passes::give::GiveGuestPass>,
    taken::<guest_passes::open::OpenWithPass>,
    taken::<plates::admit::AdmitPlate>,
    taken::<records::export_incident::ExportIncident>,
    taken::<sales::sell::SellProperty>,
    taken::<sites::customer::RegisterCustomer>,
    taken::<sites::register::RegisterSite>,
    taken::<subjects::record_consent::RecordConsent>,
    taken::<webhooks::create::RegisterWebhook>,
];
