//! Remote commands: executed at most once, by the boot they were meant for, while they are fresh.
//!
//! A late or repeated pulse opens a gate for nobody, or for a thief: so a command names the controller's present boot,
//! lives thirty seconds at most, and its id is recorded durably before it is judged. The signature and the addressee are
//! checked where the message is opened, before this.

use crate::id::{BootId, CommandId};
use crate::reason::Reason;
use crate::time::Timestamp;

/// The longest life of a command, in milliseconds.
pub const MAX_LIFETIME_MS: i64 = 30_000;

/// What a command says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCommand {
    /// Unique for ever.
    pub id: CommandId,
    /// The boot it is for, as the controller announced it on connecting.
    pub boot_id: BootId,
    /// When it becomes void, wall clock. At that instant it is void.
    pub expires_at: Timestamp,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// For another boot of this controller.
    #[error("the command is for another boot of this controller: send a new one")]
    OtherBoot,
    /// Its id is known.
    #[error("the command was seen before: send a new one with an id of its own")]
    Replayed,
    /// Too late.
    #[error("the command has expired: send a new one, or set the controller's clock")]
    Expired,
    /// Its expiry lies further ahead than [`MAX_LIFETIME_MS`].
    #[error("the command expires more than 30 s ahead: shorten it, or set the controller's clock")]
    ExpiryTooFar,
}

impl CommandRefusal {
    /// The reason code of the decision.
    pub const fn reason(self) -> Reason {
        match self {
            Self::OtherBoot => Reason::CommandOtherBoot,
            Self::Replayed => Reason::CommandReplayed,
            Self::Expired => Reason::CommandExpired,
            Self::ExpiryTooFar => Reason::CommandExpiryTooFar,
        }
    }
}

/// Whether `command` may be carried out at `now` by the boot `boot_id`.
///
/// `first_seen` is the answer of the durable ledger of command ids (in SQL: whether the insert added a row). It must have
/// been recorded *before* this is asked, and must outlive a restart for as long as a command can live.
pub fn check(
    command: &RemoteCommand,
    first_seen: bool,
    boot_id: &BootId,
    now: Timestamp,
) -> Result<(), CommandRefusal> {
    if !first_seen {
        return Err(CommandRefusal::Replayed);
    }
    if command.boot_id != *boot_id {
        return Err(CommandRefusal::OtherBoot);
    }
    if command.expires_at <= now {
        return Err(CommandRefusal::Expired);
    }
    if command.expires_at.since_ms(now) > MAX_LIFETIME_MS {
        return Err(CommandRefusal::ExpiryTooFar);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn judge(expires_in_ms: i64, first_seen: bool, boot: &str) -> Result<(), CommandRefusal> {
        let command = RemoteCommand { id: "c1".into(), boot_id: boot.into(), expires_at: NOW.plus_ms(expires_in_ms) };
        check(&command, first_seen, &"boot-1".into(), NOW)
    }

    #[test]
    fn a_fresh_command_for_this_boot_passes_once() {
        assert_eq!(judge(1, true, "boot-1"), Ok(()));
        assert_eq!(judge(30_000, true, "boot-1"), Ok(()));
        assert_eq!(judge(30_000, false, "boot-1"), Err(CommandRefusal::Replayed));
    }

    #[test]
    fn late_long_lived_and_misaddressed_commands_do_not() {
        assert_eq!(judge(0, true, "boot-1"), Err(CommandRefusal::Expired));
        assert_eq!(judge(-1, true, "boot-1"), Err(CommandRefusal::Expired));
        assert_eq!(judge(30_001, true, "boot-1"), Err(CommandRefusal::ExpiryTooFar));
        assert_eq!(judge(i64::MAX, true, "boot-1"), Err(CommandRefusal::ExpiryTooFar));
        assert_eq!(judge(1_000, true, "boot-0"), Err(CommandRefusal::OtherBoot));
    }
}
