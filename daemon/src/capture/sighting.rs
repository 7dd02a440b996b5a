//! What the cameras tell the access task.

use cardea_access::credential::{Method, PictureCheck};
use cardea_access::time::Now;
use cardea_models::{Template, TrackReading};
use cardea_protocol::event::Timings;
use zeroize::Zeroize as _;

/// Which track at which access point. Track numbers are unique per access point and method for the run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TrackKey {
    /// Index of the access point in the configuration.
    pub(crate) point: usize,
    /// Plate or face.
    pub(crate) method: Method,
    /// The track's number.
    pub(crate) track: u64,
}

/// The evidence of a track after one more frame.
#[derive(Debug)]
pub(crate) struct Sighting {
    /// Which track.
    pub(crate) key: TrackKey,
    /// What it has shown so far.
    pub(crate) seen: Seen,
    /// From how many frames.
    pub(crate) frames: u32,
    /// When the last of them was captured.
    pub(crate) at: Now,
    /// Where the time went, up to here.
    pub(crate) timings: Timings,
}

/// What was seen. Nothing of it prints: a plate's text and a face are personal data.
pub(crate) enum Seen {
    /// The fused readings of a plate.
    Plate(TrackReading),
    /// A face.
    Face {
        /// The fused probe; overwritten when dropped.
        probe: Template,
        /// Mean probability of being live, and over how many frames; `None` if none was judged.
        live: Option<(f32, u32)>,
    },
    /// A plate that another camera says it read.
    Pushed(Pushed),
}

/// What a camera that reads plates itself said, and what its picture shows.
#[derive(Clone)]
pub(crate) struct Pushed {
    /// The plate in its canonical form.
    pub(crate) text: String,
    /// What the picture has to say of it.
    pub(crate) picture: PictureCheck,
    /// How much likelier the picture is under the text than under any other, in nats; `None` if nothing was read.
    pub(crate) score: Option<f64>,
    /// Whether the plate in the picture is in the zone.
    pub(crate) in_zone: bool,
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plate(_) => "Plate(…)",
            Self::Face { .. } => "Face(…)",
            Self::Pushed(_) => "Pushed(…)",
        })
    }
}

/// From a camera's task to the access task.
#[derive(Debug)]
pub(crate) enum Capture {
    /// A track gained evidence.
    Seen(Sighting),
    /// A track is lost: what is known of it can be forgotten.
    Lost(TrackKey),
    /// Somebody who is not the camera posted events for an access point, so and so often by now.
    Unauthorised {
        /// Its index.
        point: usize,
        /// How often since the start.
        count: u64,
    },
}
