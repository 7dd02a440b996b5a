//! The text of a manifest: refused, or with values that can be worked with.
#![no_main]

use cardea_models::manifest::{Manifest, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(manifest) = Manifest::parse(text) {
        for model in &manifest.models {
            assert_eq!(model.input.mean.len(), model.input.channels.count());
            assert!(model.input.std.iter().all(|v| v.is_normal()));
            assert!(model.threshold.value.is_finite() && !model.id.is_empty());
            assert!(!model.file.contains('/'));
            assert!(model.role == Role::Pad || manifest.models_for(model.role).count() == 1);
        }
    }
});
