//! What hangs on which channel: the table in `mod.rs`, as constants and names.

use super::Line;

/// The number of coils, and of inputs.
pub const CHANNELS: usize = 16;

/// Coil: raises the boom.
pub const COIL_OPEN: usize = 0;
/// Coil: lowers the boom.
pub const COIL_CLOSE: usize = 1;
/// Coil: stops the boom where it is.
pub const COIL_STOP: usize = 2;
/// Coil: releases the door's lock while on.
pub const COIL_LOCK: usize = 4;
/// Input: the induction loop under the boom.
pub const INPUT_LOOP: usize = 0;
/// Input: the boom is fully open.
pub const INPUT_OPEN_LIMIT: usize = 1;
/// Input: the boom is fully closed.
pub const INPUT_CLOSED_LIMIT: usize = 2;
/// Input: the photocell beside the boom is blocked.
pub const INPUT_PHOTOCELL: usize = 3;
/// Input: the door is closed.
pub const INPUT_CONTACT: usize = 4;
/// Input: the exit button is pressed.
pub const INPUT_EXIT_BUTTON: usize = 5;
/// Input: the outer loop, which a car that drives in reaches first.
pub const INPUT_APPROACH: usize = 6;
/// Input: the inner loop, which a car that drives in reaches last.
pub const INPUT_DEPARTURE: usize = 7;
/// Input: the fire panel says fire.
pub const INPUT_FIRE: usize = 8;
/// Input: a key switch is turned to *open*.
pub const INPUT_KEY_OPEN: usize = 9;
/// Input: a key switch is turned to *locked*.
pub const INPUT_KEY_LOCK: usize = 10;

/// Inputs with a name, as the history and scene files call them.
const INPUTS: [(usize, &str); 11] = [
    (INPUT_LOOP, "loop"),
    (INPUT_OPEN_LIMIT, "open-limit"),
    (INPUT_CLOSED_LIMIT, "closed-limit"),
    (INPUT_PHOTOCELL, "photocell"),
    (INPUT_CONTACT, "contact"),
    (INPUT_EXIT_BUTTON, "exit-button"),
    (INPUT_APPROACH, "approach-loop"),
    (INPUT_DEPARTURE, "departure-loop"),
    (INPUT_FIRE, "fire"),
    (INPUT_KEY_OPEN, "key-open"),
    (INPUT_KEY_LOCK, "key-lock"),
];

/// The input of that name.
pub fn input_named(name: &str) -> Option<usize> {
    INPUTS.iter().find(|(_, known)| *known == name).map(|(channel, _)| *channel)
}

/// The names of all inputs that have one.
pub fn input_names() -> impl Iterator<Item = &'static str> {
    INPUTS.iter().map(|(_, name)| *name)
}

/// What a channel drives or shows; empty for one without a meaning.
pub(super) fn name_of(line: Line, channel: usize) -> &'static str {
    match (line, channel) {
        (Line::Relay, COIL_OPEN) => "open",
        (Line::Relay, COIL_CLOSE) => "close",
        (Line::Relay, COIL_STOP) => "stop",
        (Line::Relay, COIL_LOCK) => "lock",
        (Line::Relay, _) => "",
        (Line::Input, channel) => INPUTS.iter().find(|(known, _)| *known == channel).map_or("", |(_, name)| name),
    }
}
