//! Names of certificates and redirect URIs out of any text, and certificates out of any bytes: no panic, and what is taken is
//! written in one way only.
#![no_main]

use cardea_cloud::auth::fuzzing::{certificate_has, certificate_name, redirect_uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // a line with a name, then a certificate
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (name, certificate) = (&data[..line], data.get(line + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(name) else { return };
    if let Some(name) = certificate_name(text) {
        assert_eq!(certificate_name(&name).as_ref(), Some(&name), "{text}");
        let (given, own) = (certificate_has(certificate, text), certificate_has(certificate, &name));
        assert_eq!(given, own, "{text}");
    }
    if let Some(uri) = redirect_uri(text) {
        assert_eq!(uri, text);
        let here = uri.starts_with("http://127.0.0.1") || uri.starts_with("http://[::1]");
        assert!(uri.starts_with("https://") || here, "{uri}");
        assert!(!uri.contains('#') && uri.len() <= 1_000, "{uri}");
    }
});
