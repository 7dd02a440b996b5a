//! `cardea-up`: the same site as the demo's, left running for a person to play with.

use std::path::PathBuf;

use anyhow::Context as _;
use cardea_hardware::sim::scene::Scene;
use cardea_tests::site::{self, BARRIER, CLIENT, DOOR, LOGIN, SITE, Site, Tempo, house};
use cardea_tests::story::telling::line;
use cardea_tests::{picture, story};
use clap::Parser;

/// Starts a cloud, a simulated house and a claimed controller, says how to talk to them, and runs until Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The site's scratch folder; it is made anew.
    #[arg(long, default_value = "target/up")]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    site::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    site::prepare()?;
    if arguments.dir.exists() {
        std::fs::remove_dir_all(&arguments.dir).with_context(|| format!("removing {}", arguments.dir.display()))?;
    }
    line(format_args!("starting a cloud, a simulated house and a controller ..."));
    let starting = Site::start_claimed(&arguments.dir, Tempo::REAL, site::now(), story::PASSWORD);
    let (site, _, _) = tokio::select! {
        started = starting => started?,
        interrupted = site::interrupted() => return interrupted,
    };
    site.house.show("face-cam", picture::nobody()?).await?;
    instructions(&site);
    site::interrupted().await?;
    line(format_args!("\nending controller, cloud and house ..."));
    site.stop().await?;
    line(format_args!("ended cleanly."));
    Ok(())
}

/// A line for each scene that is shipped.
fn scenes() -> String {
    let folder = std::fs::read_dir(house::shipped_scenes()).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    files.sort();
    let line = |path: &PathBuf| {
        let scene = Scene::parse(&std::fs::read_to_string(path).ok()?).ok()?;
        Some(format!("  {:<16} {}\n", path.file_stem()?.to_string_lossy(), scene.about))
    };
    files.iter().filter_map(line).collect()
}

fn instructions(site: &Site) {
    let dir = site.dir.display();
    let (api, control) = (&site.api, site.house.control());
    let samples = picture::sample("");
    let samples = samples.canonicalize().unwrap_or(samples);
    let samples = samples.display();
    line(format_args!(
        r#"
The site runs. Everything of it is in {dir}
  API of the cloud       {api}   (its description: GET /openapi.json)
  enrolment              {enrolment}
  control of the house   {control}
  CA of the cloud        {ca}
  customer's certificate {certificate}
  and its key            {key}
  logs                   {dir}/*.log

Paste this once into another terminal:

  cardea() {{ curl -sS --cacert '{ca}' --cert '{certificate}' --key '{key}' "$@"; echo; }}
  TOKEN=$(cardea {api}/oauth2/token -d grant_type=client_credentials -d client_id={CLIENT} | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
  api() {{ cardea -H "Authorization: Bearer $TOKEN" "$@"; }}

then play, one line at a time:

  api {api}/v1/sites/{SITE}/equipment                                  # what is here
  api {api}/v1/sites/{SITE}/plates --json '{{"plate":"{plate}"}}'           # admit a car
  tail -f {dir}/cardea-sim.log &                                      # watch: a line for everything that happens
  curl -T {scenes}/one-car.toml {control}/scene; sleep 15             # a car comes, the barrier opens, it drives in
  curl -s {control}/scene; echo                                       # how the scene goes: collisions must be empty
  curl -s {control}/state; echo                                       # relays, cars, boom and door

  api {api}/v1/consent-texts --json '{consent_text}'
  api {api}/v1/sites/{SITE}/consents --json '{consent}'
  api {api}/v1/sites/{SITE}/subjects/{subject}/faces -H 'Content-Type: image/jpeg' --data-binary @{samples}/grace_hopper.jpg
  curl -T {scenes}/resident.toml {control}/scene; sleep 5             # the resident comes to the door: it opens

  api -X POST {api}/v1/access-points/{BARRIER}/open -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)"   # on demand
  api {api}/v1/sites/{SITE}/events                                     # what was decided, and why
  {cardead} status --config {config}

Scenes, played by `curl -T {scenes}/NAME.toml {control}/scene`, ended by `curl -X DELETE {control}/scene`:
{list}
Your own are as easily written: docs/guide/hardware.md, "The simulated site". Pictures they can name: {pictures}

Door: {DOOR}. Password grant: {LOGIN} / {password}. Ctrl-C ends everything."#,
        enrolment = site.enrolment,
        scenes = house::shipped_scenes().canonicalize().unwrap_or_else(|_| house::shipped_scenes()).display(),
        list = scenes(),
        pictures = site.house.pictures().display(),
        ca = site.cloud_ca.display(),
        certificate = site.customer.certificate.display(),
        key = site.customer.key.display(),
        plate = story::PLATE,
        consent_text = story::consent_text(),
        consent = story::consent(story::RESIDENT),
        subject = story::RESIDENT,
        cardead = site::process::programs().unwrap_or_default().join("cardead").display(),
        config = site.controller_config().display(),
        password = story::PASSWORD,
    ));
}
