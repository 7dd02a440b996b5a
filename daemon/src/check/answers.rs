//! Whether a device answers: what the running program says of it, or what it says itself.

use std::time::Duration;

use cardea_hardware::Health;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Context, Finding, Verdict};

/// What a check says of its kind of device.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// The check's name.
    pub(super) check: &'static str,
    /// What to do about one that does not answer.
    pub(super) todo: &'static str,
    /// What to do about one of which the running program has heard nothing yet.
    pub(super) wait: &'static str,
    /// How long one may take to answer.
    pub(super) patience: Duration,
    /// How bad it is that it has not answered by then.
    pub(super) silence: Verdict,
}

impl Kind {
    /// What the running program says of it; `None` where none runs.
    pub(super) fn told(&self, context: &Context, name: &str) -> Option<Finding> {
        let status = context.running.as_ref()?;
        Some(self.answer(name, status.devices.get(name).copied().flatten()))
    }

    fn answer(&self, name: &str, answers: Option<bool>) -> Finding {
        match answers {
            Some(true) => Finding::ok(self.check, format!("{name} answers, says the running cardead")),
            Some(false) => {
                Finding::failure(self.check, format!("{name} does not answer, says the running cardead"), self.todo)
            }
            None => Finding::warning(self.check, format!("{name} has not been reached yet"), self.wait),
        }
    }

    /// What it says itself.
    pub(super) async fn asked(&self, name: &str, mut health: watch::Receiver<Health>) -> Finding {
        match timeout(self.patience, health.wait_for(|health| *health != Health::Starting))
            .await
            .ok()
            .and_then(Result::ok)
        {
            Some(health) => match &*health {
                Health::Down { reason } => {
                    Finding::failure(self.check, format!("{name} does not answer: {reason}"), self.todo)
                }
                Health::Up | Health::Starting => Finding::ok(self.check, format!("{name} answers")),
            },
            None => {
                let found = format!("{name} did not answer within {} s", self.patience.as_secs());
                Finding { check: self.check, verdict: self.silence, found, todo: Some(self.todo.to_owned()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind =
        Kind { check: "reader", todo: "look at it", wait: "wait", patience: Duration::ZERO, silence: Verdict::Warning };

    #[tokio::test]
    async fn each_answer_has_its_verdict_and_what_to_do() {
        let verdict = |finding: Finding| (finding.verdict, finding.todo.is_some());
        for (answers, expected) in [
            (Some(true), (Verdict::Ok, false)),
            (Some(false), (Verdict::Failure, true)),
            (None, (Verdict::Warning, true)),
        ] {
            assert_eq!(verdict(KIND.answer("door-reader", answers)), expected);
        }
        for (health, expected) in [
            (Health::Up, (Verdict::Ok, false)),
            (Health::Down { reason: "no such file".into() }, (Verdict::Failure, true)),
            (Health::Starting, (Verdict::Warning, true)),
        ] {
            let (_sender, health) = watch::channel(health);
            assert_eq!(verdict(KIND.asked("lane-1", health).await), expected);
        }
    }
}
