//! A line reader, such as a scanner or a USB card reader, on a serial adapter: a line for each card. The driver `serial-line` reads it.
//!
//! | action | body | does |
//! |---|---|---|
//! | `card` | `{"number": "04A1B2C3"}` | shows a card whose line is that |
//!
//! Faults: those of an adapter. What is shown while it is pulled out is shown to nobody.

use std::{io, sync::Arc};

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_serial::SerialStream;

use super::{
    SimConfig, SimError, World,
    fault::FaultSwitch,
    part::{Part, Parts},
    plug::{Device, Plug},
};
use crate::reader::line::MAX_LINE;

/// The name of the reader, and the key of its path.
pub const LINE_READER_PART: &str = "line-reader";
/// Cards that wait to be shown; more are shown at once than anybody can hold.
const WAITING: usize = 16;

struct LineReader {
    plug: Arc<Plug>,
    lines: broadcast::Sender<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    number: String,
}

pub(super) fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let Some(path) = &config.line_reader else { return Ok(()) };
    let plug = Plug::new(LINE_READER_PART, path);
    let first = plug.insert()?;
    let (lines, shown) = broadcast::channel(WAITING);
    let task = tokio::spawn(Arc::clone(&plug).serve(Arc::clone(world), first, Window { shown }));
    parts.serve(LINE_READER_PART, path.display().to_string(), task);
    parts.add(Arc::new(LineReader { plug, lines }));
    Ok(())
}

impl Part for LineReader {
    fn name(&self) -> &str {
        LINE_READER_PART
    }

    fn fault(&self) -> &FaultSwitch {
        self.plug.fault()
    }

    fn faults(&self) -> &'static [&'static str] {
        self.plug.faults()
    }

    fn actions(&self) -> &'static [&'static str] {
        &["card"]
    }

    fn act(&self, action: &str, body: Value) -> Result<(), SimError> {
        if action != "card" {
            return Err(self.unknown_action(action));
        }
        let refused =
            |reason: String| SimError::Action { part: LINE_READER_PART.into(), action: action.into(), reason };
        let card: Card = serde_json::from_value(body).map_err(|error| refused(error.to_string()))?;
        let printable = card.number.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if card.number.is_empty() || card.number.len() > MAX_LINE || !printable {
            return Err(refused(format!("`number` is one line of printable ASCII, 1 to {MAX_LINE} characters")));
        }
        self.lines.send(card.number).map(drop).map_err(|_| refused("the house is ending".into()))
    }
}

/// Where cards are held to.
struct Window {
    shown: broadcast::Receiver<String>,
}

impl Device for Window {
    async fn talk(&mut self, port: &mut SerialStream, plug: &Plug) -> io::Result<()> {
        self.shown = self.shown.resubscribe();
        loop {
            match self.shown.recv().await {
                Ok(line) if plug.arrives().await => plug.answer(port, format!("{line}\r\n").as_bytes()).await?,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            }
        }
    }
}
