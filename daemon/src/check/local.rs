//! Does a `cardead` run here?

use super::{Context, Finding};

const NAME: &str = "daemon";

pub(super) fn check(context: &Context) -> Vec<Finding> {
    let socket = context.config.local.socket.display();
    vec![match &context.running {
        Some(status) => Finding::ok(NAME, format!("cardead {} runs and answers at {socket}", status.software)),
        None => Finding::warning(
            NAME,
            format!("no cardead answers at {socket}"),
            "start it when everything else is in order: systemctl enable --now cardead",
        ),
    }]
}
