//! Is the model pack whole, and does it have what the access points need?

use cardea_models::Pack;
use cardea_models::manifest::{Manifest, Role};

use super::{Context, Finding, chain};
use crate::config::Credential;

const NAME: &str = "model pack";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let Some(recognition) = &context.config.recognition else { return Vec::new() };
    let folder = recognition.pack.clone();
    match tokio::task::spawn_blocking(move || Pack::open(&folder)).await {
        Ok(Ok(manifest)) => {
            let points = &context.config.access_points;
            let uses = |c: Credential| points.iter().any(|point| point.credentials().contains(&c));
            judge(&manifest, uses(Credential::Plate), uses(Credential::Face))
        }
        Ok(Err(error)) => {
            vec![Finding::failure(NAME, chain(&error), "install the pack again, or correct pack in [recognition]")]
        }
        Err(_) => vec![Finding::failure(NAME, "the pack could not be read", "install it again")],
    }
}

fn judge(manifest: &Manifest, plates: bool, faces: bool) -> Vec<Finding> {
    let needed = [
        (plates, Role::PlateDetector),
        (plates, Role::PlateReader),
        (faces, Role::FaceDetector),
        (faces, Role::FaceEmbedder),
    ];
    let has = |role: Role| manifest.models.iter().any(|model| model.role == role);
    let missing: Vec<String> =
        needed.iter().filter(|(needed, role)| *needed && !has(*role)).map(|(_, role)| role.to_string()).collect();
    let name = format!("{} {}", manifest.pack.name, manifest.pack.version);
    if missing.is_empty() {
        return vec![Finding::ok(
            NAME,
            format!("{name} has {} models, and every hash is right", manifest.models.len()),
        )];
    }
    let todo = "install a pack that has them, or take plate or face out of the credentials";
    vec![Finding::failure(NAME, format!("{name} has no {}", missing.join(", no ")), todo)]
}
