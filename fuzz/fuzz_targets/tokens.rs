//! A token, to the judges of the cloud's own and of another issuer's: none is taken that the issuer's key has not signed, and
//! of signed ones none that is for another service, too old, too long-lived, or bound to another certificate.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use cardea_cloud::auth::fuzzing::{ISSUER, Judges, NOW, THUMBPRINT};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static JUDGES: LazyLock<Judges> = LazyLock::new(|| Judges::new().expect("a key"));

fn refused(token: &str) {
    assert!(!JUDGES.own_takes(token) && !JUDGES.other_takes(token), "taken without a signature");
}

/// Claims, signed with the right key.
fn signed(claims: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Value>(claims) else { return };
    let Some(token) = JUDGES.signed(&claims) else { return };
    for taken in [JUDGES.own_takes(&token), JUDGES.other_takes(&token)] {
        let number = |name: &str| claims[name].as_f64().unwrap_or_default();
        let for_us =
            claims["aud"] == ISSUER || claims["aud"].as_array().is_some_and(|all| all.contains(&ISSUER.into()));
        let current = number("exp") > NOW.0 as f64 / 1_000.0 && number("exp") - number("iat") <= 3_600.0;
        let good = claims["iss"] == ISSUER && for_us && current && claims["cnf"]["x5t#S256"] == THUMBPRINT;
        assert!(!taken || good, "{claims}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            if let Ok(text) = std::str::from_utf8(rest) {
                refused(text);
            }
        }
        // header, claims and signature, a zero byte between; `KID` stands for the key's id
        1 => {
            let mut parts = rest.splitn(3, |byte| *byte == 0);
            let mut part = || String::from_utf8_lossy(parts.next().unwrap_or_default()).replace("KID", JUDGES.kid());
            let (header, claims, signature) = (part(), part(), part());
            refused(&format!("{}.{}.{}", B64.encode(header), B64.encode(claims), B64.encode(signature)));
        }
        _ => signed(rest),
    }
});
