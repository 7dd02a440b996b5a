//! A camera that shows what was recorded: a folder of pictures, or a file of JPEG pictures one after the other, or a file of
//! H.264. For demonstrations, and to look at what happened again.
//!
//! The moment of a frame is the moment it is shown at, so recorded pictures open a gate as live ones would: a replay has no
//! place in a controller that guards anything.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Camera, ImageKind,
    backoff::{Dice, Kept as _},
    feed::Feed,
    h264::{Pictures, Unit, access_units},
};
use crate::{
    DeviceError,
    config::{CameraConfig, ReplayCameraConfig},
};

/// The largest recording.
const MAX_RECORDING: u64 = 512 * 1024 * 1024;
/// The largest picture in a recording, in pixels and in bytes.
const MAX_PIXELS: u32 = 33_554_432;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Starts a camera made of a recording.
pub(crate) fn start(
    config: &CameraConfig,
    replay: &ReplayCameraConfig,
    dice: Dice,
    shutdown: CancellationToken,
) -> (Arc<dyn Camera>, JoinHandle<()>) {
    let replay = Arc::new(replay.clone());
    Feed::new(config).start(dice, shutdown, move |feed| play(feed, replay.clone()))
}

/// What is to be shown.
enum Recording {
    Files(Vec<PathBuf>),
    Jpegs(Vec<Bytes>),
    H264(Vec<Vec<u8>>),
}

impl Recording {
    fn len(&self) -> usize {
        match self {
            Self::Files(files) => files.len(),
            Self::Jpegs(pictures) => pictures.len(),
            Self::H264(units) => units.len(),
        }
    }
}

async fn play(feed: Arc<Feed>, config: Arc<ReplayCameraConfig>) -> DeviceError {
    let unsupported = |reason: String| DeviceError::unsupported(&feed.device, "play", reason);
    let path = config.path.clone();
    let recording = match spawn_blocking(move || load(&path)).await {
        Ok(Ok(recording)) if recording.len() > 0 => Arc::new(recording),
        Ok(Ok(_)) => return unsupported("it holds no picture (.jpg, .png, .mjpeg, .h264)".into()),
        Ok(Err(error)) => return unsupported(format!("it cannot be read: {error}")),
        Err(_) => return unsupported("it cannot be read".into()),
    };
    let mut ticks = interval(Duration::from_secs_f64(1.0 / config.fps));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut pictures = Pictures::new(MAX_PIXELS, MAX_BYTES);
        for i in 0..recording.len() {
            ticks.tick().await;
            let source = recording.clone();
            let made = spawn_blocking(move || {
                let shown = picture(&source, i, &mut pictures);
                (pictures, shown)
            });
            let Ok((used, shown)) = made.await else { return unsupported("a picture could not be decoded".into()) };
            pictures = used;
            match shown {
                Ok(Some((bytes, kind))) => feed.show(bytes, kind, Instant::now()),
                Ok(None) => {}
                Err(reason) => return unsupported(reason),
            }
        }
        if !config.repeat {
            feed.lost(&unsupported("it is over; write repeat = true to begin again".into()));
            std::future::pending::<()>().await;
        }
    }
}

fn load(path: &Path) -> io::Result<Recording> {
    if fs::metadata(path)?.is_dir() {
        let entries: io::Result<Vec<PathBuf>> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
        let mut files = entries?;
        files.retain(|file| matches!(extension(file).as_str(), "jpg" | "jpeg" | "png"));
        files.sort();
        return Ok(Recording::Files(files));
    }
    if fs::metadata(path)?.len() > MAX_RECORDING {
        return Err(io::Error::other("it has more than 512 MiB; cut it"));
    }
    match extension(path).as_str() {
        "mjpeg" | "mjpg" | "jpg" | "jpeg" => Ok(Recording::Jpegs(jpegs(&fs::read(path)?.into()))),
        "h264" | "264" => Ok(Recording::H264(access_units(&fs::read(path)?))),
        other => Err(io::Error::other(format!(
            "{other:?} is no kind of recording: .mjpeg or .h264, or a folder of pictures"
        ))),
    }
}

