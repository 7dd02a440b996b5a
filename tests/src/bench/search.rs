//! The 1:N search beside faiss' flat index of 8-bit codes, at the size of a house, a town and a city.
//!
//! Probes are of strangers, the dearest case: nobody stands out, so that most rows are near the floor. Before it is timed,
//! the search's answers for a few strangers and acquaintances are held against comparing everybody in `f32`. The floor of
//! memory is one pass over as many bytes as there are 8-bit codes; the search itself reads only half of them for most rows.

use cardea_models::{Gallery, Template};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::peer::Peer;
use super::{Summary, cpu_ms, median};

const DIMENSIONS: usize = 512;
/// Rows, and how often they are searched.
const SIZES: [(usize, usize); 3] = [(10_000, 201), (100_000, 51), (1_000_000, 21)];
/// How much of an acquaintance's probe is noise, as seen in another light.
const NOISE: f32 = 0.8;

/// Measures all sizes, one after the other: the largest takes 2.5 GB here and 0.5 GB at the peer.
pub fn run(summary: &mut Summary) -> anyhow::Result<()> {
    for (rows, runs) in SIZES {
        measure(rows, runs, summary)?;
    }
    Ok(())
}

fn measure(rows: usize, runs: usize, summary: &mut Summary) -> anyhow::Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let known = values(&mut rng);
    let noisy: Vec<f32> = known.iter().zip(values(&mut rng)).map(|(a, b)| a + NOISE * b).collect();
    let mut checks = [Check::new(template(&noisy)?), Check::new(stranger(&mut rng)?), Check::new(stranger(&mut rng)?)];
    let mut gallery = Gallery::new("bench");
    for id in 0..rows {
        let reference = if id == rows / 3 { template(&known)? } else { stranger(&mut rng)? };
        checks.iter_mut().try_for_each(|check| check.compare(id, &reference))?;
        gallery.add(id, &reference)?;
    }
    checks.iter().try_for_each(|check| check.hold(&gallery))?;

    let bytes: Vec<u64> = (0..(rows * DIMENSIONS / 8) as u64).collect();
    let mut peer = Peer::start("search.py", &[rows.to_string(), DIMENSIONS.to_string()])?;
    peer.hear()?;
    let (mut ours, mut theirs, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let probe = stranger(&mut rng)?;
        let start = cpu_ms();
        std::hint::black_box(gallery.search(&probe)?);
        ours.push(cpu_ms() - start);
        theirs.push(peer.ask_ms()?);
        let start = cpu_ms();
        std::hint::black_box(read(std::hint::black_box(&bytes)));
        floor.push(cpu_ms() - start);
    }
    let name = format!("face: 1:N search, {rows:>7} x {DIMENSIONS}");
    let ours = median(ours);
    summary.beside(&name, ours, "ms", "faiss, 8-bit flat index, one thread", median(theirs));
    summary.beside(&format!("{name}, to memory"), ours, "ms", "one pass over all 8-bit codes", median(floor));
    Ok(())
}

/// What the exact search must answer.
struct Check {
    probe: Template,
    best: (usize, f32),
    runner_up: f32,
}

impl Check {
    fn new(probe: Template) -> Self {
        Self { probe, best: (0, f32::NEG_INFINITY), runner_up: f32::NEG_INFINITY }
    }

    fn compare(&mut self, id: usize, reference: &Template) -> anyhow::Result<()> {
        let score = reference.compare(&self.probe)?;
        if score > self.best.1 {
            self.runner_up = self.best.1;
            self.best = (id, score);
        } else {
            self.runner_up = self.runner_up.max(score);
        }
        Ok(())
    }

    fn hold(&self, gallery: &Gallery<usize>) -> anyhow::Result<()> {
        let found = gallery.search(&self.probe)?.map(|m| ((m.id, m.score_cosine), m.runner_up_cosine));
        anyhow::ensure!(
            found == Some((self.best, Some(self.runner_up))),
            "the search found {found:?} and not {:?} with runner-up {}",
            self.best,
            self.runner_up
        );
        Ok(())
    }
}

fn stranger(rng: &mut StdRng) -> anyhow::Result<Template> {
    template(&values(rng))
}

/// About normally distributed, with mean 0 and deviation 1.
fn values(rng: &mut StdRng) -> Vec<f32> {
    (0..DIMENSIONS)
        .map(|_| {
            let sum: u32 = rng.random::<[u16; 4]>().into_iter().map(u32::from).sum();
            (sum as f32 / 32_768.0 - 4.0) * 3.0_f32.sqrt() / 2.0
        })
        .collect()
}

/// The direction of `values` as a template, through the stable encoding that storage uses.
fn template(values: &[f32]) -> anyhow::Result<Template> {
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    let mut bytes = b"CFT1\x05bench".to_vec();
    bytes.extend_from_slice(&(values.len() as u16).to_le_bytes());
    bytes.extend(values.iter().flat_map(|value| (value / length).to_le_bytes()));
    Ok(Template::from_bytes(&bytes)?)
}

/// Reads everything once, as fast as memory gives it.
fn read(words: &[u64]) -> u64 {
    let mut lanes = [0_u64; 16];
    let (chunks, _) = words.as_chunks::<16>();
    for chunk in chunks {
        for (sum, word) in lanes.iter_mut().zip(chunk) {
            *sum ^= word;
        }
    }
    lanes.iter().fold(0, |sum, lane| sum ^ lane)
}
