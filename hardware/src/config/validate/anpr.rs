//! What the keys of a camera that reads plates must fulfil.

use super::Problems;
use crate::config::AnprConfig;

impl Problems {
    pub(super) fn anpr(&mut self, camera: &AnprConfig) {
        let entry = format!("anpr {:?}", camera.id());
        let (timeout_ms, max_bytes) = camera.limits();
        self.range(&entry, "timeout_ms", timeout_ms, 1_000..=300_000);
        self.range(&entry, "max_bytes", max_bytes, 1024..=32 * 1024 * 1024);
        self.range(&entry, "min_confidence", camera.min_confidence(), 0.0..=1.0);
        let wanted = camera.wanted();
        self.range(&entry, "channel", u64::from(wanted.channel), 1..=512);
        self.range(&entry, "lane", u64::from(wanted.lane.unwrap_or_default()), 0..=99);
        match camera {
            AnprConfig::Hikvision(pull) | AnprConfig::Dahua(pull) => {
                self.web(&entry, &pull.url, pull.ca_file.as_ref());
                self.login(&entry, &pull.url, pull.username.as_ref(), pull.password.as_ref());
            }
            AnprConfig::HikvisionPush(push) => {
                let token = push.token.expose();
                if !(24..=128).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    self.add(format!(
                        "{entry}: token needs 24 to 128 letters and digits; `openssl rand -hex 16` makes one"
                    ));
                }
                if push.allow_from.is_empty() {
                    self.add(format!("{entry}: allow_from is empty: name the camera's address"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::HardwareConfig;

    fn problems(keys: &str) -> String {
        let config: HardwareConfig = toml::from_str(&format!("[[anpr]]\nid = \"lane\"\n{keys}")).unwrap();
        let shown = format!("{config:?}{}", toml::to_string(&config).unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("0123456789abcdef01234567"));
        config.validate().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_driver_says_what_it_cannot_use() {
        let push = "driver = \"hikvision-push\"\nlisten = \"0.0.0.0:8099\"\n";
        let (from, token) = ("allow_from = [\"192.0.2.9\"]\n", "token = \"0123456789abcdef01234567\"\n");
        let pull = "driver = \"dahua\"\nurl = \"http://192.0.2.9/\"\nusername = \"v\"\npassword = \"hunter2\"\n";
        for (keys, expected) in [
            (pull.to_owned(), ""),
            (pull.replace("http://", "https://"), "ca_file"),
            (format!("{pull}min_confidence = 2.0"), "min_confidence"),
            (format!("{pull}channel = 2\nlane = 1\ndirection = \"approach\""), ""),
            (format!("{pull}channel = 0"), "channel"),
            (format!("{pull}lane = 100"), "lane"),
            (format!("{push}{from}{token}"), ""),
            (format!("{push}allow_from = []\n{token}"), "allow_from is empty"),
            (format!("{push}{from}token = \"short\""), "openssl rand"),
        ] {
            let told = problems(&keys);
            assert!(if expected.is_empty() { told.is_empty() } else { told.contains(expected) }, "{keys}: {told}");
        }
    }
}
