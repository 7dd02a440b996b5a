//! Is the MQTT broker reachable, and do both sides trust each other?

use url::Url;

use super::{Context, Finding, tls};

const NAME: &str = "broker";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let Some(identity) = context.claimed() else { return Vec::new() };
    let todo = "claim this controller anew";
    let Ok(url) = Url::parse(&identity.cloud.configuration.broker_url) else {
        return vec![Finding::failure(NAME, "the cloud gave a broker address that is no URL", todo)];
    };
    match identity.tls() {
        Ok(config) => vec![tls::check(NAME, &url, 8883, config).await],
        Err(error) => vec![Finding::failure(NAME, super::chain(&error), todo)],
    }
}
