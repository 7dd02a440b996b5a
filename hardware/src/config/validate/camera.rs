//! What the keys of a camera must fulfil.

use std::path::PathBuf;

use url::Url;

use super::Problems;
use crate::config::{CameraConfig, Secret};

impl Problems {
    pub(super) fn camera(&mut self, camera: &CameraConfig) {
        let entry = format!("camera {:?}", camera.id());
        self.range(&entry, "timeout_ms", camera.timeout().as_millis(), 50..=30_000);
        self.range(&entry, "min_interval_ms", camera.min_interval().as_millis(), 0..=10_000);
        self.range(&entry, "frozen_after_s", camera.frozen_after_s(), 0..=3_600);
        match camera {
            CameraConfig::HttpSnapshot(http) | CameraConfig::HttpMjpeg(http) => {
                self.web(&entry, &http.url, http.ca_file.as_ref());
                self.login(&entry, &http.url, http.username.as_ref(), http.password.as_ref());
                self.range(&entry, "max_bytes", http.max_bytes, 1024..=32 * 1024 * 1024);
            }
            CameraConfig::Rtsp(rtsp) => {
                if rtsp.url.scheme() != "rtsp" || rtsp.url.host_str().is_none_or(str::is_empty) {
                    self.add(format!("{entry}: url does not start with rtsp:// and a host"));
                }
                self.login(&entry, &rtsp.url, rtsp.username.as_ref(), rtsp.password.as_ref());
                self.range(&entry, "max_bytes", rtsp.max_bytes, 1024..=32 * 1024 * 1024);
                self.range(&entry, "max_pixels", rtsp.max_pixels, 4_096..=33_554_432);
            }
            CameraConfig::V4l2(v4l2) => {
                self.range(&entry, "width", v4l2.width, 16..=7_680);
                self.range(&entry, "height", v4l2.height, 16..=4_320);
                self.range(&entry, "fps", v4l2.fps, 1..=120);
            }
            CameraConfig::Replay(replay) => self.range(&entry, "fps", replay.fps, 0.1..=120.0),
        }
    }

    /// An address for HTTP, in clear text or with an authority of its own.
    pub(super) fn web(&mut self, entry: &str, url: &Url, ca_file: Option<&PathBuf>) {
        match (url.scheme(), ca_file.is_some()) {
            ("http", false) | ("https", true) => {}
            ("http", true) => self.add(format!("{entry}: ca_file is for https only; remove it")),
            ("https", false) => {
                self.add(format!("{entry}: https needs ca_file, the PEM file of who signed its certificate"));
            }
            (other, _) => self.add(format!("{entry}: url has scheme {other:?}; use http or https")),
        }
    }

    pub(super) fn login(&mut self, entry: &str, url: &Url, username: Option<&String>, password: Option<&Secret>) {
        if !url.username().is_empty() || url.password().is_some() {
            self.add(format!("{entry}: put user and password into username and password, not into the url"));
        }
        if password.is_some() && username.is_none() {
            self.add(format!("{entry}: a password needs a username"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::HardwareConfig;

    fn problems(keys: &str) -> String {
        let config: HardwareConfig = toml::from_str(&format!("[[camera]]\nid = \"yard\"\n{keys}")).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        config.validate().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_driver_says_what_it_cannot_use() {
        for (keys, expected) in [
            ("driver = \"rtsp\"\nurl = \"rtsp://192.0.2.9/sub\"\nusername = \"v\"\npassword = \"hunter2\"", ""),
            ("driver = \"rtsp\"\nurl = \"http://192.0.2.9/sub\"", "rtsp://"),
            ("driver = \"rtsp\"\nurl = \"rtsp://v:p@192.0.2.9/sub\"", "not into the url"),
            ("driver = \"rtsp\"\nurl = \"rtsp://192.0.2.9/\"\nmax_pixels = 1", "max_pixels = 1 is not within"),
            ("driver = \"v4l2\"\npath = \"/dev/video0\"", ""),
            ("driver = \"v4l2\"\npath = \"/dev/video0\"\nwidth = 1", "width = 1 is not within"),
            ("driver = \"replay\"\npath = \"tape\"", ""),
            ("driver = \"replay\"\npath = \"tape\"\nfps = 0.0", "fps = 0 is not within"),
            ("driver = \"replay\"\npath = \"tape\"\nfrozen_after_s = 9999", "frozen_after_s"),
        ] {
            let told = problems(keys);
            assert!(if expected.is_empty() { told.is_empty() } else { told.contains(expected) }, "{keys}: {told}");
        }
    }
}
