//! A Wiegand reader: its pulses, in their time, on a Unix socket instead of two wires. The driver `wiegand-sim` listens there.
//!
//! | action | body | does |
//! |---|---|---|
//! | `card` | `{"facility": 12, "number": 34567}` | shows a 26-bit card |
//!
//! Faults: `dead` cuts the wires, `silent` lets nothing out, `garbage` pulls both lines with every pulse.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::broadcast,
    time::{Instant, sleep, sleep_until},
};

use super::{
    SimConfig, SimError, World,
    fault::{Fault, FaultSwitch},
    part::{Part, Parts},
};
use crate::reader::{
    bits::{BitFormat, Bits},
    monotonic_ns,
    pulses::{DataLine, Edge, edges_of},
};

/// The name of the reader, and the key of its socket.
pub const WIEGAND_PART: &str = "wiegand";
/// As most readers have it (SIA AC-01-1996.10, section 3).
const PULSE_US: u64 = 50;
const PERIOD_US: u64 = 1_000;
/// Cards that wait to be shown; more are shown at once than anybody can hold.
const WAITING: usize = 16;

struct Reader {
    fault: FaultSwitch,
    cards: broadcast::Sender<Bits>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    #[serde(default)]
    facility: u8,
    number: u16,
}

pub(super) fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let Some(path) = config.wiegand.clone() else { return Ok(()) };
    let failed = |source| SimError::Socket { path: path.display().to_string(), source };
    if std::fs::symlink_metadata(&path).is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()))
    {
        std::fs::remove_file(&path).map_err(failed)?;
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    let reader = Arc::new(Reader { fault: FaultSwitch::default(), cards: broadcast::channel(WAITING).0 });
    let task = tokio::spawn(serve(Arc::clone(world), Arc::clone(&reader), listener, path.clone()));
    parts.serve(WIEGAND_PART, path.display().to_string(), task);
    parts.add(reader);
    Ok(())
}

impl Part for Reader {
    fn name(&self) -> &str {
        WIEGAND_PART
    }

    fn fault(&self) -> &FaultSwitch {
        &self.fault
    }

    fn faults(&self) -> &'static [&'static str] {
        &["dead", "silent", "garbage"]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["card"]
    }

    fn act(&self, action: &str, body: Value) -> Result<(), SimError> {
        if action != "card" {
            return Err(self.unknown_action(action));
        }
        let refused = |reason: String| SimError::Action { part: WIEGAND_PART.into(), action: action.into(), reason };
        let card: Card = serde_json::from_value(body).map_err(|error| refused(error.to_string()))?;
        let data = u64::from(card.facility) << 16 | u64::from(card.number);
        let bits = BitFormat::W26.frame(data).ok_or_else(|| refused("it has no frame".into()))?;
        // A card that is shown while nobody listens is shown to nobody.
        self.cards.send(bits).map(drop).map_err(|_| refused("no controller listens to the reader".into()))
    }
}

async fn serve(world: Arc<World>, reader: Arc<Reader>, listener: UnixListener, path: PathBuf) {
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(wires(Arc::clone(&world), Arc::clone(&reader), stream))),
                Err(error) => {
                    tracing::warn!(%error, "nobody can listen to the simulated reader");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = world.shutdown.cancelled() => {}
        () = accepting => {}
    }
    // A socket that stays behind is replaced at the next start.
    let _ = std::fs::remove_file(&path);
}

/// The wires to one controller, until either end lets go.
async fn wires(world: Arc<World>, reader: Arc<Reader>, mut stream: UnixStream) {
    let mut cards = reader.cards.subscribe();
    loop {
        let bits = tokio::select! {
            () = world.shutdown.cancelled() => return,
            () = reader.fault.until(|fault| *fault == Fault::Dead) => return,
            card = cards.recv() => match card {
                Ok(bits) => bits,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        let both = match reader.fault.get() {
            Fault::Silent => continue,
            Fault::Garbage => true,
            _ => false,
        };
        let mut due = Instant::now();
        for pulse in edges_of(bits, monotonic_ns(), PULSE_US, PERIOD_US).chunks(2) {
            let mut text = String::new();
            for edge in pulse {
                text.push_str(&told(*edge));
                if both {
                    text.push_str(&told(Edge { line: other(edge.line), ..*edge }));
                }
            }
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            // By the clock, so that what is told and when it is told stay together.
            due += Duration::from_micros(PERIOD_US);
            sleep_until(due).await;
        }
    }
}

fn told(edge: Edge) -> String {
    format!("{} {} {}\n", u8::from(edge.line == DataLine::D1), u8::from(!edge.low), edge.at_ns)
}

fn other(line: DataLine) -> DataLine {
    match line {
        DataLine::D0 => DataLine::D1,
        DataLine::D1 => DataLine::D0,
    }
}
