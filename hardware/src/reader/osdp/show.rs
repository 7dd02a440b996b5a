//! What was decided, as light and sound of the reader. Pure: an answer goes in, commands come out.

use osdp::command::{BuzzerControl, BuzzerTone, LedColor, LedControl, LedPermanent, LedTemporary, led::LedRecord};

use super::wire::code;
use crate::reader::Answer;

/// Times are in units of 100 ms (SIA OSDP v2.2, sections 6.9 and 6.10).
const LIT_FOR: u16 = 20;
/// The temporary state begins now, and what was there before comes back when it ends (table 16).
const SET_TEMPORARY: u8 = 2;
/// The permanent state stays as it is (table 17).
const KEEP_PERMANENT: u8 = 0;

/// The commands that show `answer`, with their data. A reader without a light or a beeper refuses what it does not have.
pub(super) fn commands(answer: Answer) -> [(u8, Vec<u8>); 2] {
    let (color, flashes, tones) = match answer {
        Answer::Granted => (LedColor::Green, false, 1),
        Answer::Refused => (LedColor::Red, true, 3),
        Answer::Awaited => (LedColor::Amber, true, 1),
    };
    let off_time = if flashes { 2 } else { 0 };
    let temporary = LedTemporary {
        control: SET_TEMPORARY,
        on_time: 2,
        off_time,
        on_color: color,
        off_color: if flashes { LedColor::Black } else { color },
        timer: LIT_FOR,
    };
    let permanent = LedPermanent {
        control: KEEP_PERMANENT,
        on_time: 0,
        off_time: 0,
        on_color: LedColor::Black,
        off_color: LedColor::Black,
    };
    let light = LedControl::new(vec![LedRecord { reader: 0, led: 0, temporary, permanent }]);
    let sound = BuzzerControl { reader: 0, tone: BuzzerTone::Default, on_time: 1, off_time: 1, count: tones };
    // Neither can fail: there is one record.
    [(code::LED, light.encode().unwrap_or_default()), (code::BUZ, sound.encode().unwrap_or_default())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte as in tables 15 and 19 of the standard.
    #[test]
    fn a_grant_is_a_steady_green_and_one_tone_and_a_refusal_flashes_red() {
        let [(led, light), (buzzer, sound)] = commands(Answer::Granted);
        assert_eq!((led, light), (0x69, vec![0, 0, 2, 2, 0, 2, 2, 20, 0, 0, 0, 0, 0, 0]));
        assert_eq!((buzzer, sound), (0x6A, vec![0, 2, 1, 1, 1]));
        let [(_, light), (_, sound)] = commands(Answer::Refused);
        assert_eq!(light, [0, 0, 2, 2, 2, 1, 0, 20, 0, 0, 0, 0, 0, 0]);
        assert_eq!(sound, [0, 2, 1, 1, 3]);
    }
}
