//! Where the edges of D0 and D1 come from: the kernel, or the simulator.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use gpiocdev::{
    Request,
    line::{Bias as LineBias, EdgeDetection, EdgeKind, EventClock},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, unix::AsyncFd},
    net::UnixStream,
    time::Instant,
};

use super::pulses::{DataLine, Edge};
use crate::{DeviceError, config::Bias, gpio_cdev::watched};

/// Edges that the kernel keeps while this program does something else: some thirty cards.
const KERNEL_BUFFER: u32 = 2048;
/// No line of the simulator is longer.
const MAX_LINE_BYTES: u64 = 64;

/// What came from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// An edge.
    Edge(Edge),
    /// Edges were lost.
    Lost,
}

/// Edges in the order in which they happened, on the clock of [`monotonic_ns`].
#[async_trait]
pub(crate) trait EdgeSource: Send {
    /// The next edge. May be cancelled without losing one.
    async fn next(&mut self) -> Result<Came, DeviceError>;
}

/// `CLOCK_MONOTONIC`, which dates the kernel's edges, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// The moment `at_ns` on the clock of [`monotonic_ns`]; never in the future.
pub(crate) fn instant(at_ns: u64) -> Instant {
    let now = Instant::now();
    let age = Duration::from_nanos(monotonic_ns().saturating_sub(at_ns));
    now.checked_sub(age).unwrap_or(now)
}

/// Two lines of a GPIO chip, in one request, so that their edges keep their order.
pub(crate) struct GpioEdges {
    device: String,
    request: AsyncFd<Request>,
    d1: u32,
    sequence: Option<u32>,
}

impl GpioEdges {
    pub(crate) fn open(
        device: &str,
        chip: &PathBuf,
        [d0, d1]: [u32; 2],
        bias: Bias,
        both_edges: bool,
    ) -> Result<Self, DeviceError> {
        if !chip.exists() {
            let reason = "there is no such device file (the command gpiodetect lists the chips of this machine)";
            return Err(DeviceError::unreachable(device, "open the chip", reason, false));
        }
        let bias = match bias {
            Bias::Off => LineBias::Disabled,
            Bias::PullUp => LineBias::PullUp,
            Bias::PullDown => LineBias::PullDown,
        };
        let edges = if both_edges { EdgeDetection::BothEdges } else { EdgeDetection::FallingEdge };
        let mut wanted = Request::builder();
        wanted.on_chip(chip).with_consumer("cardea").with_kernel_event_buffer_size(KERNEL_BUFFER);
        for line in [d0, d1] {
            wanted.with_line(line).as_input().with_bias(bias).with_edge_detection(edges);
            wanted.with_event_clock(EventClock::Monotonic);
        }
        let failed = |error: &dyn std::fmt::Display| {
            DeviceError::unreachable(device, "request the lines of D0 and D1", error, false)
        };
        let request = wanted.request().map_err(|error| failed(&error))?;
        let request = watched(request).map_err(|error| failed(&error))?;
        Ok(Self { device: device.into(), request, d1, sequence: None })
    }
}

#[async_trait]
impl EdgeSource for GpioEdges {
    async fn next(&mut self) -> Result<Came, DeviceError> {
        let failed = |error: &dyn std::fmt::Display| {
            DeviceError::unreachable(&self.device, "watch the lines of D0 and D1", error, false)
        };
        loop {
            let mut ready = self.request.readable().await.map_err(|error| failed(&error))?;
            if !self.request.get_ref().has_edge_event().map_err(|error| failed(&error))? {
                ready.clear_ready();
                continue;
            }
            let event = self.request.get_ref().read_edge_event().map_err(|error| failed(&error))?;
            // The kernel numbers edges from 1; a gap is what did not fit its buffer.
            let expected = self.sequence.map(|before| before.wrapping_add(1));
            self.sequence = Some(event.seqno);
            if expected.is_some_and(|expected| expected != event.seqno) {
                return Ok(Came::Lost);
            }
            let line = if event.offset == self.d1 { DataLine::D1 } else { DataLine::D0 };
            let low = event.kind == EdgeKind::Falling;
            return Ok(Came::Edge(Edge { line, low, at_ns: event.timestamp_ns }));
        }
    }
}

/// The simulator's edges: a Unix socket with one edge on each line, `0 1 123456789` for line, level and nanoseconds.
pub(crate) struct SocketEdges {
    device: String,
    lines: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl SocketEdges {
    pub(crate) async fn open(device: &str, path: &PathBuf) -> Result<Self, DeviceError> {
        let stream = UnixStream::connect(path).await;
        let stream =
            stream.map_err(|error| DeviceError::unreachable(device, "connect to the simulator", error, false))?;
        Ok(Self { device: device.into(), lines: BufReader::new(stream), line: Vec::new() })
    }
}

#[async_trait]
impl EdgeSource for SocketEdges {
    async fn next(&mut self) -> Result<Came, DeviceError> {
        let action = "read the simulator's edges";
        let room = MAX_LINE_BYTES.saturating_sub(self.line.len() as u64);
        let read = (&mut self.lines).take(room).read_until(b'\n', &mut self.line).await;
        read.map_err(|error| DeviceError::unreachable(&self.device, action, error, false))?;
        if self.line.last() != Some(&b'\n') {
            let full = self.line.len() as u64 >= MAX_LINE_BYTES;
            self.line.clear();
            return Err(if full {
                DeviceError::protocol(&self.device, action, "a line without an end")
            } else {
                DeviceError::unreachable(&self.device, action, "it hung up", false)
            });
        }
        let edge = edge(&self.line);
        self.line.clear();
        edge.map(Came::Edge).ok_or_else(|| DeviceError::protocol(&self.device, action, "a line that is no edge"))
    }
}

fn edge(line: &[u8]) -> Option<Edge> {
    let mut words = std::str::from_utf8(line).ok()?.split_whitespace();
    let mut bit = || match words.next()? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    };
    let (one, high) = (bit()?, bit()?);
    let at_ns = words.next()?.parse().ok()?;
    let line = if one { DataLine::D1 } else { DataLine::D0 };
    words.next().is_none().then_some(Edge { line, low: !high, at_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_simulator_is_an_edge_or_nothing() {
        assert_eq!(edge(b"1 0 5\n"), Some(Edge { line: DataLine::D1, low: true, at_ns: 5 }));
        for nonsense in [&b""[..], b"1 0\n", b"2 0 5\n", b"1 0 -5\n", b"1 0 5 6\n", b"\xFF\n"] {
            assert_eq!(edge(nonsense), None);
        }
    }
}
