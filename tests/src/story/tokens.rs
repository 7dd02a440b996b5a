//! Chapter 2: a token by password, another by certificate attributes, a refresh; the equipment.

use std::time::Duration;

use anyhow::ensure;

use super::{PASSWORD, Tale};
use crate::site::back_end::Reply;
use crate::site::{BARRIER, CLIENT, DOOR, LOGIN, SITE, poll};

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    let client = tale.site.customer_client()?;
    let password = [("grant_type", "password"), ("username", LOGIN), ("password", PASSWORD)];
    let by_password = client.token(&password).await?.expect(200)?;
    tale.telling.timed("token by login and password", lifetime(&by_password)?, by_password.took);

    let certificate = [("grant_type", "client_credentials"), ("client_id", CLIENT)];
    let by_certificate = client.token(&certificate).await?.expect(200)?;
    tale.telling.timed("token by certificate attributes (RFC 8705)", lifetime(&by_certificate)?, by_certificate.took);

    let refresh_token = by_password.text("/refresh_token")?;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str())];
    let refreshed = client.token(&refresh).await?.expect(200)?;
    tale.telling.timed("refresh of the first", lifetime(&refreshed)?, refreshed.took);

    let token = refreshed.text("/access_token")?;
    tale.customer = client.with_token(&token);
    let customer = tale.customer.clone();
    let list = poll(Duration::from_secs(10), "both access points are reachable", async || {
        let list = customer.get(&format!("/v1/sites/{SITE}/equipment")).await?.expect(200)?.body;
        let reachable = |id: &str| {
            let points = list["access_points"].as_array();
            points.is_some_and(|points| points.iter().any(|p| p["access_point_id"] == id && p["reachable"] == true))
        };
        Ok((reachable(BARRIER) && reachable(DOOR)).then_some(list))
    })
    .await?;
    for point in list["access_points"].as_array().into_iter().flatten() {
        let text = |key: &str| point[key].as_str().unwrap_or("?").to_owned();
        let found = format!("{}, opens by {}, {}", text("kind"), point["credentials"], text("state"));
        tale.telling.step(format!("equipment: {}", text("access_point_id")), found);
    }

    let stranger = tale.site.client_ca.client("Elsewhere", "elsewhere")?;
    let other = crate::site::back_end::BackEnd::new(&tale.site.api, &tale.site.cloud_ca, Some(&stranger))?;
    let stolen = other.with_token(&token).get("/v1/sites").await?;
    ensure!(stolen.status == 401, "a stolen token was answered with HTTP {}", stolen.status);
    tale.telling.step("the token from another client certificate", "refused, HTTP 401");
    Ok(())
}

fn lifetime(reply: &Reply) -> anyhow::Result<String> {
    let seconds = reply.body["expires_in"].as_u64().unwrap_or(u64::MAX);
    ensure!(seconds <= 3_600, "a token of {seconds} seconds");
    Ok(format!("valid for {seconds} s, bound to the certificate"))
}
