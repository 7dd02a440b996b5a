//! Does each camera give a picture that can be decoded?

use std::time::Duration;

use cardea_hardware::config::HardwareConfig;
use cardea_hardware::{Camera, Hardware};
use cardea_models::Frame;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Context, Finding, chain};
use crate::capture::decode;

const NAME: &str = "camera";
/// How long a picture may take.
const PATIENCE: Duration = Duration::from_secs(10);
const TODO: &str = "open its address in a browser; check its power, cable, address, user name and password";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    // Cameras serve more than one client, so they can be asked while cardead runs. Boards are left out.
    let only_cameras = HardwareConfig { cameras: context.config.cameras.clone(), ..HardwareConfig::default() };
    match Hardware::open(&only_cameras) {
        Ok(hardware) => {
            let mut findings = Vec::new();
            for (name, camera) in &hardware.cameras {
                findings.push(picture(name, &**camera).await);
            }
            hardware.shutdown().await;
            findings
        }
        Err(error) => vec![Finding::failure(NAME, chain(&error), "correct the configuration")],
    }
}

async fn picture(name: &str, camera: &dyn Camera) -> Finding {
    let encoded = match timeout(PATIENCE, camera.frame()).await {
        Ok(Ok(frame)) => frame,
        Ok(Err(error)) => return Finding::failure(NAME, chain(&error), TODO),
        Err(_) => {
            return Finding::failure(NAME, format!("{name} gave no picture within {} s", PATIENCE.as_secs()), TODO);
        }
    };
    let mut frame = Zeroizing::new(Frame::filled(1, 1, [0; 3]));
    match decode(&mut frame, &encoded) {
        Ok(()) => Finding::ok(NAME, format!("{name} gives {}x{} pictures", frame.width(), frame.height())),
        Err(error) => {
            let todo = "set the camera to JPEG; take the address of its snapshot, not of its web page";
            Finding::failure(NAME, format!("{name}: {}", chain(&error)), todo)
        }
    }
}
