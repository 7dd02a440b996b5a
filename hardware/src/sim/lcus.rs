//! A USB relay board with the LCUS protocol, on a pseudo-terminal: relays 1 to 8 are the coils 0 to 7 of the house.

use std::{io, sync::Arc};

use tokio::io::AsyncReadExt as _;
use tokio_serial::SerialStream;

use super::{
    SimConfig, SimError, World,
    part::Parts,
    plug::{Device, Plug},
};

/// The name of the board, and the key of its path.
pub const LCUS_PART: &str = "lcus";
const RELAYS: u8 = 8;

pub(super) fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let Some(path) = &config.lcus else { return Ok(()) };
    let plug = Plug::new(LCUS_PART, path);
    let first = plug.insert()?;
    let board = Board { world: Arc::clone(world) };
    parts.serve(LCUS_PART, path.display().to_string(), tokio::spawn(plug.clone().serve(world.clone(), first, board)));
    parts.add(plug);
    Ok(())
}

struct Board {
    world: Arc<World>,
}

impl Device for Board {
    async fn talk(&mut self, port: &mut SerialStream, plug: &Plug) -> io::Result<()> {
        let mut heard = Vec::new();
        loop {
            if port.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
            while let Some(command) = next_command(&mut heard) {
                if !plug.arrives().await {
                    continue;
                }
                match command {
                    Command::Tell => plug.answer(port, self.states().as_bytes()).await?,
                    Command::Switch(relay, on) => {
                        self.world.house().write_coil(usize::from(relay - 1), on, self.world.now());
                    }
                }
            }
        }
    }
}

impl Board {
    fn states(&self) -> String {
        let coils = self.world.house().coils();
        let line = |relay: u8| {
            let on = coils.get(usize::from(relay - 1)).copied().unwrap_or_default();
            format!("CH{relay}: {}\r\n", if on { "ON" } else { "OFF" })
        };
        (1..=RELAYS).map(line).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Tell,
    Switch(u8, bool),
}

/// The next command; what is none is dropped byte by byte.
fn next_command(heard: &mut Vec<u8>) -> Option<Command> {
    loop {
        match *heard.as_slice() {
            [0xFF, ..] => {
                heard.remove(0);
                return Some(Command::Tell);
            }
            [0xA0, relay @ 1..=RELAYS, on @ 0..=1, sum, ..] if sum == 0xA0 + relay + on => {
                heard.drain(..4);
                return Some(Command::Switch(relay, on == 1));
            }
            [0xA0, ..] if heard.len() < 4 => return None,
            [] => return None,
            _ => drop(heard.remove(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_between_noise() {
        let mut heard = [&[0x00, 0xA0, 0x09][..], &[0xA0, 2, 1, 0xA3], &[0xA0, 2, 0, 0xA3], &[0xFF, 0xA0, 1]].concat();
        assert_eq!(next_command(&mut heard), Some(Command::Switch(2, true)));
        assert_eq!(next_command(&mut heard), Some(Command::Tell), "a wrong sum is no command");
        assert_eq!(next_command(&mut heard), None);
        heard.extend([0, 0xA1]);
        assert_eq!(next_command(&mut heard), Some(Command::Switch(1, false)));
    }
}
