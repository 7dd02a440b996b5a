//! Chapter 1: registration and claim.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use super::{PASSWORD, Tale};
use crate::site::{CONTROLLER, SITE};

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    tale.claim_code = tale.site.register(PASSWORD).await?;
    tale.telling.step(format!("operator registers {SITE}, its customer and {CONTROLLER}"), "a one-time claim code");

    let start = Instant::now();
    let output = tale.site.claim(&tale.claim_code).await?;
    ensure!(output.status.success(), "cardead claim failed: {}", String::from_utf8_lossy(&output.stderr));
    tale.telling.timed(
        "installer claims the controller (EST, RFC 7030)",
        "certificate, CA, broker, key",
        start.elapsed(),
    );

    let start = Instant::now();
    tale.site.start_controller()?;
    if let Err(error) = tale.site.in_sync(&tale.operator, Duration::from_mins(1)).await {
        anyhow::bail!("{error:#}; the controller's log:\n{}", tale.site.controller()?.tail());
    }
    tale.telling.timed("controller starts and connects", "online, in sync", start.elapsed());

    let again = tale.site.enrolment_with(&tale.claim_code).await?;
    ensure!(again == 401, "a used claim code was answered with HTTP {again}");
    tale.telling.step("the same claim code again", "refused, HTTP 401");
    Ok(())
}
