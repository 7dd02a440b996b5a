//! What each profile puts on the wire, byte for byte, against the frames in the makers' documentation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Mutex;

use super::*;
use crate::{
    board::{InputLine, OutputLine},
    config::{Bias, InputMap, Layout, Profile, Timing},
};

/// Notes requests, and answers writes with their echo and reads with these words.
struct Notebook<'a> {
    seen: &'a Mutex<Vec<Request<'static>>>,
    words: Vec<u16>,
}

#[async_trait]
impl Exchange for Notebook<'_> {
    async fn exchange(&mut self, request: Request<'static>, urgent: bool) -> Result<Answer, CallError> {
        self.seen.lock().unwrap().push(request.clone());
        let bits = || self.words.iter().map(|word| *word != 0).collect();
        let (answer, writes) = match request {
            Request::WriteSingleCoil(address, on) => (Response::WriteSingleCoil(address, on), true),
            Request::WriteSingleRegister(address, word) => (Response::WriteSingleRegister(address, word), true),
            Request::ReadCoils(..) => (Response::ReadCoils(bits()), false),
            Request::ReadDiscreteInputs(..) => (Response::ReadDiscreteInputs(bits()), false),
            Request::ReadHoldingRegisters(..) => (Response::ReadHoldingRegisters(self.words.clone()), false),
            Request::ReadInputRegisters(..) => (Response::ReadInputRegisters(self.words.clone()), false),
            Request::Custom(5, _) if urgent => return Ok(Answer::Echo),
            other => return Err(CallError::Nonsense(format!("{other:?}"))),
        };
        assert_eq!(urgent, writes, "what switches goes first, what reads does not");
        Ok(Answer::Response(answer))
    }

    fn tries(&self) -> usize {
        1
    }
}

fn plan(outputs: &[u32], inputs: &[u32]) -> Plan {
    let output = |channel: &u32| OutputLine {
        id: format!("o{channel}"),
        channel: *channel,
        active_low: false,
        safe: false,
        max_pulse: Duration::from_mins(1),
    };
    let input = |channel: &u32| InputLine {
        id: format!("i{channel}"),
        channel: *channel,
        active_low: false,
        debounce: Duration::ZERO,
        bias: Bias::Off,
    };
    Plan {
        device: "board".into(),
        outputs: outputs.iter().map(output).collect(),
        inputs: inputs.iter().map(input).collect(),
        timing: Timing::default(),
        waits: Duration::ZERO,
    }
}

/// Switches channel `channel` on, pulses it, switches it off, and reads; answers what was asked of the board.
async fn asked(profile: Profile, channel: u32, pulse_ms: u64, inputs: &[u32]) -> Vec<Request<'static>> {
    let seen = Mutex::default();
    let words = vec![1; if inputs.is_empty() { 1 } else { 8 }];
    let notebook = Notebook { seen: &seen, words };
    let mut bus = ModbusBus::new(&plan(&[channel], inputs), profile.map(), notebook).unwrap();
    bus.write(channel, true).await.unwrap();
    bus.pulse(channel, true, Duration::from_millis(pulse_ms)).await.unwrap();
    bus.write(channel, false).await.unwrap();
    bus.write(channel, false).await.unwrap();
    let mut levels = vec![false; inputs.len()];
    bus.poll(&mut levels).await.unwrap();
    assert!(levels.iter().all(|level| *level));
    drop(bus);
    seen.into_inner().unwrap()
}

#[tokio::test]
async fn a_waveshare_board_counts_coils_from_0_and_ends_its_pulses() {
    // "01 05 02 00 00 07": relay 1 on for 700 ms.
    let flash = Request::Custom(5, vec![0x02, 0x00, 0x00, 0x07].into());
    let off = || Request::WriteSingleCoil(0, false);
    assert_eq!(
        asked(Profile::WaveshareRelay, 1, 650, &[1, 8]).await.as_slice(),
        [Request::WriteSingleCoil(0, true), flash, off(), off(), Request::ReadDiscreteInputs(0, 8)]
    );
}

#[tokio::test]
async fn an_eletechsup_board_is_written_with_words_and_its_delay_is_ended_first() {
    // "01 06 00 01 01 00" opens channel 1, "… 02 00" closes it, "… 06 0A" opens it for 10 s, "… 06 00" ends that.
    let word = |value| Request::WriteSingleRegister(1, value);
    assert_eq!(
        asked(Profile::Eletechsup, 1, 9_500, &[]).await.as_slice(),
        [word(0x0100), word(0x060A), word(0x0600), word(0x0200), word(0x0200), Request::ReadHoldingRegisters(1, 1)]
    );
}

#[tokio::test]
async fn an_adam_and_an_icp_das_differ_in_where_their_relays_are() {
    let coil = |address, on| Request::WriteSingleCoil(address, on);
    for (profile, address) in [(Profile::Adam6000, 18), (Profile::IcpDas, 2), (Profile::Plain, 2)] {
        let (on, off) = (coil(address, true), coil(address, false));
        let read = Request::ReadDiscreteInputs(5, 1);
        assert_eq!(asked(profile, 2, 500, &[5]).await.as_slice(), [on.clone(), on, off.clone(), off, read]);
    }
}

#[tokio::test]
async fn inputs_are_words_or_bits_of_registers() {
    for (table, layout, words, expected) in [
        (InputTable::InputRegister, Layout::Bits, vec![0x0005, 0x8000], [true, false, true]),
        (InputTable::HoldingRegister, Layout::Bits, vec![0xFFFE, 0x7FFF], [false, true, false]),
    ] {
        let input = Some(InputMap { table, address: 0x20, layout });
        let (map, seen) = (RegisterMap { first_channel: 1, output: None, input }, Mutex::default());
        let notebook = Notebook { seen: &seen, words };
        let mut bus = ModbusBus::new(&plan(&[], &[1, 2, 32]), map, notebook).unwrap();
        let mut levels = [false; 3];
        bus.poll(&mut levels).await.unwrap();
        assert_eq!(levels, expected, "{table:?}");
    }
}

#[test]
fn a_pulse_that_the_board_cannot_time_is_not_given_to_it() {
    let flash = Profile::WaveshareRelay.map().output.unwrap().pulse.unwrap();
    let delay = Profile::Eletechsup.map().output.unwrap().pulse.unwrap();
    for (pulse, ms, expected) in [
        (&flash, 100, Some(1)),
        (&flash, 101, Some(2)),
        (&flash, 0, None),
        (&flash, 3_276_701, None),
        (&delay, 500, Some(1)),
        (&delay, 255_000, Some(255)),
        (&delay, 255_001, None),
    ] {
        assert_eq!(units(pulse, Duration::from_millis(ms)), expected, "{ms}");
    }
}
