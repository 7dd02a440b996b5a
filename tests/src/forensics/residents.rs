//! Residents who come and go through the API, and the kills of cloud and controller amid that.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::time::sleep;

use crate::picture;
use crate::site::back_end::BackEnd;
use crate::site::{LOGIN, SITE, Site, poll};
use crate::story::{PASSWORD, consent};

const PATIENCE: Duration = Duration::from_mins(2);
/// Withdrawals for each that a program is killed in, on average.
const WITHDRAWALS_PER_KILL: u32 = 5;
/// A program is killed at most this long after a call was sent, milliseconds.
const KILLED_WITHIN_MS: u64 = 80;
/// The photograph's size for an enrolment.
const PHOTO: u32 = 256;

/// Somebody who was enrolled.
pub struct Resident {
    /// The customer's token.
    pub subject: String,
    consent: String,
}

/// Which program.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// `cardea-cloud`.
    Cloud,
    /// `cardead`.
    Controller,
}

/// A site, its residents, and chance.
pub struct Residents {
    /// The programs.
    pub site: Site,
    /// The customer's back end.
    pub customer: BackEnd,
    /// How often a program was killed.
    pub kills: usize,
    operator: BackEnd,
    rng: StdRng,
    photograph: RgbImage,
    count: u64,
    tokens: Vec<String>,
}

impl Residents {
    /// At a site that is claimed, with its customer and operator.
    pub fn new(site: Site, customer: BackEnd, operator: BackEnd, rng: StdRng) -> anyhow::Result<Self> {
        let original = image::load_from_memory(&picture::sample_bytes("grace_hopper.jpg")?)?.to_rgb8();
        let photograph = imageops::resize(
            &original,
            PHOTO,
            PHOTO * original.height() / original.width(),
            imageops::FilterType::Triangle,
        );
        let mut residents = Self { site, customer, operator, rng, photograph, kills: 0, count: 0, tokens: Vec::new() };
        residents.note_tokens();
        Ok(residents)
    }

    /// Once in so many times, a side to be killed.
    pub fn whim(&mut self, once_in: u32) -> Option<Side> {
        let kill = self.rng.random_ratio(1, once_in);
        let side = if self.rng.random() { Side::Cloud } else { Side::Controller };
        kill.then_some(side)
    }

    /// Another resident: consent and photo. Where a side is to be killed, that happens while the photo is looked at, and it is
    /// sent again if need be.
    pub async fn enrol(&mut self, kill: Option<Side>) -> anyhow::Result<Resident> {
        self.count += 1;
        let subject = format!("5f0c2f0e-8a1b-4c5e-9d1e-{:012x}", self.count);
        let recorded = self.customer.post(&format!("/v1/sites/{SITE}/consents"), &consent(&subject)).await?;
        let consent = recorded.expect(201)?.text("/consent_id")?;
        let (path, photo) = (format!("/v1/sites/{SITE}/subjects/{subject}/faces"), self.photo()?);
        let customer = self.customer.clone();
        let sent = self.amid(kill, customer.post_bytes(&path, "image/jpeg", photo.clone())).await?;
        if kill.is_none() {
            sent?.expect(201)?;
        } else if !sent.is_ok_and(|reply| reply.status == 201) {
            self.customer.post_bytes(&path, "image/jpeg", photo).await?.expect(201)?;
        }
        Ok(Resident { subject, consent })
    }

    /// Erases them everywhere, some by a sale and the others by withdrawal, and waits for every receipt.
    pub async fn erase(&mut self, residents: &[Resident], kills: bool) -> anyhow::Result<()> {
        let (sold, withdrawing) = residents.split_at(residents.len() / 3);
        let sale = if sold.is_empty() { None } else { Some(self.sell(sold, kills).await?) };
        let mut erasures = Vec::new();
        for resident in withdrawing {
            let kill = if kills { self.whim(WITHDRAWALS_PER_KILL) } else { None };
            erasures.push(self.withdraw(resident, kill).await?);
        }
        let paths = sale.iter().map(|sale| format!("/v1/property-sales/{sale}"));
        for path in paths.chain(erasures.iter().map(|erasure| format!("/v1/erasures/{erasure}"))) {
            let view = poll(PATIENCE, "every receipt has come", async || {
                let view = self.customer.get(&path).await?.expect(200)?.body;
                Ok((view["state"] == "complete").then_some(view))
            })
            .await?;
            let receipts = view["receipts"].as_array();
            ensure!(receipts.is_none_or(|all| all.iter().all(|one| one["state"] == "received")), "{view}");
        }
        Ok(())
    }

