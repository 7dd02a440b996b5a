//! Does ONNX Runtime load?

use cardea_models::Runtime;

use super::{Context, Finding, chain};

const NAME: &str = "ONNX Runtime";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let Some(recognition) = &context.config.recognition else { return Vec::new() };
    let path = recognition.onnxruntime.clone();
    let shown = path.display().to_string();
    vec![match tokio::task::spawn_blocking(move || Runtime::load(&path)).await {
        Ok(Ok(_)) => Finding::ok(NAME, format!("{shown} loads")),
        Ok(Err(error)) => {
            let todo = "put libonnxruntime.so there (setup/onnxruntime.py fetches it), or correct onnxruntime in [recognition]";
            Finding::failure(NAME, chain(&error), todo)
        }
        Err(_) => Finding::failure(NAME, format!("{shown} crashed while loading"), "install it again"),
    }]
}
