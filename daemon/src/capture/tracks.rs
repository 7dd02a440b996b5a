//! The evidence of tracks: readings of a plate, probes of a face, gathered while it is certainly the same one.

use cardea_models::plate::PlateReading;
use cardea_models::{Template, TrackReading};

/// Readings or probes remembered per track, at least; those from the best pictures.
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
    /// The probes of the best pictures so far, and how good those are.
    probes: Vec<(Template, f32)>,
    window: usize,
    /// The least cosine with the track so far: the embedder's own threshold for one person.
    same_cosine: f32,
    frames: u32,
    /// Sum of the probabilities of being live, and of how many frames.
    live: (f32, u32),
}

impl FaceTrack {
    /// No probes; remembers at least `frames`.
    pub(crate) fn new(frames: u32, same_cosine: f32) -> Self {
        let window = WINDOW.max(frames as usize);
        Self { probes: Vec::with_capacity(window + 1), window, same_cosine, frames: 0, live: (0.0, 0) }
    }

    /// Whether `probe` can be of the same person: otherwise one person's evidence would count for another who steps in.
    pub(crate) fn may_be(&self, probe: &Template) -> bool {
        self.fused().is_none_or(|fused| fused.compare(probe).is_ok_and(|cosine| cosine >= self.same_cosine))
    }

    /// Adds a probe from a picture of some `quality` and, if it was judged, the probability of being live; answers the best
    /// probes fused, and how many frames were seen.
    pub(crate) fn add(&mut self, probe: Template, quality: f32, live: Option<f32>) -> Option<(Template, u32)> {
        self.probes.push((probe, quality));
        if self.probes.len() > self.window {
            // of equals, the oldest
            let worst = (0..self.probes.len()).min_by(|a, b| self.probes[*a].1.total_cmp(&self.probes[*b].1));
            self.probes.remove(worst.unwrap_or(0));
        }
        if let Some(live) = live {
            self.live = (self.live.0 + live, self.live.1 + 1);
        }
        self.frames += 1;
        self.fused().map(|fused| (fused, self.frames))
    }

    /// Mean probability of being live, and over how many frames; `None` if none was judged.
    pub(crate) fn live(&self) -> Option<(f32, u32)> {
        let (sum, frames) = self.live;
        (frames > 0).then(|| (sum / frames as f32, frames))
    }

    fn fused(&self) -> Option<Template> {
        let probes: Vec<Template> = self.probes.iter().map(|(probe, _)| probe.clone()).collect();
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
        track.add(probe(1.0), 1.0, None);
        assert!(track.may_be(&probe(0.9)));
        assert!(!track.may_be(&probe(0.0)));
    }

    #[test]
    fn probes_are_fused_and_counted() {
        let mut track = FaceTrack::new(2, 0.5);
        track.add(probe(1.0), 0.5, None);
        let (fused, frames) = track.add(probe(0.0), 0.5, None).unwrap();
        assert_eq!(frames, 2);
        assert!((fused.compare(&probe(1.0)).unwrap() - 0.5_f32.sqrt()).abs() < 1e-3);
        for _ in 0..20 {
            track.add(probe(1.0), 0.5, None);
        }
        assert_eq!(track.probes.len(), WINDOW);
        let (fused, frames) = track.add(probe(0.0), 0.1, None).unwrap();
        assert_eq!(frames, 23);
        assert!(fused.compare(&probe(1.0)).unwrap() > 0.999, "a worse picture than those at hand does not count");
    }

    #[test]
    fn liveness_is_the_mean_over_the_frames_that_were_judged() {
        let mut track = FaceTrack::new(2, 0.5);
        track.add(probe(1.0), 0.5, None);
        assert_eq!(track.live(), None);
        track.add(probe(1.0), 0.5, Some(0.5));
        track.add(probe(1.0), 0.5, Some(1.0));
        assert_eq!(track.live(), Some((0.75, 2)));
    }
}
