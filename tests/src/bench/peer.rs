//! Peers in Python: programs beside this file that answer a line for each line they are given.
//!
//! So that both sides are measured in turn, under the same conditions, and starting Python is not part of any figure. They
//! run on what `setup/bench.py` installed into `.tools/python-bench`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

/// A running peer; ended when dropped.
pub struct Peer {
    name: &'static str,
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the script called `name` with one thread for whatever it loads.
    pub fn start(name: &'static str, arguments: &[String]) -> anyhow::Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = here.join("../.tools/python-bench");
        anyhow::ensure!(packages.is_dir(), "{} is missing: run setup/bench.py first", packages.display());
        let threads = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"].map(|name| (name, "1"));
        let mut process = Command::new("python3")
            .arg(here.join("src/bench/peer").join(name))
            .args(arguments)
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting python3")?;
        let questions = process.stdin.take().context("the peer has no input")?;
        let answers = BufReader::new(process.stdout.take().context("the peer has no output")?);
        Ok(Self { name, process, questions, answers })
    }

    /// The next answer without a question.
    pub fn hear(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{} gave no answer; its message is above", self.name))
    }

    /// One more repetition.
    pub fn ask(&mut self) -> anyhow::Result<Value> {
        self.questions.write_all(b"\n").and_then(|()| self.questions.flush())?;
        self.hear()
    }

    /// The same, and only how long it took, in milliseconds of its thread's processor time.
    pub fn ask_ms(&mut self) -> anyhow::Result<f64> {
        self.ask()?["cpu_ms"].as_f64().with_context(|| format!("{} did not say how long it took", self.name))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // both fail only for a process that has ended by itself
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
