//! Chapter 4: consent, photo, template; the resident and a stranger at the door.

use anyhow::ensure;
use tokio::time::Instant;

use super::{OTHER_PHOTO, RESIDENT, RESIDENT_PHOTO, Tale, consent, consent_text};
use crate::picture::{self, View};
use crate::site::{DOOR, SITE};

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    let photo = picture::photograph(RESIDENT_PHOTO, View::PLAIN)?;
    let faces = format!("/v1/sites/{SITE}/subjects/{RESIDENT}/faces");
    let refused = tale.customer.post_bytes(&faces, "image/jpeg", photo.clone()).await?.expect(403)?;
    ensure!(refused.problem() == "consent-missing", "the refusal says {}", refused.body);
    tale.telling.timed("a photo without consent", format!("refused: {}", refused.problem()), refused.took);

    let text = tale.customer.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
    tale.telling.timed("the text of the consent is recorded", "for good, under its version", text.took);
    tale.consent = tale.consent_of(RESIDENT).await?;
    let enrolled = tale.customer.post_bytes(&faces, "image/jpeg", photo.clone()).await?.expect(201)?;
    tale.telling.timed("the photo with consent", "accepted; nothing of it is kept but the template", enrolled.took);
    let start = Instant::now();
    tale.controller_follows().await?;
    tale.telling.timed("its template reaches the controller", "held there, digest equal", start.elapsed());
    let template = tale.onlooker.enrol(&photo)?;
    tale.telling.picture("the enrolment photo", tale.onlooker.faces(&photo, None)?);
    tale.resident = Some(template);

    for (when, view) in [("in the evening", View::EVENING), ("in bright light", View::BRIGHT)] {
        tale.walks_up(RESIDENT_PHOTO, view, &format!("the resident walks up {when}")).await?;
    }
    tale.stranger(OTHER_PHOTO, "a stranger walks up").await
}

impl Tale {
    /// Records a consent and returns its id.
    pub(super) async fn consent_of(&mut self, subject: &str) -> anyhow::Result<String> {
        let recorded =
            self.customer.post(&format!("/v1/sites/{SITE}/consents"), &consent(subject)).await?.expect(201)?;
        self.telling.timed("a consent is recorded", "version, time, subject token, evidence hash", recorded.took);
        recorded.text("/consent_id")
    }

    /// Somebody known comes to the door, and it opens.
    pub(super) async fn walks_up(&mut self, photo: &str, view: View, who: &str) -> anyhow::Result<()> {
        self.skip_events().await?;
        let probe = picture::photograph(photo, view)?;
        let annotated = self.onlooker.faces(&probe, self.resident.as_ref())?;
        self.telling.picture(who, annotated);
        let took = self.comes_to_the_door(&probe).await?;
        // What else looks like a face in the picture, such as a badge, is refused beside it.
        let event = self.reason("face", "face-admitted").await?;
        let score = event["score"].as_f64().unwrap_or_default();
        let needed = event["threshold"].as_f64().unwrap_or_default();
        self.telling.timed(who, format!("door opens: {} (score {score:.2}, needs {needed:.2})", event["reason"]), took);
        self.passage(who, &event, took);
        self.walked_in().await
    }

    /// Somebody who must not get in comes to the door, and it stays shut.
    pub(super) async fn stranger(&mut self, photo: &str, who: &str) -> anyhow::Result<()> {
        self.skip_events().await?;
        let before = self.site.house.last_edge().await?;
        let probe = picture::photograph(photo, View::PLAIN)?;
        let annotated = self.onlooker.faces(&probe, self.resident.as_ref())?;
        self.telling.picture(who, annotated);
        self.site.house.person(true).await?;
        self.site.house.show("face-cam", probe).await?;
        let event = self.decision("face", false).await?;
        // The refusal may be of a badge; that of the face stands once more frames were looked at than a decision needs.
        self.looks_again(DOOR).await?;
        ensure!(self.site.house.pulses("lock", before).await? == 0, "the lock was released");
        let state = self.site.house.state().await?;
        ensure!(!state.door.open, "the door is open");
        self.telling.step(who, format!("door stays shut: {}", event["reason"]));
        self.person_leaves().await
    }
}
