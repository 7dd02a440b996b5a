//! Chapter 8: the flat is sold.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tokio::time::Instant;

use super::car::{PATIENCE, SCENES, drive_up};
use super::{CO_RESIDENT, OTHER_PHOTO, PLATE, Tale};
use crate::picture::{self, View};
use crate::site::{SITE, poll};

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    tale.consent_of(CO_RESIDENT).await?;
    let photo = picture::photograph(OTHER_PHOTO, View::PLAIN)?;
    let faces = format!("/v1/sites/{SITE}/subjects/{CO_RESIDENT}/faces");
    tale.customer.post_bytes(&faces, "image/jpeg", photo.clone()).await?.expect(201)?;
    tale.controller_follows().await?;
    tale.resident = Some(tale.onlooker.enrol(&photo)?);
    tale.walks_up(OTHER_PHOTO, View::BRIGHT, "somebody who lives there too walks up").await?;

    let start = Instant::now();
    let body = json!({ "plates": [PLATE], "subjects": [CO_RESIDENT] });
    let sold = tale.customer.post(&format!("/v1/sites/{SITE}/property-sales"), &body).await?.expect(201)?;
    let sale = sold.text("/sale_id")?;
    ensure!(sold.body["plates"] == 1 && sold.body["subjects"] == 1, "the sale took {}", sold.body);
    tale.telling.timed("the customer reports the sale", format!("one revision, {}", sold.body["revision"]), sold.took);
    let customer = tale.customer.clone();
    let path = format!("/v1/property-sales/{sale}");
    poll(Duration::from_secs(20), "the sale is complete", async || {
        let view = customer.get(&path).await?.expect(200)?.body;
        Ok((view["state"] == "complete").then_some(()))
    })
    .await?;
    tale.telling.timed(
        "one state shows it",
        "complete: plate and biometrics blocked on the controller",
        start.elapsed(),
    );
    tale.telling.latency("sale: API call to complete on the controller", start.elapsed().as_secs_f64() * 1e3);

    let before = tale.site.house.last_edge().await?;
    drive_up(tale, "turned-away", SCENES[0]).await?;
    let event = tale.decision("plate", false).await?;
    tale.site.house.scene_over(PATIENCE).await?;
    ensure!(tale.site.house.pulses("open", before).await? == 0, "the barrier was opened for the former owner");
    tale.telling.step("the former owner's car drives up", format!("barrier stays down: {}", event["reason"]));
    tale.resident = None;
    tale.stranger(OTHER_PHOTO, "the former owner walks up").await?;

    let again =
        tale.customer.post(&format!("/v1/sites/{SITE}/plates"), &json!({ "plate": PLATE })).await?.expect(409)?;
    tale.telling.step("a late registration of the plate", format!("refused: {}", again.problem()));
    Ok(())
}
