//! USB relay boards with the LCUS protocol: a CH340 serial adapter (9600 8N1) and one to sixteen relays.
//!
//! A command has four bytes: `A0`, the relay's number from 1, `01` for on or `00` for off, and the sum of the three (modulo
//! 256). The boards do not answer it. Most with two or more relays answer the single byte `FF` with one line for each
//! relay, `CH1: ON` or `CH1: OFF`; with `feedback = true` that answer confirms each switch, and is the heartbeat.
//! Without it, the heartbeat is that the adapter's device file still lives, which notices an unplugged adapter.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _};

use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::SerialLcusConfig,
};

const START: u8 = 0xA0;
const QUERY: u8 = 0xFF;
/// Sixteen relays at about 11 characters each; more than that is not an answer.
const MAX_STATUS_BYTES: usize = 256;

/// Opens one adapter.
pub(crate) struct SerialLcus {
    pub(crate) config: SerialLcusConfig,
}

#[async_trait]
impl Driver for SerialLcus {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        let port = tokio_serial::new(self.config.path.to_string_lossy(), self.config.baud)
            .open_native_async()
            .map_err(|error| DeviceError::unreachable(&plan.device, "open the serial port", error, false))?;
        // Answers carry no number: one from before must not be taken for one to come.
        port.clear(ClearBuffer::All)
            .map_err(|error| DeviceError::unreachable(&plan.device, "clear the serial port", error, false))?;
        let channels = plan.outputs.iter().map(|output| output.channel).collect();
        Ok(Box::new(LcusBus { device: plan.device.clone(), port, feedback: self.config.feedback, channels }))
    }
}

/// One relay board on any byte stream.
struct LcusBus<P> {
    device: String,
    port: P,
    feedback: bool,
    channels: Vec<u32>,
}

impl<P: AsyncRead + AsyncWrite + Unpin + Send> LcusBus<P> {
    fn lost(&self, action: &str, error: std::io::Error) -> DeviceError {
        DeviceError::unreachable(&self.device, action, error, true)
    }

    async fn send(&mut self, action: &str, bytes: &[u8]) -> Result<(), DeviceError> {
        let sent = async {
            self.port.write_all(bytes).await?;
            self.port.flush().await
        };
        sent.await.map_err(|error| self.lost(action, error))
    }

    /// Throws away what the board said unasked; an error if the adapter is gone.
    fn drain(&mut self) -> Result<(), DeviceError> {
        let mut unasked = [0; 64];
        loop {
            match self.port.read(&mut unasked).now_or_never() {
                None => return Ok(()),
                Some(Ok(0)) => {
                    return Err(DeviceError::unreachable(&self.device, "listen to it", "the adapter is gone", false));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.lost("listen to it", error)),
            }
        }
    }

    /// Asks for the state of the relays until each of `wanted` has been told. The board task bounds the time.
    async fn query(&mut self, wanted: &[u32]) -> Result<Vec<bool>, DeviceError> {
        let action = "tell its relays' states";
        self.drain()?;
        self.send(action, &[QUERY]).await?;
        let mut answer = Vec::new();
        loop {
            let told = |channel: &u32| status_of(&answer, *channel);
            if let Some(states) = wanted.iter().map(told).collect::<Option<Vec<bool>>>() {
                return Ok(states);
            }
            if answer.len() > MAX_STATUS_BYTES {
                return Err(DeviceError::protocol(
                    &self.device,
                    action,
                    "no state in its answer; set feedback = false",
                ));
            }
            let mut chunk = [0; 64];
            match self.port.read(&mut chunk).await {
                Ok(0) => return Err(DeviceError::unreachable(&self.device, action, "the adapter is gone", true)),
                Ok(n) => answer.extend_from_slice(&chunk[..n]),
                Err(error) => return Err(self.lost(action, error)),
            }
        }
    }
}

#[async_trait]
impl<P: AsyncRead + AsyncWrite + Unpin + Send> Bus for LcusBus<P> {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        let action = "switch a relay";
        let Ok(number) = u8::try_from(channel) else {
            return Err(DeviceError::unsupported(&self.device, action, format!("there is no relay {channel}")));
        };
        self.send(action, &command(number, high)).await?;
        if self.feedback && self.query(&[channel]).await? != [high] {
            return Err(DeviceError::protocol(&self.device, action, format!("relay {channel} did not switch")));
        }
        Ok(())
    }

    async fn poll(&mut self, _levels: &mut [bool]) -> Result<(), DeviceError> {
        if self.feedback && !self.channels.is_empty() {
            let channels = self.channels.clone();
            self.query(&channels).await?;
            return Ok(());
        }
        self.drain()
    }
}

/// The four bytes that switch a relay.
fn command(number: u8, on: bool) -> [u8; 4] {
    let state = u8::from(on);
    [START, number, state, START.wrapping_add(number).wrapping_add(state)]
}

/// The state of one relay in the answer so far: `CHn`, an optional colon, blanks, `ON` or `OFF`, end of line.
pub(crate) fn status_of(answer: &[u8], channel: u32) -> Option<bool> {
    let text = String::from_utf8_lossy(answer);
    let whole_lines = &text[..text.rfind('\n')?];
    whole_lines.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("CH")?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, state) = rest.split_at(digits);
        if number.parse::<u32>().ok()? != channel {
            return None;
        }
        match state.trim_start_matches(':').trim() {
            "ON" => Some(true),
            "OFF" => Some(false),
            _ => None,
        }
    })
}

#[cfg(test)]
#[path = "serial_tests.rs"]
mod tests;
