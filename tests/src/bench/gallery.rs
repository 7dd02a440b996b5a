//! The 1:N search beside NumPy's matrix product, on the same numbers and one thread.

use std::process::Command;

use cardea_models::{Gallery, Template};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{Summary, median, time_ms};

const PEOPLE: usize = 10_000;
const DIMENSIONS: usize = 256;
const RUNS: usize = 50;

/// Measures the exact search over 10,000 templates of 256 values.
pub fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut gallery = Gallery::new("bench");
    for id in 0..PEOPLE {
        gallery.add(id, &template(&mut rng)?)?;
    }
    let probe = template(&mut rng)?;
    let ours = median(time_ms(RUNS, || Ok(gallery.search(&probe).map(|_| ())?))?);
    match numpy() {
        Ok(peer) => {
            summary.beside("face: 1:N search, 10,000 x 256", ours, "ms", "NumPy matrix product, one thread", peer);
        }
        Err(_) => summary.alone("face: 1:N search, 10,000 x 256", ours, "ms"),
    }
    Ok(())
}

/// A random unit vector, through the stable encoding that storage uses.
fn template(rng: &mut StdRng) -> anyhow::Result<Template> {
    let values: Vec<f32> = (0..DIMENSIONS).map(|_| rng.random_range(-1.0..1.0)).collect();
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    let mut bytes = b"CFT1\x05bench".to_vec();
    bytes.extend_from_slice(&(DIMENSIONS as u16).to_le_bytes());
    bytes.extend(values.iter().flat_map(|value| (value / length).to_le_bytes()));
    Ok(Template::from_bytes(&bytes)?)
}

/// Median milliseconds of NumPy, from the folder the renderer's needs were installed into.
fn numpy() -> anyhow::Result<f64> {
    let script = format!(
        "import numpy as n,time\na=n.random.rand({PEOPLE},{DIMENSIONS}).astype('f4');b=n.random.rand({DIMENSIONS}).astype('f4')\nt=[]\n\
         for _ in range({RUNS}):\n s=time.perf_counter();(a@b).argmax();t.append(time.perf_counter()-s)\nprint(sorted(t)[len(t)//2]*1e3)"
    );
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/python");
    let output = Command::new("python3")
        .args(["-c", &script])
        .env("PYTHONPATH", packages)
        .envs([("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1")])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}
