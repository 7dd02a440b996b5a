//! Is the cloud's API reachable, and do both sides trust each other?

use super::{Context, Finding, tls};

const NAME: &str = "cloud";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let Some(identity) = context.claimed() else { return Vec::new() };
    match identity.tls() {
        Ok(config) => vec![tls::check(NAME, &identity.cloud.api_url, 443, config).await],
        Err(error) => vec![Finding::failure(NAME, super::chain(&error), "claim this controller anew")],
    }
}
