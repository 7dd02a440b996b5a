//! The bytes of a face template: refused, or a unit vector that is written back as it was read.
#![no_main]

use cardea_models::Template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(template) = Template::from_bytes(data) {
        let length = template.vector().iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 2e-3, "{length}");
        let again = Template::from_bytes(&template.to_bytes());
        assert!(again.is_ok_and(|again| again.vector() == template.vector() && again.model() == template.model()));
    }
});
