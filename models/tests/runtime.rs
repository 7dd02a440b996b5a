//! A file that is no ONNX Runtime is an error, and does not spoil a later attempt. Alone in its process, because a
//! process loads ONNX Runtime only once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use cardea_models::{Runtime, RuntimeError};

#[test]
fn a_foreign_library_is_refused_and_the_right_one_loads_after_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let wrong = folder.path().join("libonnxruntime.so");
    std::fs::write(&wrong, b"not a library").unwrap();
    let error = Runtime::load(&wrong).unwrap_err();
    assert!(matches!(error, RuntimeError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("libonnxruntime.so"), "{error}");
    support::runtime();
}
