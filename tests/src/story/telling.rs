//! Telling: live lines on the terminal, and the record that becomes the summary table and the report.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// One thing that was tried, and what came of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Seconds since the story began.
    pub at_s: f64,
    /// What was tried.
    pub what: String,
    /// What came of it.
    pub found: String,
    /// How long it took, milliseconds, where that is of interest.
    pub took_ms: Option<f64>,
}

/// A picture for the report, annotated by the same models that decided.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it shows.
    pub caption: String,
    /// JPEG bytes.
    pub jpeg: Vec<u8>,
}

/// One chapter of the story.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// Its number, from 1.
    pub number: usize,
    /// What it is about.
    pub title: String,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What the cameras saw.
    pub pictures: Vec<Picture>,
    /// What went wrong, if something did.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// One passage: where its time went as the controller measured it, and all of it as seen from the house.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Which.
    pub what: String,
    /// Milliseconds of the stages in [`STAGES`].
    pub stages_ms: [Option<f64>; 5],
    /// Milliseconds from the car on the loop, or the face before the camera, to the relay.
    pub seen_ms: f64,
}

/// The stages of a passage.
pub const STAGES: [&str; 5] = ["capture", "detect", "read", "decide", "relay"];

/// Named milliseconds, for the table of latencies.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Of what.
    pub what: String,
    /// Milliseconds.
    pub ms: f64,
}

/// The narrator.
pub struct Telling {
    start: Instant,
    chapter_start: Instant,
    /// The chapters so far.
    pub chapters: Vec<Chapter>,
    /// The passages so far.
    pub passages: Vec<Passage>,
    /// Other latencies so far.
    pub latencies: Vec<Latency>,
}

impl Default for Telling {
    fn default() -> Self {
        Self::new()
    }
}

impl Telling {
    /// Nothing told yet.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { start: now, chapter_start: now, chapters: Vec::new(), passages: Vec::new(), latencies: Vec::new() }
    }

    /// Opens a chapter.
    pub fn chapter(&mut self, title: &str) {
        let number = self.chapters.len() + 1;
        line(format_args!("\n{number}. {title}"));
        self.chapter_start = Instant::now();
        self.chapters.push(Chapter {
            number,
            title: title.to_owned(),
            steps: Vec::new(),
            pictures: Vec::new(),
            failure: None,
            took: Duration::ZERO,
        });
    }

    /// Records a step of the open chapter.
    pub fn step(&mut self, what: impl Display, found: impl Display) {
        self.record(what.to_string(), found.to_string(), None);
    }

    /// Records a step whose duration is of interest.
    pub fn timed(&mut self, what: impl Display, found: impl Display, took: Duration) {
        self.record(what.to_string(), found.to_string(), Some(took.as_secs_f64() * 1e3));
    }

    /// Records a latency for the table.
    pub fn latency(&mut self, what: impl Display, ms: f64) {
        self.latencies.push(Latency { what: what.to_string(), ms });
    }

    /// Keeps a picture for the report.
    pub fn picture(&mut self, caption: impl Display, jpeg: Vec<u8>) {
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.pictures.push(Picture { caption: caption.to_string(), jpeg });
        }
    }

    /// Closes the open chapter.
    pub fn close(&mut self, outcome: &anyhow::Result<()>) {
        let took = self.chapter_start.elapsed();
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.took = took;
            if let Err(error) = outcome {
                chapter.failure = Some(format!("{error:#}"));
                line(format_args!("   ✗ {error:#}"));
            }
        }
    }

    /// Whether every chapter went as told.
    pub fn as_told(&self) -> bool {
        self.chapters.iter().all(|chapter| chapter.failure.is_none())
    }

    /// The summary table.
    pub fn summary(&self) {
        line(format_args!("\n   {:<90}{:>7}{:>7}", "chapter", "seconds", "steps"));
        for chapter in &self.chapters {
            let mark = if chapter.failure.is_none() { '✓' } else { '✗' };
            let title = format!("{}. {}", chapter.number, chapter.title);
            let (seconds, steps) = (chapter.took.as_secs_f64(), chapter.steps.len());
            line(format_args!(" {mark} {title:<90}{seconds:>7.1}{steps:>7}"));
        }
        let cell = |text: &str| format!("{text:>9}");
        let heads: String = STAGES.map(cell).concat();
        line(format_args!("\n   {:<46}{heads}{:>14}", "passage, milliseconds", "seen outside"));
        for passage in &self.passages {
            let stages = passage.stages_ms.map(|ms| cell(&ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))));
            line(format_args!("   {:<46}{}{:>14.1}", passage.what, stages.concat(), passage.seen_ms));
        }
        line(format_args!("\n   {:<92}{:>12}", "other latencies", "milliseconds"));
        for latency in &self.latencies {
            line(format_args!("   {:<92}{:>12.1}", latency.what, latency.ms));
        }
    }

    fn record(&mut self, what: String, found: String, took_ms: Option<f64>) {
        match took_ms {
            Some(ms) => line(format_args!("   ✓ {what}: {found} ({ms:.1} ms)")),
            None => line(format_args!("   ✓ {what}: {found}")),
        }
        let at_s = self.start.elapsed().as_secs_f64();
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.steps.push(Step { at_s, what, found, took_ms });
        }
    }
}

/// One line for the person who watches.
pub fn line(text: std::fmt::Arguments<'_>) {
    // A closed pipe is the reader's choice; the story goes on.
    let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{text}\n"));
}
