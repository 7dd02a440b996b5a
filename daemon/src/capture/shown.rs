//! Faces that no camera saw: whoever started the gate shows them to it. A simulation judges faces by the real rules, gallery and
//! holdings, without models.

use cardea_access::credential::{Fitness, Method};
use cardea_access::time::Now;
use cardea_models::Template;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::Timings;
use tokio::sync::mpsc;

use super::{Capture, Recognisers, Seen, Sighting, TrackKey};
use crate::access::{Calibration, FaceCalibration};

/// What would be in the manifest of a pack.
#[derive(Clone, Debug)]
pub struct Told {
    /// The embedder's id: templates of this one are asked of the cloud.
    pub embedder: String,
    /// The cosine from which two faces count as one person's.
    pub score_cosine: f32,
}

impl Told {
    pub(crate) fn recognisers(self) -> Recognisers {
        let face = FaceCalibration {
            embedder: self.embedder,
            cosine: self.score_cosine,
            live: None,
            fitness: Fitness::Production,
        };
        Recognisers { calibration: Calibration { plate_log_ratio: None, face: Some(face) }, ..Recognisers::default() }
    }
}

/// The way by which faces come to the gate.
#[derive(Clone, Debug)]
pub struct Faces {
    out: mpsc::Sender<Capture>,
    clock: SharedClock,
}

impl Faces {
    pub(crate) fn new(out: mpsc::Sender<Capture>, clock: SharedClock) -> Self {
        Self { out, clock }
    }

    /// Shows a face at the access point with this number in the configuration, seen in `frames` frames until now. Each
    /// presentation has a `track` of its own. Answers whether the gate had time for it.
    pub fn show(&self, point: usize, track: u64, probe: Template, frames: u32) -> bool {
        let key = TrackKey { point, method: Method::Face, track };
        let at = Now { wall: self.clock.now(), mono: self.clock.monotonic() };
        let seen = Seen::Face { probe, live: None };
        self.out.try_send(Capture::Seen(Sighting { key, seen, frames, at, timings: Timings::default() })).is_ok()
    }

    /// The person of that presentation has gone.
    pub fn gone(&self, point: usize, track: u64) -> bool {
        self.out.try_send(Capture::Lost(TrackKey { point, method: Method::Face, track })).is_ok()
    }
}
