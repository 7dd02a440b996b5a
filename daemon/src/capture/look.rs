//! One look at one frame: decode, see whether anything is there, run the models. Blocking; on a thread for such work.

use std::sync::PoisonError;

use cardea_hardware::{Frame as Encoded, ImageKind};
use cardea_models::pipeline::{FaceEvidence, PlateEvidence};
use cardea_models::{Area, Frame, FrameError, InferenceError};
use cardea_protocol::Monotonic;
use cardea_protocol::event::Timings;
use zeroize::Zeroizing;

use super::pace::Pace;
use super::presence::Presence;
use super::recognisers::Recognisers;

/// What one camera remembers between looks.
#[derive(Debug, Default)]
pub(crate) struct Eye {
    presence: Presence,
    pub(crate) pace: Pace,
    /// The memory of the last frame, black.
    frame: Option<Zeroizing<Frame>>,
}

/// What a look needs to know besides the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion {
    /// When it is.
    pub(crate) now: Monotonic,
    /// Since when the oldest present track is there.
    pub(crate) track_since: Option<Monotonic>,
    /// Look, whatever has changed: a vehicle stands on the loop.
    pub(crate) triggered: bool,
    /// Where in the picture to look.
    pub(crate) area: Area,
}

/// What a look has found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) plates: Vec<PlateEvidence>,
    pub(crate) faces: Vec<FaceEvidence>,
    /// Width and height of the frame in pixels.
    pub(crate) size: (f32, f32),
    /// Where the time went.
    pub(crate) timings: Timings,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The camera sent something that is no picture.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A model failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

/// Looks at `encoded`. `Ok(None)`: nothing has changed, so the models were not asked.
pub(crate) fn look(
    eye: &mut Eye,
    encoded: &Encoded,
    recognisers: &Recognisers,
    occasion: Occasion,
) -> Result<Option<Found>, LookError> {
    let mut frame = eye.frame.take().unwrap_or_else(|| Zeroizing::new(Frame::filled(1, 1, [0; 3])));
    let decoded = decode(&mut frame, encoded).map_err(LookError::from);
    let found = decoded.and_then(|()| see(eye, encoded, &frame, recognisers, occasion));
    // Frames show people: the pixels are overwritten when this returns. Their memory serves the next frame.
    frame.wipe();
    eye.frame = Some(frame);
    found
}

/// Makes `frame` show what the camera gave, in whatever format.
pub(crate) fn decode(frame: &mut Frame, encoded: &Encoded) -> Result<(), FrameError> {
    match encoded.kind {
        ImageKind::Jpeg | ImageKind::Png => frame.decode_into(&encoded.bytes),
        ImageKind::I420 { width, height } => frame.fill_from_i420(width, height, &encoded.bytes),
        ImageKind::Yuyv { width, height } => frame.fill_from_yuyv(width, height, &encoded.bytes),
    }
}

fn see(
    eye: &mut Eye,
    encoded: &Encoded,
    frame: &Frame,
    recognisers: &Recognisers,
    occasion: Occasion,
) -> Result<Option<Found>, LookError> {
    let capture_ms = Some(encoded.captured_at.elapsed().as_secs_f32() * 1_000.0);
    let changed = eye.presence.changed(frame);
    if !eye.pace.recognise(occasion.now, changed, occasion.track_since) && !occasion.triggered {
        return Ok(None);
    }
    let mut found = Found {
        plates: Vec::new(),
        faces: Vec::new(),
        size: (frame.width() as f32, frame.height() as f32),
        timings: Timings { capture_ms, ..Timings::default() },
    };
    // A pipeline is only buffers between two runs, so one that a panic left behind is as good as any.
    if let Some(plates) = &recognisers.plates {
        let seen = plates.lock().unwrap_or_else(PoisonError::into_inner).run_in(frame, occasion.area)?;
        found.spend(seen.timings.detect_ms, seen.timings.read_ms);
        found.plates = seen.plates;
    }
    if let Some(faces) = &recognisers.faces {
        let seen = faces.lock().unwrap_or_else(PoisonError::into_inner).run_in(frame, occasion.area)?;
        found.spend(seen.timings.detect_ms, seen.timings.align_ms + seen.timings.embed_ms);
        found.faces = seen.faces;
    }
    Ok(Some(found))
}

impl Found {
    fn spend(&mut self, detect_ms: f32, read_ms: f32) {
        *self.timings.detect_ms.get_or_insert(0.0) += detect_ms;
        *self.timings.read_ms.get_or_insert(0.0) += read_ms;
    }
}
