//! What relay boards send: Modbus over TCP and RTU, and the states of an LCUS board. No panic, and nothing is taken for an
//! acknowledgement that does not repeat the unit and the function that were asked.
#![no_main]

use cardea_hardware::fuzzing_boards::{acknowledged, inputs, lcus_status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [kind, bytes @ ..] = data else { return };
    let (over_tcp, table, pulse) = (kind & 1 == 1, kind >> 1, kind & 0x80 != 0);
    let _ = inputs(over_tcp, table, bytes);
    if acknowledged(over_tcp, table, pulse, bytes) {
        let function = if table % 4 < 2 { 5 } else { 6 };
        assert!(bytes.windows(2).any(|pair| pair == [1, function]));
    }
    for relay in [1, 16] {
        let _ = lcus_status(bytes, relay);
    }
});
