//! Retention: what is older than its rule is deleted once a day.
//!
//! **To add a kind of data:** its rule in [`rules`], if none fits; a [`Kind`] with its statement in `storage/retention.rs`; the
//! rule's words in the data inventory. The tests hold each kind to its limit, a millisecond before and after.

pub mod rules;

use std::time::Duration;

use cardea_access::time::Timestamp;

pub use rules::Retention;

use crate::audit::{self, AuditError};
use crate::state::{App, Shared};
use crate::storage::audit::{Ending, NewAction};
use crate::storage::changes::LOG_KEPT_MS;
use crate::storage::idempotent_answers::KEPT_MS;

/// What the audit calls a run.
pub const ACTION: &str = "apply_retention";
/// How often the job looks whether a day has passed.
const LOOK: Duration = Duration::from_mins(10);
const DAY_MS: i64 = 86_400_000;

/// A kind of data that ends by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Events of controllers.
    Events,
    /// Orders to open.
    Commands,
    /// Steps of the sites' change logs: whoever has not followed for so long gets a snapshot.
    Changes,
    /// What calls with an `Idempotency-Key` were answered.
    Answers,
    /// Consents that have ended.
    Consents,
    /// Erasures that are complete, with their receipts.
    Erasures,
    /// Plates whose period is over: their controllers are told.
    Plates,
    /// Cards whose period is over: their controllers are told.
    Cards,
    /// Passes of guests whose time is over.
    GuestPasses,
    /// Logins that have expired, with their tokens and codes.
    Logins,
    /// Codes that nobody has used.
    Codes,
    /// Single access tokens that were revoked and have expired.
    RevokedTokens,
}

impl Kind {
    /// All of them; the audit ends by itself ([`audit::cut_before`]).
    pub const ALL: [Self; 12] = [
        Self::Events,
        Self::Commands,
        Self::Changes,
        Self::Answers,
        Self::Consents,
        Self::Erasures,
        Self::Plates,
        Self::Cards,
        Self::GuestPasses,
        Self::Logins,
        Self::Codes,
        Self::RevokedTokens,
    ];

    /// As the audit counts it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Commands => "commands",
            Self::Changes => "changes",
            Self::Answers => "answers",
            Self::Consents => "consents",
            Self::Erasures => "erasures",
            Self::Plates => "plates",
            Self::Cards => "cards",
            Self::GuestPasses => "guest-passes",
            Self::Logins => "logins",
            Self::Codes => "codes",
            Self::RevokedTokens => "revoked-tokens",
        }
    }

    /// How long it is kept, milliseconds.
    pub fn kept_ms(self, rules: &Retention) -> i64 {
        let days = match self {
            Self::Events => rules.events_days,
            Self::Commands => rules.commands_days,
            Self::Changes => return LOG_KEPT_MS,
            Self::Answers => return KEPT_MS,
            Self::Consents | Self::Erasures => rules.evidence_days,
            Self::Plates | Self::Cards | Self::GuestPasses => rules.expired_days,
            Self::Logins | Self::Codes | Self::RevokedTokens => rules.logins_days,
        };
        i64::from(days) * DAY_MS
    }
}

/// Deletes what is older than its rule, in small steps between which others write, then scrubs. What was deleted is counted
/// in the audit, and answered in the same words.
pub async fn apply(app: &App) -> Result<String, AuditError> {
    let (now, rules) = (app.now(), &app.config.retention);
    let action = NewAction { customer: None, site: None, principal_id: None, action: ACTION, target: None };
    let begun = app.storage.audit_begin(action, now).await?;
    let done = delete(app, rules, now).await;
    let outcome = if done.is_ok() { "done" } else { "internal" };
    let ending = Ending { outcome, target: done.as_ref().ok().cloned(), ..Ending::default() };
    app.storage.audit_end(begun, ending, app.now()).await?;
    done
}

async fn delete(app: &App, rules: &Retention, now: Timestamp) -> Result<String, AuditError> {
    let mut counts = Vec::new();
    for kind in Kind::ALL {
        let before = now.plus_ms(-kind.kept_ms(rules));
        let mut deleted = 0;
        loop {
            match app.storage.delete_some(kind, before, now).await? {
                0 => break,
                some => deleted += some,
            }
        }
        counts.push((kind.name(), deleted as u64));
    }
    let before = now.plus_ms(-i64::from(rules.audit_days) * DAY_MS);
    counts.push(("audit", audit::cut_before(&app.storage, &app.signing.signer()?, before, now).await?));
    let counts: Vec<String> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name}={count}")).collect();
    if !counts.is_empty() {
        app.storage.scrub().await?;
    }
    Ok(if counts.is_empty() { "nothing".to_owned() } else { counts.join(" ") })
}

/// Applies the rules once a day by the cloud's clock, for as long as the cloud runs.
pub async fn run(app: Shared) {
    loop {
        match due(&app).await {
            Ok(false) => {}
            Ok(true) => match apply(&app).await {
                Ok(counts) => tracing::info!(counts, "retention was applied"),
                Err(error) => tracing::error!(%error, "retention could not be applied; it is tried again"),
            },
            Err(error) => tracing::error!(%error, "whether retention is due could not be looked up"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the last run, of whichever process, that came to its end is a day ago.
async fn due(app: &App) -> Result<bool, AuditError> {
    let last = app.storage.last_retention().await?;
    Ok(last.is_none_or(|last| app.now().since_ms(last) >= DAY_MS))
}

#[cfg(test)]
mod tests;
