//! The main job, told chapter by chapter: a car and a resident get in, a revocation keeps them out.
//!
//! Each chapter is a function that does things to the [`Tale`] and ends with an error as soon as something is not as
//! told. They build on each other, so the first failure ends the story.

mod arrival;
mod car;
mod cut;
mod demand;
mod export;
mod resident;
mod sale;
pub mod telling;
mod tokens;
mod withdrawal;
mod witness;

use std::path::Path;

use cardea_models::Template;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::look::Onlooker;
use crate::site::back_end::BackEnd;
use crate::site::{Site, Tempo};
use telling::{Telling, line};

/// The car's plate, as its owner would type it.
pub const PLATE: &str = "А123ВС77";
/// The same in canonical form, as the pictures were rendered.
pub const PLATE_CANONICAL: &str = "A123BC77";
/// The resident: an opaque token of the customer's.
pub const RESIDENT: &str = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f";
/// Who lives with the resident.
pub const CO_RESIDENT: &str = "7a1d3b90-0c2e-4f6a-8b7d-1c2d3e4f5a6b";
/// The sample photograph of the resident.
pub const RESIDENT_PHOTO: &str = "grace_hopper.jpg";
/// The sample photograph of the stranger of chapter 4, who is the co-resident of chapter 8.
pub const OTHER_PHOTO: &str = "astronaut.png";
/// The customer's password: of this scratch site only.
pub const PASSWORD: &str = "correct horse battery staple";

/// The text that residents consent to, as the customer records it before the first consent.
pub fn consent_text() -> Value {
    json!({
        "version": "2026-03", "language": "en",
        "text": "I agree that templates of my face are made and kept, so that the door of my house knows me.",
    })
}

/// A consent of `subject` as the customer records it; the hash is of a signed document that stays with the customer.
pub fn consent(subject: &str) -> Value {
    json!({
        "subject": subject, "document_version": "2026-03", "given_at": "2026-03-01T09:00:00Z",
        "evidence_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    })
}

/// What the chapters hand on to each other.
pub struct Tale {
    /// The running site.
    pub site: Site,
    /// The operator, with a token.
    pub operator: BackEnd,
    /// The customer's back end, with a token from chapter 2 on.
    pub customer: BackEnd,
    /// What was told.
    pub telling: Telling,
    /// Draws what the models see.
    pub onlooker: Onlooker,
    /// The newest event that was read.
    last_event: Option<String>,
    claim_code: String,
    plate_id: String,
    consent: String,
    resident: Option<Template>,
}

/// Plays the whole story in `dir`, which must not exist, and stops the site. The telling says whether it went as told.
pub async fn tell(dir: &Path, now: OffsetDateTime) -> anyhow::Result<Telling> {
    line(format_args!("   starting a cloud and a house in {}", dir.display()));
    let site = Site::start(dir, Tempo::DEMO, now).await?;
    let mut tale = Tale {
        operator: site.operator().await?,
        customer: site.customer_client()?,
        site,
        telling: Telling::new(),
        onlooker: Onlooker::load()?,
        last_event: None,
        claim_code: String::new(),
        plate_id: String::new(),
        consent: String::new(),
        resident: None,
    };
    tale.play().await;
    let Tale { site, telling, .. } = tale;
    // The programs end politely whatever happened; how they end is part of the story.
    site.stop().await?;
    Ok(telling)
}

impl Tale {
    async fn play(&mut self) {
        macro_rules! chapters {
            ($($title:literal => $play:path),+ $(,)?) => {$(
                self.telling.chapter($title);
                let outcome = $play(self).await;
                self.telling.close(&outcome);
                if outcome.is_err() {
                    return;
                }
            )+};
        }
        chapters! {
            "The operator registers house, controller and customer; the controller claims itself" => arrival::play,
            "The customer gets tokens and lists the equipment of its address" => tokens::play,
            "A car drives up, is unknown, is registered, returns and is let in" => car::play,
            "No photo without consent; then the door knows the resident, and no stranger" => resident::play,
            "Both are opened on demand; a replayed command does nothing" => demand::play,
            "The network is cut: plate and face work on, until the face is too stale" => cut::play,
            "Consent is withdrawn: erased everywhere, with a receipt" => withdrawal::play,
            "The flat is sold: plate and remaining biometrics blocked as one operation" => sale::play,
            "The customer exports the incident log and verifies it offline" => export::play,
        }
    }
}
