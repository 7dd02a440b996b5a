//! The evidence of tracks: readings of a plate, probes of a face, gathered while it is certainly the same one.

use std::collections::VecDeque;

use cardea_models::plate::PlateReading;
use cardea_models::{Template, TrackReading};

/// Readings or probes remembered per track, at least: older ones were made from further away.
const WINDOW: usize = 8;
/// ln of the least likelihood that a reading may give the text its track has shown so far. Below, another car stands there.
const SAME_PLATE_LN: f64 = -15.0;

/// A plate over several frames.
#[derive(Debug)]
pub(crate) struct PlateTrack {
    reading: TrackReading,
    frames: u32,
}

impl PlateTrack {
    /// No readings; remembers at least `frames`.
    pub(crate) fn new(frames: u32) -> Self {
        Self { reading: TrackReading::new(WINDOW.max(frames as usize)), frames: 0 }
    }

    /// Whether `reading` can be of the same plate.
    pub(crate) fn may_be(&self, reading: &PlateReading) -> bool {
        self.reading.best().is_none_or(|(text, _)| reading.log_likelihood(text) >= SAME_PLATE_LN)
    }

    /// Adds a reading; answers all of them fused, and how many frames have been read.
    pub(crate) fn add(&mut self, reading: PlateReading) -> (TrackReading, u32) {
        self.reading.add(reading);
        self.frames += 1;
        (self.reading.clone(), self.frames)
    }
}

/// A face over several frames. Probes are overwritten when they are dropped.
#[derive(Debug)]
pub(crate) struct FaceTrack {
    probes: VecDeque<Template>,
    window: usize,
    /// The least cosine with the track so far: the embedder's own threshold for one person.
    same_cosine: f32,
    frames: u32,
}

impl FaceTrack {
    /// No probes; remembers at least `frames`.
    pub(crate) fn new(frames: u32, same_cosine: f32) -> Self {
        Self { probes: VecDeque::new(), window: WINDOW.max(frames as usize), same_cosine, frames: 0 }
    }

    /// Whether `probe` can be of the same person: otherwise one person's evidence would count for another who steps in.
    pub(crate) fn may_be(&self, probe: &Template) -> bool {
        self.fused().is_none_or(|fused| fused.compare(probe).is_ok_and(|cosine| cosine >= self.same_cosine))
    }

    /// Adds a probe; answers all of them fused, and how many frames that stands for.
    pub(crate) fn add(&mut self, probe: Template) -> Option<(Template, u32)> {
        if self.probes.len() == self.window {
            self.probes.pop_front();
        }
        self.probes.push_back(probe);
        self.frames += 1;
        self.fused().map(|fused| (fused, self.frames))
    }

    fn fused(&self) -> Option<Template> {
        let probes: Vec<Template> = self.probes.iter().cloned().collect();
        Template::fuse(&probes).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe in the published encoding of templates; the last of 16 values makes it unit length.
    fn probe(first: f32) -> Template {
        let mut bytes = b"CFT1\x01e\x10\x00".to_vec();
        let mut values = [0.0_f32; 16];
        (values[0], values[15]) = (first, (1.0 - first * first).sqrt());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        Template::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn another_face_does_not_join_a_track() {
        let mut track = FaceTrack::new(2, 0.6);
        assert!(track.may_be(&probe(1.0)), "nobody was seen yet");
        track.add(probe(1.0));
        assert!(track.may_be(&probe(0.9)));
        assert!(!track.may_be(&probe(0.0)));
    }

    #[test]
    fn probes_are_fused_and_counted() {
        let mut track = FaceTrack::new(2, 0.5);
        track.add(probe(1.0));
        let (fused, frames) = track.add(probe(0.0)).unwrap();
        assert_eq!(frames, 2);
        assert!((fused.compare(&probe(1.0)).unwrap() - 0.5_f32.sqrt()).abs() < 1e-3);
        for _ in 0..20 {
            track.add(probe(1.0));
        }
        assert_eq!(track.probes.len(), WINDOW);
    }
}
