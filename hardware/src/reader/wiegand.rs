//! Wiegand readers: two wires, on which a card is a burst of pulses.
//!
//! The kernel dates the falling edges. Rising edges are asked for only where the configuration says so: for a line with both, the
//! kernel tells the direction by looking at the level some time after the interrupt, when a pulse of 50 microseconds may be over.

use std::{future::pending, time::Duration};

use async_trait::async_trait;
use tokio::time::sleep;

use super::{
    Publisher, Source,
    bits::{self, BitFormat},
    edges::{Came, EdgeSource, GpioEdges, SocketEdges, instant, monotonic_ns},
    pulses::{Decoder, Outcome, PulseTiming},
};
use crate::{DeviceError, config::Bias};

/// Where a reader's edges come from.
#[derive(Debug, Clone)]
pub(crate) enum Wires {
    /// Lines of a GPIO chip.
    Gpio { chip: std::path::PathBuf, lines: [u32; 2], bias: Bias },
    /// The simulator.
    Simulated { socket: std::path::PathBuf },
}

/// One reader on two lines.
pub(crate) struct Wiegand {
    pub(crate) wires: Wires,
    pub(crate) timing: PulseTiming,
    pub(crate) formats: Vec<BitFormat>,
}

#[async_trait]
impl Source for Wiegand {
    async fn serve(&self, publisher: &mut Publisher) -> DeviceError {
        let device = publisher.device().to_owned();
        let edges: Result<Box<dyn EdgeSource>, DeviceError> = match &self.wires {
            Wires::Gpio { chip, lines, bias } => {
                GpioEdges::open(&device, chip, *lines, *bias, self.timing.both_edges).map(|edges| Box::new(edges) as _)
            }
            Wires::Simulated { socket } => SocketEdges::open(&device, socket).await.map(|edges| Box::new(edges) as _),
        };
        match edges {
            Ok(edges) => {
                publisher.up();
                self.follow(edges, publisher).await
            }
            Err(error) => error,
        }
    }
}

impl Wiegand {
    async fn follow(&self, mut edges: Box<dyn EdgeSource>, publisher: &mut Publisher) -> DeviceError {
        let mut decoder = Decoder::new(self.timing);
        loop {
            let silence = decoder.deadline_ns().map(|at| Duration::from_nanos(at.saturating_sub(monotonic_ns())));
            let silence = async {
                match silence {
                    Some(wait) => sleep(wait).await,
                    None => pending().await,
                }
            };
            // An edge that has come is older than the silence that is over now.
            let outcome = tokio::select! {
                biased;
                came = edges.next() => match came {
                    Ok(Came::Edge(edge)) => decoder.edge(edge),
                    Ok(Came::Lost) => {
                        decoder.lost(monotonic_ns());
                        None
                    }
                    Err(lost) => return lost,
                },
                () = silence => decoder.tick(monotonic_ns()),
            };
            self.tell(outcome, publisher);
        }
    }

    fn tell(&self, outcome: Option<Outcome>, publisher: &mut Publisher) {
        match outcome {
            None => {}
            Some(Err(spoiled)) => publisher.refused(spoiled),
            Some(Ok(frame)) => match bits::read(frame.bits, &self.formats) {
                Ok(number) => publisher.read(number, instant(frame.began_ns)),
                Err(unreadable) => publisher.refused(unreadable),
            },
        }
    }
}
