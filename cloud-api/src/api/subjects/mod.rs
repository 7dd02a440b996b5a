//! Residents under opaque tokens: consents, faces, erasures (S9 to S11, S16).

pub(super) mod act;
pub(super) mod consents;
mod duplicates;
pub(super) mod enrol_face;
pub(super) mod held;
mod photo_choice;
pub(crate) mod photos;
pub(super) mod read_erasure;
pub(super) mod record_consent;
pub(super) mod withdraw_consent;
