//! How a download is watched: a bar on a terminal, a few lines elsewhere, nothing in tests.

use std::io::{self, IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Watches one file after the other.
pub trait Progress {
    /// A download of `file` from `source` begins; `bytes` is its size, where it is known.
    fn begin(&mut self, file: &str, source: &str, bytes: Option<u64>);
    /// So many bytes of it are here.
    fn at(&mut self, bytes: u64);
    /// It is here, or was given up.
    fn end(&mut self);
    /// Something the person should know.
    fn note(&mut self, text: &str);
}

/// What suits standard error: a bar where somebody watches, lines where it goes to a log.
pub(crate) fn for_stderr() -> Box<dyn Progress> {
    if io::stderr().is_terminal() { Box::new(Bar(None)) } else { Box::new(Lines::new(io::stderr())) }
}

/// A bar with speed and remaining time.
struct Bar(Option<ProgressBar>);

impl Progress for Bar {
    fn begin(&mut self, file: &str, source: &str, bytes: Option<u64>) {
        self.end();
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr_with_hz(8));
        let template = match bytes {
            Some(_) => "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
            None => "{msg} {spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.println(format!("{file} from {source}"));
        bar.set_message(file.to_owned());
        self.0 = Some(bar);
    }

    fn at(&mut self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }

    fn note(&mut self, text: &str) {
        match &self.0 {
            Some(bar) => bar.println(text),
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

/// A line at the beginning and at each tenth.
pub(crate) struct Lines<W> {
    out: W,
    file: String,
    bytes: Option<u64>,
    tenths: u64,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, file: String::new(), bytes: None, tenths: 0 }
    }

    fn line(&mut self, text: &str) {
        // without standard error there is nobody to tell
        let _ = writeln!(self.out, "{text}");
    }
}

impl<W: Write> Progress for Lines<W> {
    fn begin(&mut self, file: &str, source: &str, bytes: Option<u64>) {
        (self.file, self.bytes, self.tenths) = (file.to_owned(), bytes, 0);
        self.line(&format!("{file} from {source}"));
    }

    fn at(&mut self, bytes: u64) {
        let Some(total) = self.bytes.filter(|total| *total > 0) else { return };
        let tenths = bytes * 10 / total;
        if tenths > self.tenths {
            self.tenths = tenths;
            let file = self.file.clone();
            self.line(&format!("{file} {} %", tenths * 10));
        }
    }

    fn end(&mut self) {}

    fn note(&mut self, text: &str) {
        self.line(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_a_line_for_each_tenth_and_no_more() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        lines.begin("a", "https://example.org/a", Some(1_000));
        for bytes in 0..=1_000 {
            lines.at(bytes);
        }
        lines.end();
        lines.begin("b", "https://example.org/b", None);
        lines.at(5);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert_eq!(text.lines().count(), 12, "{text}");
        assert!(text.contains("a 100 %") && text.ends_with("b from https://example.org/b\n"), "{text}");
    }
}