    /// One call for several. It is not repeated, so the cloud lives.
    async fn sell(&mut self, residents: &[Resident], kills: bool) -> anyhow::Result<String> {
        let subjects: Vec<&str> = residents.iter().map(|resident| resident.subject.as_str()).collect();
        let body = json!({ "plates": [], "subjects": subjects });
        let path = format!("/v1/sites/{SITE}/property-sales");
        let customer = self.customer.clone();
        let sold = self.amid(kills.then_some(Side::Controller), customer.post(&path, &body)).await?;
        sold?.expect(201)?.text("/sale_id")
    }

    /// A call that nobody may have heard is repeated: it shows the same erasure.
    async fn withdraw(&mut self, resident: &Resident, kill: Option<Side>) -> anyhow::Result<String> {
        let path = format!("/v1/sites/{SITE}/consents/{}/withdrawal", resident.consent);
        let customer = self.customer.clone();
        let sent = self.amid(kill, customer.post(&path, &json!({}))).await?;
        match sent {
            Ok(reply) if reply.status == 202 => reply.text("/erasure_id"),
            Ok(reply) if kill.is_none() => reply.expect(202)?.text("/erasure_id"),
            Err(error) if kill.is_none() => Err(error),
            _ => self.customer.post(&path, &json!({})).await?.expect(202)?.text("/erasure_id"),
        }
    }

    /// Does something, and kills a side at some moment of it. That side is running again when this returns.
    async fn amid<T>(
        &mut self,
        kill: Option<Side>,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<anyhow::Result<T>> {
        let Some(side) = kill else { return Ok(work.await) };
        let after = Duration::from_millis(self.rng.random_range(0..KILLED_WITHIN_MS));
        let killing = async {
            sleep(after).await;
            match side {
                Side::Cloud => self.site.cloud().kill().await,
                Side::Controller => self.site.controller()?.kill().await,
            }
        };
        let (done, killed) = tokio::join!(work, killing);
        killed?;
        self.kills += 1;
        match side {
            Side::Cloud => self.restart_cloud().await?,
            Side::Controller => self.site.start_controller()?,
        }
        Ok(done)
    }

    /// Starts the cloud again. Its address is another, so tokens are asked for anew.
    pub async fn restart_cloud(&mut self) -> anyhow::Result<()> {
        self.site.restart_cloud().await?;
        (self.customer, self.operator) = (self.site.customer().await?, self.site.operator().await?);
        self.note_tokens();
        Ok(())
    }

    /// Waits until the controller holds what the cloud holds.
    pub async fn in_sync(&self) -> anyhow::Result<()> {
        self.site.in_sync(&self.operator, PATIENCE).await.map(drop)
    }

    fn note_tokens(&mut self) {
        self.tokens
            .extend([&self.customer, &self.operator].into_iter().filter_map(|one| one.bearer()).map(str::to_owned));
    }

    /// Everything that anybody has logged in with, each with its name. What tells a token from others is its last part.
    pub async fn logins(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let form = [("grant_type", "password"), ("username", LOGIN), ("password", PASSWORD)];
        let login = self.customer.token(&form).await?.expect(200)?;
        let used: Vec<String> = self.tokens.iter().cloned().chain([login.text("/access_token")?]).collect();
        let last = |token: String| token.rsplit('.').next().unwrap_or_default().to_owned();
        let mut all: Vec<_> = used.into_iter().map(|token| ("bearer token", last(token))).collect();
        all.push(("refresh token", login.text("/refresh_token")?));
        all.push(("password", PASSWORD.to_owned()));
        Ok(all)
    }

    /// The process ids of both programs.
    pub fn pids(&mut self) -> anyhow::Result<[(&'static str, u32); 2]> {
        let cloud = self.site.cloud().pid().context("the cloud is not running")?;
        let controller = self.site.controller()?.pid().context("the controller is not running")?;
        Ok([("cardea-cloud", cloud), ("cardead", controller)])
    }

    /// The ends of both programs' logs.
    pub fn tails(&mut self) -> String {
        let cloud = self.site.cloud().tail();
        let controller = self.site.controller().map(|controller| controller.tail()).unwrap_or_default();
        format!("the cloud's log ends with:\n{cloud}\nand the controller's with:\n{controller}")
    }

    /// A photo of somebody who is like nobody else, in every byte of the template: the photograph in another light, with the
    /// noise of a camera.
    fn photo(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut picture = self.photograph.clone();
        let light: i16 = self.rng.random_range(-25..=25);
        for pixel in picture.pixels_mut() {
            let noise: i16 = self.rng.random_range(-3..=3);
            for channel in &mut pixel.0 {
                *channel = (i16::from(*channel) + light + noise).clamp(0, 255) as u8;
            }
        }
        let mut bytes = Vec::new();
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90))?;
        Ok(bytes)
    }
}
