//! Does a `cardead` run here, and is it in session with the cloud?

use super::{Context, Finding};
use crate::local::{CloudStatus, Status};

const NAME: &str = "daemon";

pub(super) fn check(context: &Context) -> Vec<Finding> {
    let socket = context.config.local.socket.display();
    match &context.running {
        Some(status) => judge(status, &socket.to_string()),
        None => vec![Finding::warning(
            NAME,
            format!("no cardead answers at {socket}"),
            "start it when everything else is in order: systemctl enable --now cardead",
        )],
    }
}

fn judge(status: &Status, socket: &str) -> Vec<Finding> {
    let mut findings = vec![Finding::ok(NAME, format!("cardead {} runs and answers at {socket}", status.software))];
    if let CloudStatus::Offline { why } = &status.cloud {
        let todo = "it is tried again by itself; the checks of cloud and broker say more";
        findings.push(Finding::warning(NAME, format!("no session with the cloud: {why}"), todo));
    }
    findings
}
