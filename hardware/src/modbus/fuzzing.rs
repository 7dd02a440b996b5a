//! What boards send, as the drivers take it, for the fuzz targets and for tests with arbitrary bytes.

use std::{
    io,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_modbus::prelude::{Request, Slave, rtu, tcp};

use super::{
    Exchange, ModbusBus,
    wire::{Answer, CallError, Wire, call},
};
use crate::{
    board::{Bus as _, InputLine, OutputLine, Plan},
    config::{Bias, InputMap, InputTable, Layout, OutputMap, OutputTable, PulseMap, RegisterMap, Timing},
};

/// The unit that is asked.
const UNIT: u8 = 1;

/// A stream that brings these bytes and then ends.
#[derive(Debug)]
struct Canned(Vec<u8>);

impl AsyncRead for Canned {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = buf.remaining().min(self.0.len());
        buf.put_slice(&self.0[..count]);
        self.0.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Canned {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Once {
    wire: Wire<Canned>,
    over_tcp: bool,
}

#[async_trait]
impl Exchange for Once {
    async fn exchange(&mut self, request: Request<'static>, _urgent: bool) -> Result<Answer, CallError> {
        let attach = if self.over_tcp { tcp::attach_slave } else { rtu::attach_slave };
        call(&self.wire, &mut attach(self.wire.clone(), Slave(UNIT)), request).await
    }

    fn tries(&self) -> usize {
        2
    }
}

/// Two inputs of a board that sent these bytes; `None` if they are no answer.
pub fn inputs(over_tcp: bool, table: u8, bytes: &[u8]) -> Option<[bool; 2]> {
    let mut levels = [false; 2];
    let mut board = board(over_tcp, table, bytes)?;
    board.poll(&mut levels).now_or_never()?.ok()?;
    Some(levels)
}

/// Whether a board that sent these bytes has acknowledged a switch, or a pulse.
pub fn acknowledged(over_tcp: bool, table: u8, pulse: bool, bytes: &[u8]) -> bool {
    let Some(mut board) = board(over_tcp, table, bytes) else { return false };
    let done = if pulse {
        board.pulse(1, true, Duration::from_millis(700)).now_or_never()
    } else {
        board.write(1, true).now_or_never()
    };
    matches!(done, Some(Ok(())))
}

/// The state of one relay in what an LCUS board sent.
pub fn lcus_status(bytes: &[u8], relay: u32) -> Option<bool> {
    crate::serial::status_of(bytes, relay)
}

fn board(over_tcp: bool, table: u8, bytes: &[u8]) -> Option<ModbusBus<Once>> {
    let (table, coils) = match table % 4 {
        0 => (InputTable::DiscreteInput, true),
        1 => (InputTable::Coil, true),
        2 => (InputTable::HoldingRegister, false),
        _ => (InputTable::InputRegister, false),
    };
    let pulse = Some(PulseMap { address: 0x0200, base: 0, unit_ms: 100, max: 100, cancel: None });
    let output_table = if coils { OutputTable::Coil } else { OutputTable::HoldingRegister };
    let map = RegisterMap {
        first_channel: 1,
        output: Some(OutputMap { table: output_table, address: 0, on: 1, off: 0, pulse }),
        input: Some(InputMap { table, address: 0, layout: Layout::Bits }),
    };
    let line = |channel| InputLine {
        id: String::new(),
        channel,
        active_low: false,
        debounce: Duration::ZERO,
        bias: Bias::Off,
    };
    let output =
        OutputLine { id: String::new(), channel: 1, active_low: false, safe: false, max_pulse: Duration::from_secs(1) };
    let plan = Plan {
        device: String::new(),
        outputs: vec![output],
        inputs: vec![line(1), line(20)],
        timing: Timing::default(),
        waits: Duration::ZERO,
    };
    ModbusBus::new(&plan, map, Once { wire: Wire::new(Canned(bytes.to_vec())), over_tcp }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::rtu_tests::with_crc, *};

    #[test]
    fn right_bytes_are_taken() {
        assert_eq!(inputs(false, 0, &with_crc(&[UNIT, 2, 3, 1, 0, 0b1000])), Some([true, true]));
        assert_eq!(inputs(true, 3, &[0, 0, 0, 0, 0, 7, UNIT, 4, 4, 0, 1, 0, 8]), Some([true, true]));
        assert!(acknowledged(false, 0, false, &with_crc(&[UNIT, 5, 0, 0, 0xFF, 0])));
        assert!(acknowledged(false, 0, true, &with_crc(&[UNIT, 5, 2, 0, 0, 7])));
        assert!(acknowledged(true, 2, true, &[0, 0, 0, 0, 0, 6, UNIT, 6, 2, 0, 0, 7]));
        assert_eq!(lcus_status(b"CH1: ON\r\n", 1), Some(true));
    }

    proptest! {
        /// No bytes without the CRC, the unit and the size are a level or an acknowledgement, and none are a panic.
        #[test]
        fn no_other_bytes_are(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            table in any::<u8>(),
            over_tcp in any::<bool>(),
            good_crc in any::<bool>(),
        ) {
            let bytes = if good_crc { with_crc(&bytes) } else { bytes };
            inputs(over_tcp, table, &bytes);
            for pulse in [true, false] {
                if acknowledged(over_tcp, table, pulse, &bytes) {
                    let function = if table % 4 < 2 { 5 } else { 6 };
                    prop_assert!(bytes.windows(2).any(|pair| pair == [UNIT, function]));
                }
            }
            lcus_status(&bytes, 1);
        }
    }
}
