//! A camera whose stream goes on while its picture does not: the sensor or the encoder hangs, or somebody feeds it a still.
//!
//! Pictures are compared by a hash of their content. The noise of a sensor makes each one different, also of an empty yard at
//! night; only what no sensor sees is the same twice. So there is no false alarm, and not every frozen camera is found: one whose
//! encoder goes on and codes the same still at varying quality gives different pictures, and so does a clock that the camera
//! draws into its picture, which the installer's guide says.

use std::{collections::hash_map::DefaultHasher, hash::Hasher as _, time::Duration};

use tokio::time::Instant;

/// Watches one camera's pictures.
pub(crate) struct Frozen {
    /// For how long the picture may stay the same; `None` for ever.
    after: Option<Duration>,
    seen: Option<(u64, Instant)>,
}

impl Frozen {
    pub(crate) fn new(after: Option<Duration>) -> Self {
        Self { after, seen: None }
    }

    /// A picture has come. Answers for how long nothing else has, once that is too long.
    pub(crate) fn look(&mut self, picture: &[u8], at: Instant) -> Option<Duration> {
        let after = self.after?;
        let mut hasher = DefaultHasher::new();
        hasher.write(picture);
        let hash = hasher.finish();
        match self.seen {
            Some((known, since)) if known == hash => {
                let same = at.saturating_duration_since(since);
                (same >= after).then_some(same)
            }
            _ => {
                self.seen = Some((hash, at));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_picture_for_too_long_is_frozen_until_another_comes() {
        let (start, s) = (Instant::now(), Duration::from_secs);
        let mut frozen = Frozen::new(Some(s(10)));
        assert_eq!(frozen.look(b"a", start), None);
        assert_eq!(frozen.look(b"a", start + s(9)), None);
        assert_eq!(frozen.look(b"a", start + s(10)), Some(s(10)));
        assert_eq!(frozen.look(b"b", start + s(11)), None, "it moves again");
        assert_eq!(frozen.look(b"a", start + s(12)), None);
        assert_eq!(frozen.look(b"a", start + s(22)), Some(s(10)));
        let mut never = Frozen::new(None);
        assert_eq!((never.look(b"a", start), never.look(b"a", start + s(9_999))), (None, None));
    }
}
