//! The real programs as child processes: started, awaited, stopped as systemd would, their logs kept.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep};

/// A running program. Dropping it kills it; [`Process::stop`] ends it politely.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The folder that the running program was built into, where its siblings are.
pub fn programs() -> anyhow::Result<PathBuf> {
    let mut dir = std::env::current_exe()?;
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    Ok(dir)
}

impl Process {
    /// Starts `name` from the build folder; what it says on stderr goes to `{name}.log` in `dir`.
    pub fn start(name: &str, dir: &Path, args: &[&str], piped_stdout: bool) -> anyhow::Result<Self> {
        Self::of(&programs()?.join(name), dir, args, piped_stdout)
    }

    /// Starts a program of any folder in the same way.
    pub fn of(program: &Path, dir: &Path, args: &[&str], piped_stdout: bool) -> anyhow::Result<Self> {
        if !program.exists() {
            bail!("{} is not built: run `make build` first", program.display());
        }
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let stdout = if piped_stdout { Stdio::piped() } else { Stdio::from(file.try_clone()?) };
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::from(file))
            .env("NO_COLOR", "1")
            // Whatever it leaves in a temporary file, and a core dump, lie with the rest of what it writes.
            .env("TMPDIR", dir)
            .current_dir(dir)
            // Ctrl-C reaches the whole foreground process group; the parent decides when its children end.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { name, child, log })
    }

    /// The lines the program prints, to be had once; it must have been started with its stdout piped.
    pub fn lines(&mut self) -> anyhow::Result<Lines<BufReader<ChildStdout>>> {
        let stdout = self.child.stdout.take().context("the program's output is not piped")?;
        Ok(BufReader::new(stdout).lines())
    }

    /// The first line the program prints; it must have been started with its stdout piped.
    pub async fn first_line(&mut self, within: Duration) -> anyhow::Result<String> {
        let mut lines = self.lines()?;
        match tokio::time::timeout(within, lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            _ => bail!("{} said nothing within {within:?}; its log:\n{}", self.name, self.tail()),
        }
    }

    /// Waits until `file` exists and holds something, and returns its text.
    pub async fn ready_file(&mut self, file: &Path, within: Duration) -> anyhow::Result<String> {
        let deadline = Instant::now() + within;
        loop {
            if let Ok(text) = std::fs::read_to_string(file)
                && !text.trim().is_empty()
            {
                return Ok(text);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at start ({status}); its log:\n{}", self.name, self.tail());
            }
            if Instant::now() > deadline {
                bail!("{} was not ready within {within:?}; its log:\n{}", self.name, self.tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGTERM, and the exit status; SIGKILL and an error if it takes longer than ten seconds.
    pub async fn stop(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        match tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.child.start_kill()?;
                bail!("{} did not end within ten seconds of SIGTERM; its log:\n{}", self.name, self.tail())
            }
        }
    }

    /// Ends it by SIGQUIT, which leaves a dump of its memory where nothing forbids that, and everything in this process's
    /// power allows it.
    pub async fn quit(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.context("the program has ended")?;
        let hard = getrlimit(Resource::Core).maximum;
        prlimit(Some(pid), Resource::Core, Rlimit { current: hard, maximum: hard })?;
        kill_process(pid, Signal::QUIT)?;
        let ended = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} did not end within ten seconds of SIGQUIT", self.name))??)
    }

    /// SIGKILL: the power cut.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("killing {}", self.name))
    }

    /// How often a text stands in its log.
    pub fn said(&self, text: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap_or_default().matches(text).count()
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
