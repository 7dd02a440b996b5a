//! Two relay and input boards on an RS-485 line: the house once more, over Modbus RTU on a pseudo-terminal.
//!
//! Unit 1 has the coils and inputs 0 to 7 of the house, unit 2 has 8 to 15 as its own 0 to 7. Like those of Waveshare they
//! time a pulse themselves: function 05 at 0x0200 + n with a count of 100 ms. Other units are silent.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, time::sleep};
use tokio_modbus::prelude::{ExceptionCode, Request, Response};
use tokio_serial::SerialStream;

use super::{
    SimConfig, SimError, World, modbus,
    part::Parts,
    physics::CHANNELS,
    plug::{Device, Plug},
};

/// The name of the line, and the key of its path.
pub const RTU_PART: &str = "rtu";
const CHANNELS_OF_A_UNIT: u16 = 8;
const FLASH_ON: u16 = 0x0200;
const FLASH_UNIT: Duration = Duration::from_millis(100);

pub(super) fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let Some(path) = &config.rtu else { return Ok(()) };
    let plug = Plug::new(RTU_PART, path);
    let first = plug.insert()?;
    let boards = Boards { world: Arc::clone(world), flashes: Arc::default() };
    parts.serve(RTU_PART, path.display().to_string(), tokio::spawn(plug.clone().serve(world.clone(), first, boards)));
    parts.add(plug);
    Ok(())
}

struct Boards {
    world: Arc<World>,
    /// Counts what was written to each coil, so that a flash that is over ends only itself.
    flashes: Arc<Mutex<[u64; CHANNELS]>>,
}

impl Device for Boards {
    async fn talk(&mut self, port: &mut SerialStream, plug: &Plug) -> io::Result<()> {
        let mut heard = Vec::new();
        loop {
            if port.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
            while let Some(request) = next_frame(&mut heard) {
                if !plug.arrives().await {
                    continue;
                }
                if let Some(answer) = self.answer(&request) {
                    plug.answer(port, &with_crc(&answer)).await?;
                }
            }
        }
    }
}

impl Boards {
    /// What a unit answers to a frame without its CRC; `None` if there is no such unit.
    fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let [unit @ 1..=2, function, a, b, c, d] = *frame else { return None };
        let (address, value) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let base = u16::from(unit - 1) * CHANNELS_OF_A_UNIT;
        let answered = self.obey(base, function, address, value);
        Some(match answered {
            Ok(Some(bits)) => {
                let packed =
                    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |bits, bit| bits << 1 | u8::from(*bit)));
                let packed: Vec<u8> = packed.collect();
                [&[unit, function, packed.len() as u8], &packed[..]].concat()
            }
            Ok(None) => frame.to_vec(),
            Err(exception) => vec![unit, function | 0x80, u8::from(exception)],
        })
    }

    /// Bits that were read; `None` for a write, whose answer is its echo.
    fn obey(&self, base: u16, function: u8, address: u16, value: u16) -> Result<Option<Vec<bool>>, ExceptionCode> {
        let on_board = |first: u16, count: u16| {
            let fits = first.checked_add(count).is_some_and(|end| end <= CHANNELS_OF_A_UNIT);
            if fits { Ok(first + base) } else { Err(ExceptionCode::IllegalDataAddress) }
        };
        let request = match (function, value) {
            (0x01, count) => Request::ReadCoils(on_board(address, count)?, count),
            (0x02, count) => Request::ReadDiscreteInputs(on_board(address, count)?, count),
            (0x05, count) if address >= FLASH_ON => {
                self.flash(on_board(address - FLASH_ON, 1)?, count)?;
                return Ok(None);
            }
            (0x05, 0x0000 | 0xFF00) => Request::WriteSingleCoil(self.touch(on_board(address, 1)?), value != 0),
            (0x05, _) => return Err(ExceptionCode::IllegalDataValue),
            _ => return Err(ExceptionCode::IllegalFunction),
        };
        let now = self.world.now();
        match modbus::answer(&mut self.world.house(), request, now)? {
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => Ok(Some(bits)),
            _ => Ok(None),
        }
    }

    fn touch(&self, coil: u16) -> u16 {
        let mut flashes = self.flashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = flashes.get_mut(usize::from(coil)) {
            *count += 1;
        }
        coil
    }

    fn flash(&self, coil: u16, count: u16) -> Result<(), ExceptionCode> {
        if count == 0 || count > 0x7FFF {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let coil = usize::from(self.touch(coil));
        let (world, flashes) = (Arc::clone(&self.world), Arc::clone(&self.flashes));
        let written = move || flashes.lock().unwrap_or_else(PoisonError::into_inner).get(coil).copied();
        let mine = written();
        world.house().write_coil(coil, true, world.now());
        tokio::spawn(async move {
            if world.shutdown.run_until_cancelled(sleep(FLASH_UNIT * u32::from(count))).await.is_some()
                && written() == mine
            {
                world.house().write_coil(coil, false, world.now());
            }
        });
        Ok(())
    }
}

/// The next whole request, without its CRC. What is no frame is dropped byte by byte. Only requests of eight bytes are known.
fn next_frame(heard: &mut Vec<u8>) -> Option<Vec<u8>> {
    while let Some(candidate) = heard.get(..8) {
        if with_crc(&candidate[..6]) == candidate {
            let frame = candidate[..6].to_vec();
            heard.drain(..8);
            return Some(frame);
        }
        heard.remove(0);
    }
    None
}

/// CRC-16 of Modbus over Serial Line V1.02, section 6.2.2, bit by bit.
fn with_crc(frame: &[u8]) -> Vec<u8> {
    let mut crc = 0xFFFF_u16;
    for byte in frame {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    [frame, &crc.to_le_bytes()].concat()
}