fn extension(path: &Path) -> String {
    path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// The pictures of a file of JPEG pictures: each from a start of image to the next one after an end of image (ITU-T T.81,
/// table B.1). What stands between them, such as the headers of a multipart recording, is skipped.
fn jpegs(file: &Bytes) -> Vec<Bytes> {
    let find = |from: usize, marker: &[u8]| {
        file.get(from..)?.windows(marker.len()).position(|window| window == marker).map(|at| from + at)
    };
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = find(at, &[0xFF, 0xD8, 0xFF]) {
        let Some(end) = find(start, &[0xFF, 0xD9]).map(|end| end + 2) else { break };
        found.push(file.slice(start..end));
        at = end;
    }
    found
}

fn picture(recording: &Recording, i: usize, pictures: &mut Pictures) -> Result<Option<(Bytes, ImageKind)>, String> {
    let encoded = match recording {
        Recording::Files(files) => {
            let file = &files[i];
            Bytes::from(fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?)
        }
        Recording::Jpegs(pictures) => pictures[i].clone(),
        Recording::H264(units) => {
            pictures.push(Unit { data: units[i].clone(), captured_at: None }, false)?;
            return Ok(pictures.decode()?.map(|shown| (shown.bytes, shown.kind)));
        }
    };
    let kind = ImageKind::sniff(&encoded).ok_or("one of its pictures is neither JPEG nor PNG")?;
    Ok(Some((encoded, kind)))
}

#[cfg(test)]
mod tests {
    use super::{super::h264::tests::encoded, *};

    const ONE: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 1, 0xFF, 0xD9];
    const TWO: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 2, 0xFF, 0xD9];

    async fn shown(path: &Path, repeat: bool, count: usize) -> Vec<crate::Frame> {
        let keys = format!(
            "driver = \"replay\"\nid = \"tape\"\npath = \"{}\"\nfps = 100.0\nrepeat = {repeat}\nmin_interval_ms = 0",
            path.display()
        );
        let config: CameraConfig = toml::from_str(&keys).unwrap();
        let CameraConfig::Replay(replay) = &config else { panic!() };
        let (camera, _task) = start(&config, replay, Arc::new(|| 1.0), CancellationToken::new());
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(camera.frame().await.unwrap());
        }
        frames
    }

    #[tokio::test]
    async fn a_folder_is_shown_in_order_and_again() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("b.jpg", TWO), ("a.JPG", ONE), ("notes.txt", b"no picture".as_slice())] {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let frames = shown(folder.path(), true, 6).await;
        let marks: Vec<u8> = frames.iter().map(|frame| frame.bytes[4]).collect();
        assert!(marks.contains(&1) && marks.contains(&2), "{marks:?}");
        assert!(frames.is_sorted_by_key(|frame| frame.captured_at));
    }

    #[tokio::test]
    async fn a_file_of_pictures_and_one_of_h264_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let stills = folder.path().join("yard.mjpeg");
        fs::write(&stills, [b"--frame\r\n\r\n".as_slice(), ONE, b"\r\n--frame\r\n\r\n", TWO, &ONE[..4]].concat())
            .unwrap();
        assert_eq!(jpegs(&fs::read(&stills).unwrap().into()), [ONE, TWO]);
        assert_eq!(shown(&stills, true, 1).await[0].kind, ImageKind::Jpeg);
        let video = folder.path().join("yard.h264");
        fs::write(&video, encoded(64, 48, &[40, 200]).concat()).unwrap();
        assert_eq!(shown(&video, true, 1).await[0].kind, ImageKind::I420 { width: 64, height: 48 });
    }

    #[test]
    fn what_is_no_recording_is_named_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("yard.avi");
        fs::write(&path, "RIFF").unwrap();
        assert!(load(&path).err().unwrap().to_string().contains(".mjpeg"));
        assert!(load(&folder.path().join("absent")).is_err());
    }
}
