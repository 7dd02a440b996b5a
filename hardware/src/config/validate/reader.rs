//! Readers: ranges, formats, and lines that only one thing can have.

use std::collections::{HashMap, HashSet};

use super::Problems;
use crate::{
    config::{BoardConfig, HardwareConfig, PulsesConfig, ReaderConfig, SecureChannel},
    reader::bits::BitFormat,
};

impl Problems {
    pub(super) fn readers(&mut self, config: &HardwareConfig) {
        self.unique("reader", config.readers.iter().map(ReaderConfig::id));
        for reader in &config.readers {
            let entry = format!("reader {:?}", reader.id());
            match reader {
                ReaderConfig::Wiegand(wiegand) => {
                    self.range(&entry, "d0", wiegand.d0, 0..=1023);
                    self.range(&entry, "d1", wiegand.d1, 0..=1023);
                    if wiegand.d0 == wiegand.d1 {
                        self.add(format!("{entry}: d0 and d1 are the same line; a reader needs two"));
                    }
                    self.wires(&entry, &wiegand.formats, &wiegand.pulses);
                }
                ReaderConfig::WiegandSim(sim) => self.wires(&entry, &sim.formats, &sim.pulses),
                ReaderConfig::Osdp(osdp) => {
                    self.formats(&entry, &osdp.formats);
                    self.range(&entry, "baud", osdp.baud, 300..=4_000_000);
                    self.range(&entry, "address", osdp.address, 0..=126);
                    self.range(&entry, "poll_ms", osdp.poll_ms, 10..=1_000);
                    if osdp.secure_channel == SecureChannel::Required && osdp.key_file.is_none() {
                        self.add(format!("{entry}: the secure channel needs key_file, where the reader's key is kept"));
                    }
                }
                ReaderConfig::SerialLine(line) => {
                    self.range(&entry, "baud", line.baud, 300..=4_000_000);
                    self.range(&entry, "max_length", line.max_length, 4..=crate::reader::line::MAX_LINE);
                    self.range(&entry, "within_ms", line.within_ms, 20..=5_000);
                    if line.prefix.len() + line.suffix.len() >= line.max_length {
                        self.add(format!("{entry}: prefix and suffix leave no room within max_length"));
                    }
                }
            }
        }
        self.taken(config);
    }

    fn wires(&mut self, entry: &str, formats: &[BitFormat], pulses: &PulsesConfig) {
        self.formats(entry, formats);
        if formats.contains(&BitFormat::Uid) {
            self.add(format!("{entry}: \"uid\" has no parity, so two wires cannot carry it; it is for OSDP"));
        }
        self.range(entry, "pulses.min_pulse_us", pulses.min_pulse_us, 1..=1_000);
        self.range(entry, "pulses.max_pulse_us", pulses.max_pulse_us, 20..=10_000);
        self.range(entry, "pulses.min_period_us", pulses.min_period_us, 20..=10_000);
        self.range(entry, "pulses.silence_ms", pulses.silence_ms, 2..=500);
        if pulses.min_pulse_us >= pulses.max_pulse_us {
            self.add(format!("{entry}: pulses.min_pulse_us is not less than pulses.max_pulse_us"));
        }
        if pulses.silence_ms.saturating_mul(1_000) <= pulses.min_period_us.max(pulses.max_pulse_us) {
            self.add(format!("{entry}: pulses.silence_ms is not longer than a pulse and the time to the next"));
        }
    }

    /// Two formats of one length cannot be told apart.
    pub(super) fn formats(&mut self, entry: &str, formats: &[BitFormat]) {
        if formats.is_empty() {
            self.add(format!("{entry}: formats is empty: name one, or leave it out for \"w26\""));
        }
        let mut lengths = HashSet::new();
        for format in formats {
            if !lengths.insert(format.length()) {
                self.add(format!("{entry}: two formats have one length, so that a card could be either; keep one"));
            }
        }
    }

