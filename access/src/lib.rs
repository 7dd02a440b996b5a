//! The rules of access, pure: who may pass, when, and why not.
//!
//! Nothing here reads a clock, a file or a socket. The shell (the controller's daemon, the cloud, a simulator) turns
//! what it sees into values, hands them in together with the time, and carries out what comes back. "Power lost while
//! the boom is moving" is therefore a test of a microsecond.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@decide`] | the one function that admits or refuses: plate, face, card, exit button, remote open |
//! | [`reason`] | the stable reason codes of decisions |
//! | [`request`], [`credential`] | what is asked, and on what evidence |
//! | [`rules`], [`schedule`] | what is known: grants, blocks, limits, freshness, modes; hours, time zones, holidays |
//! | [`staleness`] | how long each kind of evidence still counts without a word from the cloud |
//! | [`passback`], [`factors`] | who is inside which area; which first factor waits for a second one |
//! | [`posture`] | lockdown and free access, by order, input or hours |
//! | [`command`] | the check of remote commands: this boot, not expired, once |
//! | [`barrier`], [`door`], [`machine`] | the machines at the access point, and the words they speak |
//! | [`plate`], [`grammar`] | registration plates in one canonical form |
//! | [`card`] | card numbers in one canonical form |
//! | [`zone`] | the part of the picture where a track counts |
//! | [`time`], [`id`] | time as numbers, identifiers as types |
//!
//! Vocabulary follows EN 60839-11-1 (access point, credential, access decision) and the ONVIF Access Rules and Door
//! Control services (access granted or denied with a reason; door mode, forced and held-open alarms).
//!
//! **To extend:** a new credential is a variant of [`credential::Evidence`], its rules in [`mod@decide`], its reasons one
//! line each in [`reason`]; the property tests in `tests/` then hold it to the same promises.

pub mod barrier;
pub mod card;
pub mod command;
pub mod credential;
pub mod decide;
pub mod door;
pub mod factors;
pub mod grammar;
pub mod id;
pub mod machine;
pub mod passback;
pub mod plate;
pub mod posture;
pub mod reason;
pub mod request;
pub mod rules;
pub mod schedule;
pub mod staleness;
pub mod time;
pub mod zone;

pub use card::CardNumber;
pub use credential::Evidence;
pub use decide::{Decision, Outcome, decide};
pub use plate::Plate;
pub use reason::Reason;
pub use request::{AccessRequest, Direction};
pub use rules::RuleSet;
pub use time::{Monotonic, Now, Timestamp};
