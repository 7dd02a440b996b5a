//! What a configuration must fulfil beyond its syntax. All problems are reported together.

mod anpr;
mod camera;
mod reader;

use std::{collections::HashMap, fmt::Display, ops::RangeInclusive};

use super::{AnprConfig, Bias, BoardConfig, CameraConfig, HardwareConfig, Timing};
use crate::ConfigError;

impl HardwareConfig {
    /// Checks names, references, channels and ranges.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Problems::default();
        let boards = found.boards(&self.boards);
        found.outputs(self, &boards);
        found.inputs(self, &boards);
        found.modbus_channels(self, &boards);
        for camera in &self.cameras {
            found.camera(camera);
        }
        for camera in &self.anpr {
            found.anpr(camera);
        }
        found.unique("anpr", self.anpr.iter().map(AnprConfig::id));
        found.unique("camera", self.cameras.iter().map(CameraConfig::id));
        found.readers(self);
        if found.problems.is_empty() { Ok(()) } else { Err(ConfigError { problems: found.problems }) }
    }
}

#[derive(Default)]
pub(super) struct Problems {
    problems: Vec<String>,
}

pub(super) type Boards<'a> = HashMap<&'a str, &'a BoardConfig>;

impl Problems {
    pub(super) fn add(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    pub(super) fn range<T: PartialOrd + Display>(
        &mut self,
        entry: &str,
        key: &str,
        value: T,
        allowed: RangeInclusive<T>,
    ) {
        if !allowed.contains(&value) {
            self.add(format!("{entry}: {key} = {value} is not within {} to {}", allowed.start(), allowed.end()));
        }
    }

    fn unique<'a>(&mut self, kind: &str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = HashMap::<&str, usize>::new();
        for id in ids {
            if id.is_empty() || id.len() > 64 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                self.add(format!("{kind} {id:?}: an id has 1 to 64 letters, digits, '-', '_' or '.'"));
            }
            let count = seen.entry(id).or_default();
            *count += 1;
            if *count == 2 {
                self.add(format!("{kind} {id:?} is there more than once; give each {kind} its own id"));
            }
        }
    }

    fn boards<'a>(&mut self, boards: &'a [BoardConfig]) -> Boards<'a> {
        self.unique("board", boards.iter().map(BoardConfig::id));
        for board in boards {
            let entry = format!("board {:?}", board.id());
            let Timing { poll_ms, request_timeout_ms, deliver_within_ms, reconnect_max_ms } = board.timing();
            self.range(&entry, "timing.poll_ms", poll_ms, 5..=1000);
            self.range(&entry, "timing.request_timeout_ms", request_timeout_ms, 20..=5000);
            self.range(&entry, "timing.deliver_within_ms", deliver_within_ms, 40..=10_000);
            self.range(&entry, "timing.reconnect_max_ms", reconnect_max_ms, 100..=60_000);
            if deliver_within_ms < request_timeout_ms.saturating_mul(2) {
                self.add(format!(
                    "{entry}: timing.deliver_within_ms = {deliver_within_ms} is less than twice request_timeout_ms: a command \
                     may have to wait for the exchange in progress and then needs time for its own"
                ));
            }
            match board {
                BoardConfig::ModbusTcp(modbus) => {
                    let port = modbus.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                    if port.is_none_or(|port| port == 0) {
                        self.add(format!("{entry}: address {:?} is not host:port", modbus.address));
                    }
                    self.modbus_map(&entry, modbus.profile, modbus.map.as_ref());
                }
                BoardConfig::ModbusRtu(modbus) => {
                    self.range(&entry, "unit", modbus.unit, 1..=247);
                    self.range(&entry, "baud", modbus.baud, 300..=4_000_000);
                    self.modbus_map(&entry, modbus.profile, modbus.map.as_ref());
                }
                BoardConfig::SerialLcus(serial) => self.range(&entry, "baud", serial.baud, 300..=4_000_000),
                BoardConfig::GpioRppal(_) | BoardConfig::GpioCdev(_) => {}
            }
        }
        self.serial_lines(boards);
        boards.iter().map(|board| (board.id(), board)).collect()
    }

    /// Checks the line's board and channel; answers the board.
    fn line<'a>(&mut self, entry: &str, board: &str, channel: u32, boards: &Boards<'a>) -> Option<&'a BoardConfig> {
        let Some(found) = boards.get(board).copied() else {
            self.add(format!("{entry}: there is no board {board:?}"));
            return None;
        };
        let (least, most) = match found {
            BoardConfig::ModbusTcp(_) | BoardConfig::ModbusRtu(_) => (0, 65_535),
            BoardConfig::GpioRppal(_) => (0, 53),
            BoardConfig::GpioCdev(_) => (0, 1023),
            BoardConfig::SerialLcus(_) => (1, 16),
        };
        self.range(entry, "channel", channel, least..=most);
        Some(found)
    }

    /// Two lines on one channel would fight. On GPIO an output and an input cannot share one either.
    fn channels<'a>(&mut self, lines: impl Iterator<Item = (&'a str, u32, String)>) {
        let mut taken = HashMap::new();
        for (board, channel, entry) in lines {
            if let Some(other) = taken.insert((board, channel), entry.clone()) {
                self.add(format!("{entry} and {other} both use channel {channel} of board {board:?}"));
            }
        }
    }

    fn outputs(&mut self, config: &HardwareConfig, boards: &Boards<'_>) {
        self.unique("output", config.outputs.iter().map(|output| output.id.as_str()));
        for output in &config.outputs {
            let entry = format!("output {:?}", output.id);
            self.line(&entry, &output.board, output.channel, boards);
            self.range(&entry, "max_pulse_ms", output.max_pulse_ms, 1..=60_000);
        }
        let gpio = |id: &str| matches!(boards.get(id), Some(BoardConfig::GpioCdev(_) | BoardConfig::GpioRppal(_)));
        let outputs = config.outputs.iter().map(|o| (o.board.as_str(), o.channel, format!("output {:?}", o.id)));
        let gpio_inputs = config.inputs.iter().filter(|input| gpio(&input.board));
        self.channels(outputs.chain(gpio_inputs.map(|i| (i.board.as_str(), i.channel, format!("input {:?}", i.id)))));
    }

    fn inputs(&mut self, config: &HardwareConfig, boards: &Boards<'_>) {
        self.unique("input", config.inputs.iter().map(|input| input.id.as_str()));
        for input in &config.inputs {
            let entry = format!("input {:?}", input.id);
            self.range(&entry, "debounce_ms", input.debounce_ms, 0..=2000);
            match self.line(&entry, &input.board, input.channel, boards) {
                Some(BoardConfig::ModbusTcp(_) | BoardConfig::ModbusRtu(_)) => {
                    if input.bias != Bias::Off {
                        self.add(format!("{entry}: bias is for GPIO only; remove it"));
                    }
                }
                Some(BoardConfig::SerialLcus(_)) => {
                    self.add(format!("{entry}: a serial-lcus board has no inputs; connect it to another board"));
                }
                Some(BoardConfig::GpioRppal(_) | BoardConfig::GpioCdev(_)) | None => {}
            }
        }
        let modbus = |id: &str| matches!(boards.get(id), Some(BoardConfig::ModbusTcp(_) | BoardConfig::ModbusRtu(_)));
        let inputs = config.inputs.iter().filter(|input| modbus(&input.board));
        self.channels(inputs.map(|i| (i.board.as_str(), i.channel, format!("input {:?}", i.id))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[board]]
        id = "io1"
        driver = "modbus-tcp"
        address = "127.0.0.1:1502"
        unit = 1
        [board.timing]
        poll_ms = 20
        [[board]]
        id = "pins"
        driver = "gpio-cdev"
        chip = "/dev/gpiochip0"
        [[output]]
        id = "barrier-open"
        board = "io1"
        channel = 0
        [[input]]
        id = "barrier-loop"
        board = "io1"
        channel = 0
        debounce_ms = 20
        [[input]]
        id = "button"
        board = "pins"
        channel = 4
        bias = "pull-up"
        active_low = true
        [[camera]]
        id = "plate-cam"
        driver = "http-mjpeg"
        url = "http://127.0.0.1:8080/stream.mjpeg"
        username = "viewer"
        password = "hunter2"
    "#;

    fn parse(text: &str) -> HardwareConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_good_configuration_is_accepted_and_does_not_show_its_password() {
        let config = parse(GOOD);
        config.validate().unwrap();
        assert_eq!(config.boards[0].timing().poll_ms, 20);
        assert_eq!(config.boards[0].timing().request_timeout_ms, 500, "the others keep their defaults");
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && shown.contains('…'));
        HardwareConfig::default().validate().unwrap();
    }

    #[test]
    fn unknown_keys_are_refused_everywhere() {
        for (place, key) in [
            ("unit = 1", "unti = 1"),
            ("poll_ms = 20", "pol_ms = 20"),
            ("channel = 0", "channel = 0\nchanel = 1"),
            ("bias = \"pull-up\"", "bias = \"pull-up\"\npull = 1"),
            ("username = ", "user = "),
            ("[[camera]]", "[[kamera]]"),
            ("driver = \"modbus-tcp\"", "driver = \"modbus\""),
        ] {
            let text = GOOD.replacen(place, key, 1);
            assert_ne!(text, GOOD);
            let refused = toml::from_str::<HardwareConfig>(&text).unwrap_err().to_string();
            assert!(refused.contains("unknown"), "{key}: {refused}");
        }
    }

    fn problems(from: &str, to: &str) -> String {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        parse(&text).validate().unwrap_err().to_string()
    }

    #[test]
    fn each_problem_names_its_entry_and_the_way_out() {
        for (from, to, expected) in [
            ("board = \"io1\"", "board = \"io2\"", "output \"barrier-open\": there is no board \"io2\""),
            ("127.0.0.1:1502", "127.0.0.1", "is not host:port"),
            ("poll_ms = 20", "poll_ms = 1", "timing.poll_ms = 1 is not within 5 to 1000"),
            ("poll_ms = 20", "request_timeout_ms = 600", "deliver_within_ms = 1000 is less than twice"),
            ("id = \"pins\"", "id = \"io1\"", "board \"io1\" is there more than once"),
            ("channel = 4", "channel = 4096", "channel = 4096 is not within 0 to 1023"),
            ("debounce_ms = 20", "bias = \"pull-up\"", "bias is for GPIO only"),
            ("http://", "https://", "https needs ca_file"),
            ("http://", "rtsp://", "use http or https"),
            ("http://", "http://u:p@", "not into the url"),
            ("username = \"viewer\"", "", "a password needs a username"),
            ("id = \"button\"", "id = \"a button\"", "an id has 1 to 64"),
        ] {
            let told = problems(from, to);
            assert!(told.contains(expected), "{to}: {told}");
        }
    }

    #[test]
    fn two_lines_on_one_channel_are_refused_but_coils_and_inputs_are_counted_apart() {
        let both = format!("{GOOD}\n[[output]]\nid = \"other\"\nboard = \"io1\"\nchannel = 0");
        assert!(parse(&both).validate().unwrap_err().to_string().contains("both use channel 0"));
        let pin = format!("{GOOD}\n[[output]]\nid = \"other\"\nboard = \"pins\"\nchannel = 4");
        assert!(parse(&pin).validate().unwrap_err().to_string().contains("both use channel 4"));
    }

    #[test]
    fn modbus_boards_share_a_line_by_their_units() {
        let board = |id: &str, more: &str| {
            format!("[[board]]\nid = \"{id}\"\ndriver = \"modbus-rtu\"\npath = \"/dev/ttyUSB0\"\n{more}\n")
        };
        parse(&format!("{}{}", board("a", "unit = 1"), board("b", "unit = 2"))).validate().unwrap();
        for (other, expected) in [
            ("unit = 0", "unit = 0 is not within 1 to 247"),
            ("unit = 1", "boards \"a\" and \"b\" both use /dev/ttyUSB0 as unit 1"),
            ("unit = 2\nbaud = 19200", "with another baud or parity"),
            (
                "unit = 2\ntiming = { request_timeout_ms = 1500, deliver_within_ms = 3000 }",
                "board \"a\": timing.deliver_within",
            ),
        ] {
            let told = parse(&format!("{}{}", board("a", "unit = 1"), board("b", other))).validate().unwrap_err();
            assert!(told.problems.len() == 1 && told.to_string().contains(expected), "{other}: {told}");
        }
        let lcus = "[[board]]\nid = \"usb\"\ndriver = \"serial-lcus\"\npath = \"/dev/ttyUSB0\"\n";
        let told = parse(&format!("{}{lcus}", board("a", "unit = 1"))).validate().unwrap_err();
        assert!(told.to_string().contains("only Modbus RTU boards share a line"), "{told}");
    }

    #[test]
    fn maps_and_channels_fit_the_board() {
        let site = |board: &str, line: &str| {
            let text = format!("[[board]]\nid = 'b'\ndriver = 'modbus-tcp'\naddress = 'a:502'\n{board}\n{line}\n");
            parse(&text).validate().map_err(|error| error.to_string())
        };
        let output = |channel: u32| format!("[[output]]\nid = 'o'\nboard = 'b'\nchannel = {channel}");
        let input = |channel: u32| format!("[[input]]\nid = 'i'\nboard = 'b'\nchannel = {channel}");
        site("profile = 'waveshare-relay'", &output(1)).unwrap();
        site("profile = 'adam-6000'", &input(0)).unwrap();
        site("[board.map.input]\ntable = 'input-register'\naddress = 5\nlayout = 'bits'", &input(31)).unwrap();
        let far = "[board.map.input]\ntable = 'holding-register'\naddress = 0";
        for (board, line, expected) in [
            ("profile = 'waveshare-relay'", output(0), "channel 0 is not on the board, whose channels begin at 1"),
            ("profile = 'eletechsup'", input(1), "has no inputs"),
            ("profile = 'adam-6000'", output(65_530), "beyond the last address"),
            (far, output(0), "has no outputs in its map"),
            (far, format!("{}\n{}", input(0), input(125).replace("'i'", "'j'")), "do not fit one answer (125)"),
            ("profile = 'icp-das'\n[board.map.output]\ntable = 'coil'\naddress = 0", output(0), "remove one of them"),
            ("[board.map.output]\ntable = 'coil'\naddress = 0\non = 5", output(0), "a coil needs neither"),
            ("[board.map.output]\ntable = 'holding-register'\naddress = 0\noff = 1", output(0), "the same value"),
        ] {
            let told = site(board, &line).unwrap_err();
            assert!(told.contains(expected), "{board} {line}: {told}");
        }
    }

    #[test]
    fn a_relay_board_without_inputs_is_told_apart() {
        let text = "[[board]]\nid = \"usb\"\ndriver = \"serial-lcus\"\npath = \"/dev/ttyUSB0\"\n\
                    [[input]]\nid = \"loop\"\nboard = \"usb\"\nchannel = 1\n\
                    [[output]]\nid = \"lock\"\nboard = \"usb\"\nchannel = 0";
        let told = parse(text).validate().unwrap_err();
        assert_eq!(told.problems.len(), 2, "{told}");
        assert!(told.to_string().contains("has no inputs") && told.to_string().contains("within 1 to 16"));
    }
}