    fn taken(&mut self, config: &HardwareConfig) {
        let mut lines: HashMap<(&std::path::Path, u32), String> = HashMap::new();
        let mut serial: HashMap<&std::path::Path, String> = HashMap::new();
        for board in &config.boards {
            match board {
                BoardConfig::GpioCdev(cdev) => {
                    let outputs = config.outputs.iter().filter(|o| o.board == cdev.id).map(|o| o.channel);
                    let inputs = config.inputs.iter().filter(|i| i.board == cdev.id).map(|i| i.channel);
                    for channel in outputs.chain(inputs) {
                        lines.insert((&cdev.chip, channel), format!("board {:?}", cdev.id));
                    }
                }
                BoardConfig::ModbusRtu(rtu) => {
                    serial.insert(&rtu.path, format!("board {:?}", rtu.id));
                }
                BoardConfig::SerialLcus(lcus) => {
                    serial.insert(&lcus.path, format!("board {:?}", lcus.id));
                }
                BoardConfig::ModbusTcp(_) | BoardConfig::GpioRppal(_) => {}
            }
        }
        for reader in &config.readers {
            let entry = format!("reader {:?}", reader.id());
            match reader {
                ReaderConfig::Wiegand(wiegand) => {
                    for line in [wiegand.d0, wiegand.d1] {
                        if let Some(other) = lines.insert((&wiegand.chip, line), entry.clone())
                            && other != entry
                        {
                            let chip = wiegand.chip.display();
                            self.add(format!("{entry} and {other} both use line {line} of {chip}"));
                        }
                    }
                }
                ReaderConfig::SerialLine(line) => {
                    if let Some(other) = serial.insert(&line.path, entry.clone()) {
                        self.add(format!("{entry} and {other} both use {}; each needs its own", line.path.display()));
                    }
                }
                ReaderConfig::Osdp(osdp) => {
                    if let Some(other) = serial.insert(&osdp.path, entry.clone()) {
                        self.add(format!("{entry} and {other} both use {}; each needs its own", osdp.path.display()));
                    }
                }
                ReaderConfig::WiegandSim(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let config: HardwareConfig = toml::from_str(text).unwrap();
        config.validate().err().map(|error| error.to_string()).unwrap_or_default()
    }

    const WIEGAND: &str = "[[reader]]\nid = \"r\"\ndriver = \"wiegand\"\nchip = \"/dev/gpiochip0\"\nd0 = 17\nd1 = 27\n";
    const SCANNER: &str =
        "[[reader]]\nid = \"s\"\ndriver = \"serial-line\"\npath = \"/dev/ttyACM0\"\nformat = \"text\"\n";

    #[test]
    fn the_least_configurations_are_accepted() {
        assert_eq!(problems(&format!("{WIEGAND}{SCANNER}")), "");
    }

    #[test]
    fn each_problem_names_its_entry_and_the_way_out() {
        for (keys, expected) in [
            ("formats = [\"w37\", \"w37-facility\"]", "keep one"),
            ("formats = [\"uid\"]", "it is for OSDP"),
            ("formats = []", "formats is empty"),
            ("[reader.pulses]\nsilence_ms = 1", "silence_ms = 1 is not within 2 to 500"),
            ("[reader.pulses]\nmin_pulse_us = 900", "min_pulse_us is not less than"),
        ] {
            let told = problems(&format!("{WIEGAND}{keys}\n"));
            assert!(told.contains(expected) && told.contains("reader \"r\""), "{keys}: {told}");
        }
        assert!(problems(&WIEGAND.replace("27", "17")).contains("a reader needs two"));
        assert!(problems(&format!("{SCANNER}max_length = 3")).contains("not within 4 to 256"));
        let twice = SCANNER.replace("\"s\"", "\"other\"");
        assert!(problems(&format!("{SCANNER}{twice}")).contains("both use /dev/ttyACM0"));
        let board = "[[board]]\nid = \"pins\"\ndriver = \"gpio-cdev\"\nchip = \"/dev/gpiochip0\"\n\
                     [[output]]\nid = \"lock\"\nboard = \"pins\"\nchannel = 17\n";
        assert!(problems(&format!("{board}{WIEGAND}")).contains("both use line 17"));
    }
}
