//! What must be true of Modbus boards: maps that fit their addresses, and lines that boards share.

use std::{collections::HashMap, path::Path};

use super::{
    BoardConfig, HardwareConfig, ModbusRtuConfig, OutputTable, Profile, RegisterMap,
    validate::{Boards, Problems},
};

impl Problems {
    /// The map of one board.
    pub(super) fn modbus_map(&mut self, entry: &str, profile: Profile, map: Option<&RegisterMap>) {
        let Some(map) = map else { return };
        if profile != Profile::Plain {
            self.add(format!("{entry}: profile and map both say where its relays are; remove one of them"));
        }
        let Some(output) = &map.output else { return };
        if output.table == OutputTable::Coil && (output.on, output.off) != (1, 0) {
            self.add(format!("{entry}: map.output.on and off are for holding registers; a coil needs neither"));
        }
        if output.on == output.off {
            self.add(format!("{entry}: map.output.on and off are the same value"));
        }
        if let Some(pulse) = &output.pulse {
            self.range(entry, "map.output.pulse.unit_ms", pulse.unit_ms, 1..=10_000);
            if pulse.max == 0 || pulse.base.checked_add(pulse.max).is_none() {
                self.add(format!("{entry}: map.output.pulse.max must be at least 1, and base + max at most 65535"));
            }
        }
    }

    /// Channels of outputs and inputs have an address each, and all inputs of a board come in one answer.
    pub(super) fn modbus_channels(&mut self, config: &HardwareConfig, boards: &Boards<'_>) {
        let map_of = |board: &str| boards.get(board).and_then(|board| board.register_map());
        for output in &config.outputs {
            let Some(map) = map_of(&output.board) else { continue };
            let entry = format!("output {:?}", output.id);
            let Some(target) = &map.output else {
                self.add(format!("{entry}: board {:?} has no outputs in its map", output.board));
                continue;
            };
            let Some(offset) = self.offset(&entry, output.channel, map.first_channel) else { continue };
            let highest = target.address.max(target.pulse.as_ref().map_or(0, |pulse| pulse.address));
            if highest.checked_add(offset).is_none() {
                self.add(format!("{entry}: channel {} lies beyond the last address, 65535", output.channel));
            }
        }
        let mut spans = HashMap::<&str, (u16, u16)>::new();
        for input in &config.inputs {
            let Some(map) = map_of(&input.board) else { continue };
            let entry = format!("input {:?}", input.id);
            let Some(source) = &map.input else {
                let reason = "such boards have none, or its map does not say where";
                self.add(format!("{entry}: board {:?} has no inputs: {reason}", input.board));
                continue;
            };
            let Some(offset) = self.offset(&entry, input.channel, map.first_channel) else { continue };
            let Some((address, _)) = source.place(offset) else {
                self.add(format!("{entry}: channel {} lies beyond the last address, 65535", input.channel));
                continue;
            };
            let (low, high) = spans.entry(&input.board).or_insert((address, address));
            (*low, *high) = ((*low).min(address), (*high).max(address));
            if high.abs_diff(*low) >= source.most_at_once() {
                let most = source.most_at_once();
                self.add(format!("{entry}: the inputs of board {:?} do not fit one answer ({most})", input.board));
            }
        }
    }

    fn offset(&mut self, entry: &str, channel: u32, first: u16) -> Option<u16> {
        let offset = channel.checked_sub(u32::from(first)).and_then(|offset| u16::try_from(offset).ok());
        if offset.is_none() {
            self.add(format!("{entry}: channel {channel} is not on the board, whose channels begin at {first}"));
        }
        offset
    }

    /// Boards on one line have units of their own and the same settings; another kind of board does not share a line.
    pub(super) fn serial_lines(&mut self, boards: &[BoardConfig]) {
        let mut lines = HashMap::<&Path, Vec<&BoardConfig>>::new();
        for board in boards {
            let path = match board {
                BoardConfig::ModbusRtu(board) => &board.path,
                BoardConfig::SerialLcus(board) => &board.path,
                BoardConfig::ModbusTcp(_) | BoardConfig::GpioRppal(_) | BoardConfig::GpioCdev(_) => continue,
            };
            let others = lines.entry(path).or_default();
            for other in others.iter() {
                self.neighbours(other, board, path);
            }
            others.push(board);
        }
    }

    fn neighbours(&mut self, one: &BoardConfig, other: &BoardConfig, path: &Path) {
        let names = format!("boards {:?} and {:?} both use {}", one.id(), other.id(), path.display());
        let (BoardConfig::ModbusRtu(one), BoardConfig::ModbusRtu(other)) = (one, other) else {
            self.add(format!("{names}; only Modbus RTU boards share a line"));
            return;
        };
        let settings = |board: &ModbusRtuConfig| (board.baud, board.parity);
        if settings(one) != settings(other) {
            self.add(format!("{names}, but with another baud or parity; a line has one of each"));
        }
        if one.unit == other.unit {
            self.add(format!("{names} as unit {}; give each board its own unit", one.unit));
        }
        let longest = one.timing.request_timeout_ms.max(other.timing.request_timeout_ms);
        for board in [one, other] {
            if board.timing.deliver_within_ms < longest.saturating_add(board.timing.request_timeout_ms) {
                self.add(format!(
                    "board {:?}: timing.deliver_within_ms = {} is too short: a command may have to wait {longest} ms for its \
                     turn on the line",
                    board.id, board.timing.deliver_within_ms
                ));
            }
        }
    }
}
