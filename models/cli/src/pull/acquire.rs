//! One file of a pack, from the nearest place that has it: the pack that is here, an interrupted run, the cache, the mirror,
//! the publisher.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use tokio::runtime::Runtime;
use url::Url;

use super::attempt::{FetchError, Want, client, fetch, shown};
use super::description::Source;
use super::digest::Digest;
use super::exchange::Size;
use super::part::Part;
use super::progress::Progress;
use super::{Origin, PullError, stage};

/// Where files are looked for.
pub(super) struct Places<'a> {
    /// The pack that is installed, if one is.
    pub(super) installed: &'a Path,
    /// The folder the new one grows in.
    pub(super) stage: &'a Path,
    /// Files that are kept for the next time.
    pub(super) cache: Option<&'a Path>,
    /// Asked first.
    pub(super) mirror: Option<&'a Url>,
    /// `None` where nothing is to be downloaded.
    pub(super) network: Option<Network>,
}

/// What downloads.
pub(super) struct Network {
    pub(super) client: Client,
    pub(super) timeout: Duration,
    pub(super) runtime: Runtime,
}

impl Network {
    /// A client that gives a silent server up after `timeout`.
    pub(super) fn new(timeout: Duration) -> Result<Self, PullError> {
        let client = client(timeout).map_err(|error| PullError::Client(error.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { client, timeout, runtime: runtime.map_err(|error| PullError::Client(error.into()))? })
    }
}

/// Puts `source` into the stage. `expected` is the hash it must have; `None` takes what comes.
pub(super) fn acquire(
    source: &Source,
    expected: Option<Digest>,
    places: &Places<'_>,
    progress: &mut dyn Progress,
) -> Result<(Digest, Origin), PullError> {
    let path = places.stage.join(&source.name);
    if let Some(hash) = expected.filter(|hash| is(&path, *hash)) {
        return Ok((hash, Origin::Interrupted));
    }
    if path.exists() {
        fs::remove_file(&path).map_err(stage::failed("remove", &path))?;
    }
    let installed = places.installed.join(&source.name);
    if expected.is_some_and(|hash| is(&installed, hash)) {
        return Ok((copy(&installed, source, places.stage)?, Origin::Installed));
    }
    if let Some(cached) = places.cache.map(|cache| cache.join(&source.name)).filter(|cached| cached.exists()) {
        let fits = fs::metadata(&cached).is_ok_and(|metadata| metadata.len() <= source.limit());
        if fits && expected.is_none_or(|hash| is(&cached, hash)) {
            return Ok((copy(&cached, source, places.stage)?, Origin::Cache));
        }
        progress.note(&format!("{} is not the described file and is not used", cached.display()));
    }
    let Some(network) = &places.network else {
        return Err(PullError::Offline { file: source.name.clone() });
    };
    let (digest, url) = download(source, expected, places, network, progress)?;
    if let Some(cache) = places.cache
        && let Err(error) = keep(&path, cache, &source.name)
    {
        progress.note(&format!("{} is not kept in {}: {error}", source.name, cache.display()));
    }
    Ok((digest, Origin::Address(shown(&url))))
}

fn download(
    source: &Source,
    expected: Option<Digest>,
    places: &Places<'_>,
    network: &Network,
    progress: &mut dyn Progress,
) -> Result<(Digest, Url), PullError> {
    let want = Want { size: Size { exact: source.bytes, limit: source.limit() }, sha256: expected };
    let path = places.stage.join(&source.name);
    let mut part = Part::open(places.stage, &source.name, want.size.limit).map_err(stage::failed("open", &path))?;
    let mut tried = Vec::new();
    let mirror = mirrored(places.mirror, &source.name);
    let mut urls = mirror.iter().chain(&source.urls).peekable();
    while let Some(url) = urls.next() {
        progress.begin(&source.name, &shown(url), source.bytes);
        let http = (&network.client, network.timeout);
        let result = network.runtime.block_on(fetch(http, url, want, &mut part, progress));
        progress.end();
        match result {
            Ok(digest) => {
                part.finish(&path).map_err(stage::failed("write", &path))?;
                return Ok((digest, url.clone()));
            }
            Err(FetchError::Disk(source)) => return Err(stage::failed("write", &path)(source).into()),
            Err(error) => {
                if urls.peek().is_some() {
                    progress.note(&format!("{error}; the next address is tried"));
                }
                tried.push((shown(url), error));
            }
        }
    }
    part.leave();
    Err(PullError::NoSource { file: source.name.clone(), tried })
}

/// The file's address in the mirror: its name below the mirror's address.
fn mirrored(mirror: Option<&Url>, name: &str) -> Option<Url> {
    let mut base = mirror?.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join(name).ok()
}

/// Whether the file is there and has the hash.
fn is(path: &Path, expected: Digest) -> bool {
    Digest::of_file(path).is_ok_and(|found| found == expected)
}

/// Copies a file into the stage, and says the hash of what was copied.
fn copy(from: &Path, source: &Source, stage_folder: &Path) -> Result<Digest, PullError> {
    let path = stage_folder.join(&source.name);
    let copied = || -> io::Result<Digest> {
        let mut part = Part::open(stage_folder, &source.name, source.limit())?;
        part.clear()?;
        let mut input = File::open(from)?.take(source.limit());
        let mut buffer = vec![0; 1 << 16];
        loop {
            match input.read(&mut buffer)? {
                0 => break,
                count => part.append(&buffer[..count])?,
            }
        }
        let digest = part.digest();
        part.finish(&path)?;
        Ok(digest)
    };
    Ok(copied().map_err(stage::failed("copy a file to", &path))?)
}

/// Keeps a downloaded file in the cache, which never holds half of one.
fn keep(path: &Path, cache: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    let temporary: PathBuf = cache.join(format!(".{name}.{}", std::process::id()));
    let kept = fs::copy(path, &temporary).and_then(|_| fs::rename(&temporary, cache.join(name)));
    if kept.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_mirror_is_a_folder_with_or_without_a_stroke_at_its_end() {
        for (mirror, file) in [
            ("https://m.example/packs", "https://m.example/packs/a.onnx"),
            ("https://m.example/packs/", "https://m.example/packs/a.onnx"),
            ("http://10.0.0.1:8000", "http://10.0.0.1:8000/a.onnx"),
        ] {
            assert_eq!(mirrored(Some(&mirror.parse().unwrap()), "a.onnx").unwrap().as_str(), file);
        }
    }
}
