//! Is the model pack whole, does it have what the access points need, and is it fit for it?

use cardea_access::credential::Fitness;
use cardea_models::Pack;
use cardea_models::manifest::{Manifest, Role};

use super::{Context, Finding, chain};
use crate::capture::face_fitness;
use crate::config::{Credential, Pad};

const NAME: &str = "model pack";
const FITNESS: &str = "face models";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let Some(recognition) = &context.config.recognition else { return Vec::new() };
    let folder = recognition.pack.clone();
    match tokio::task::spawn_blocking(move || Pack::open(&folder)).await {
        Ok(Ok(manifest)) => {
            let points = &context.config.access_points;
            let uses = |c: Credential| points.iter().any(|point| point.credentials().contains(&c));
            let judging = points.iter().any(|point| point.pad() != Pad::Off);
            let wanted = Wanted { plates: uses(Credential::Plate), faces: uses(Credential::Face), judging };
            let mut findings = judge(&manifest, wanted);
            findings.extend(fitness(&manifest, wanted, recognition.allow_demo_models));
            findings
        }
        Ok(Err(error)) => {
            vec![Finding::failure(NAME, chain(&error), "install the pack again, or correct pack in [recognition]")]
        }
        Err(_) => vec![Finding::failure(NAME, "the pack could not be read", "install it again")],
    }
}

/// What the access points want of a pack.
#[derive(Clone, Copy)]
struct Wanted {
    plates: bool,
    faces: bool,
    /// Whether one asks if faces are live.
    judging: bool,
}

fn judge(manifest: &Manifest, wanted: Wanted) -> Vec<Finding> {
    let needed = [
        (wanted.plates, Role::PlateDetector),
        (wanted.plates, Role::PlateReader),
        (wanted.faces, Role::FaceDetector),
        (wanted.faces, Role::FaceEmbedder),
        (wanted.judging, Role::Pad),
    ];
    let missing: Vec<String> = needed
        .iter()
        .filter(|(needed, role)| *needed && manifest.model(*role).is_none())
        .map(|(_, role)| role.to_string())
        .collect();
    let name = format!("{} {}", manifest.pack.name, manifest.pack.version);
    if missing.is_empty() {
        return vec![Finding::ok(
            NAME,
            format!("{name} has {} models, and every hash is right", manifest.models.len()),
        )];
    }
    let todo = "install a pack that has them, take plate or face out of the credentials, or write pad = \"off\"";
    vec![Finding::failure(NAME, format!("{name} has no {}", missing.join(", no ")), todo)]
}

/// A demonstration at a door is worth a loud word, whether it may open it or not.
fn fitness(manifest: &Manifest, wanted: Wanted, allowed: bool) -> Option<Finding> {
    let pull = "cardea-models pull opencv-zoo-face fetches face models that are fit for access control";
    if !wanted.faces || face_fitness(manifest, wanted.judging) == Fitness::Production {
        return None;
    }
    Some(if allowed {
        let found = "FACES OPEN BY DEMONSTRATION MODELS: they confuse people far too often to guard a door";
        Finding::warning(FITNESS, found, format!("use this to try things out only; {pull}"))
    } else {
        let found = "the face models are a demonstration, so no face opens here";
        Finding::failure(FITNESS, found, format!("{pull}; allow_demo_models in [recognition] is for trying things out"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    fn manifest(face: &str, pad: bool) -> Manifest {
        let model = |role: &str, decode: &str, fitness: &str| {
            format!(
                "[[model]]\nid = \"{role}\"\nrole = \"{role}\"\nfile = \"m.onnx\"\nsha256 = \"{:064}\"\nlicence = \"MIT\"\n\
                 source = \"x\"\nfitness = \"{fitness}\"\n[model.input]\nchannels = \"bgr\"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n\
                 size = [64, 64]\n[model.decode]\n{decode}\n[model.threshold]\nvalue = 0.5\nmeaning = \"score\"\nevaluation = \"card\"\n",
                0
            )
        };
        let template = "kind = \"embedding\"\ntemplate = [[1, 1], [2, 1], [1, 2], [1, 3], [2, 3]]";
        let mut text = "[pack]\nname = \"test\"\nversion = \"1\"\nlicence = \"MIT\"\n".to_owned();
        text += &model("face-detector", "kind = \"yunet\"", "production");
        text += &model("face-embedder", template, face);
        if pad {
            text +=
                &model("pad", "kind = \"live-class\"\nclasses = 3\nlive = 1\ncrop_scale = 2.7\nsoftmax = true", "demo");
        }
        Manifest::parse(&text).unwrap()
    }

    const FACES: Wanted = Wanted { plates: false, faces: true, judging: false };

    #[test]
    fn demonstration_models_are_named_loudly() {
        let demo = manifest("demo", false);
        assert_eq!(fitness(&demo, FACES, false).unwrap().verdict, Verdict::Failure);
        let allowed = fitness(&demo, FACES, true).unwrap();
        assert!(allowed.verdict == Verdict::Warning && allowed.found.contains("DEMONSTRATION"));
        assert_eq!(fitness(&manifest("production", false), FACES, false), None);
        assert_eq!(fitness(&demo, Wanted { plates: true, faces: false, judging: false }, false), None);
    }

    #[test]
    fn a_pad_model_counts_where_somebody_asks_it() {
        let judging = Wanted { judging: true, ..FACES };
        let without = manifest("production", false);
        assert_eq!(judge(&without, FACES)[0].verdict, Verdict::Ok);
        let found = &judge(&without, judging)[0];
        assert!(found.verdict == Verdict::Failure && found.found.contains("no pad"));
        let with = manifest("production", true);
        assert_eq!(judge(&with, judging)[0].verdict, Verdict::Ok);
        assert_eq!(fitness(&with, FACES, false), None);
        assert_eq!(fitness(&with, judging, false).unwrap().verdict, Verdict::Failure);
    }
}
