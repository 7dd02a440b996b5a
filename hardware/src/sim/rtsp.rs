//! The cameras over RTSP: `rtsp://…/cameras/{id}`, H.264 interleaved in the same TCP connection, with Digest where the
//! configuration names a user, and its faults.
//!
//! As much of RFC 2326 and RFC 6184 as one client of one stream needs. A grey block in the corner changes from frame to
//! frame, as the noise of a sensor would. Frozen, the last picture is repeated as it was coded.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{BufMut as _, BytesMut};
use image::{Rgb, RgbImage};
use openh264::{
    OpenH264API,
    encoder::{Encoder, EncoderConfig, IntraFramePeriod, RateControlMode},
    formats::{RgbSliceU8, YUVBuffer},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    time::{MissedTickBehavior, interval},
};

use super::{
    SimError, World, bind,
    cameras::SimCamera,
    config::SimConfig,
    fault::{Fault, FaultSwitch},
    login::Doorman,
    part::{Part, Parts},
};
use crate::camera::h264::nal_units;

/// The key of the streams' address, and the name of the part.
pub(super) const KEY: &str = "rtsp";
/// Frames per second, and frames between two IDR pictures.
const FPS: u64 = 25;
const INTRA_PERIOD: u32 = 25;
/// The type of a fragment (FU-A; RFC 6184, section 5.8), and of the payload as the session description calls it.
const FRAGMENT: u8 = 0x1C;
const PAYLOAD_TYPE: u8 = 0x60;
/// The longest RTP payload.
const MAX_PAYLOAD: usize = 1400;
/// The side of the block that changes.
const BLOCK: u32 = 32;

/// All RTSP streams.
struct Streams {
    fault: FaultSwitch,
    doorman: Doorman,
}

impl Part for Streams {
    fn name(&self) -> &str {
        KEY
    }

    fn fault(&self) -> &FaultSwitch {
        &self.fault
    }

    fn faults(&self) -> &'static [&'static str] {
        &["dead", "silent", "garbage", "redirect", "lying", "halved", "frozen", "backlog"]
    }
}

pub(super) async fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let doorman = Doorman::new(config.camera_login.clone());
    let streams = Arc::new(Streams { fault: FaultSwitch::default(), doorman });
    parts.add(streams.clone());
    let (listener, address) = bind(config.rtsp).await?;
    parts.serve(KEY, format!("rtsp://{address}"), tokio::spawn(serve(world.clone(), streams, listener, address)));
    Ok(())
}

async fn serve(world: Arc<World>, streams: Arc<Streams>, listener: TcpListener, address: SocketAddr) {
    loop {
        let accepted = tokio::select! {
            () = world.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _peer)) = accepted else { continue };
        let (world, streams) = (world.clone(), streams.clone());
        tokio::spawn(async move {
            let conversation = Conversation { world: &world, streams: &streams, address };
            let dead = streams.fault.until(|fault| *fault == Fault::Dead);
            tokio::select! {
                () = world.shutdown.cancelled() => {}
                () = dead => {}
                ended = conversation.hold(socket) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "an RTSP connection of the simulated house ended");
                    }
                }
            }
        });
    }
}

/// One request.
#[derive(Default)]
struct Request {
    method: String,
    uri: String,
    cseq: String,
    authorization: String,
}

struct Conversation<'a> {
    world: &'a World,
    streams: &'a Streams,
    address: SocketAddr,
}

impl Conversation<'_> {
    async fn hold(&self, socket: TcpStream) -> io::Result<()> {
        let (reader, mut writer) = socket.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let request = read(&mut reader).await?;
            if self.streams.fault.get() == Fault::Silent {
                std::future::pending::<()>().await;
            }
            let (answer, playing) = self.answer(&request);
            writer.write_all(answer.as_bytes()).await?;
            if let Some(camera) = playing {
                tokio::select! {
                    played = self.play(camera, &mut writer) => return played,
                    // What comes now is a keepalive or the end: the stream itself says enough.
                    ended = drain(&mut reader) => return ended,
                }
            }
        }
    }

    /// The answer, and the camera that plays after it.
    fn answer(&self, request: &Request) -> (String, Option<&SimCamera>) {
        let cseq = &request.cseq;
        let plain = |status: &str, headers: &str| (format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}\r\n"), None);
        if request.method == "OPTIONS" {
            return plain("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n");
        }
        if let Err(refusal) = self.streams.doorman.admits(&request.method, &request.authorization) {
            let challenge = self.streams.doorman.challenge(refusal);
            return plain("401 Unauthorized", &format!("WWW-Authenticate: {challenge}\r\n"));
        }
        let id = request.uri.split("/cameras/").nth(1).unwrap_or_default().split('/').next().unwrap_or_default();
        let Ok(camera) = self.world.camera(id) else { return plain("404 Not Found", "") };
        let session = "Session: 1;timeout=60\r\n";
        match (request.method.as_str(), self.streams.fault.get()) {
            ("DESCRIBE", Fault::Redirect) => plain("302 Moved Temporarily", "Location: rtsp://192.0.2.1/elsewhere\r\n"),
            ("DESCRIBE", fault) => {
                let sdp = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=cardea-sim\r\nt=0 0\r\na=control:*\r\n\
                           m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n\
                           a=control:track0\r\n";
                let length = if fault == Fault::Lying { usize::MAX / 2 } else { sdp.len() };
                let base = format!("rtsp://{}/cameras/{id}/", self.address);
                let head = format!(
                    "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Base: {base}\r\nContent-Type: application/sdp\r\n\
                     Content-Length: {length}\r\n\r\n{sdp}"
                );
                (head, None)
            }
            ("SETUP", _) => plain("200 OK", &format!("{session}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")),
            ("PLAY", _) => {
                let info = format!("RTP-Info: url={};seq=1;rtptime=0\r\n", request.uri);
                (plain("200 OK", &format!("{session}{info}")).0, Some(camera))
            }
            _ => plain("200 OK", session),
        }
    }

    async fn play(&self, camera: &SimCamera, writer: &mut OwnedWriteHalf) -> io::Result<()> {
        let fault = self.streams.fault.get();
        let mut film = Film::new(camera)?;
        let mut rtp = Rtp::default();
        if fault == Fault::Backlog {
            // Three seconds that are over: black. Coded once, so that they come in a heap also from a busy machine.
            let coded = film.black().await?;
            let mut heap = BytesMut::new();
            for _ in 0..3 * FPS {
                heap.unsplit(rtp.packets(&coded));
            }
            writer.write_all(&heap).await?;
        }
        let mut ticks = interval(Duration::from_millis(1000 / FPS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let moving = match self.streams.fault.get() {
                Fault::Silent => std::future::pending().await,
                Fault::Garbage => {
                    let noise: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
                    writer.write_all(&noise).await?;
                    continue;
                }
                Fault::Frozen => false,
                _ => true,
            };
            let coded = film.next(moving).await?;
            let packets = rtp.packets(&coded);
            if self.streams.fault.get() == Fault::Halved {
                writer.write_all(&packets[..packets.len() / 2]).await?;
                std::future::pending::<()>().await;
            }
            writer.write_all(&packets).await?;
        }
    }
}

async fn read(reader: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> io::Result<Request> {
    let mut request = Request::default();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(request);
        }
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("cseq") => request.cseq = value.trim().into(),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                request.authorization = value.trim().into();
            }
            _ if request.method.is_empty() => {
                let mut words = line.split(' ');
                request.method = words.next().unwrap_or_default().into();
                request.uri = words.next().unwrap_or_default().into();
            }
            _ => {}
        }
    }
}

async fn drain(reader: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let length = reader.fill_buf().await?.len();
        if length == 0 {
            return Ok(());
        }
        reader.consume(length);
    }
}

/// The coded pictures of one stream.
struct Film<'a> {
    camera: &'a SimCamera,
    encoder: Option<Encoder>,
    shown: u8,
    size: (usize, usize),
    /// What an encoder that hangs repeats.
    stuck: Option<Vec<u8>>,
}

impl<'a> Film<'a> {
    fn new(camera: &'a SimCamera) -> io::Result<Self> {
        Ok(Self { camera, encoder: Some(encoder()?), shown: 0, size: (0, 0), stuck: None })
    }

    /// The present picture, its block changed; if it is not `moving`, what came last, coded without reference to another.
    async fn next(&mut self, moving: bool) -> io::Result<Vec<u8>> {
        if !moving && let Some(stuck) = &self.stuck {
            return Ok(stuck.clone());
        }
        let alone = !moving || self.stuck.is_some();
        if let Some(encoder) = self.encoder.as_mut().filter(|_| alone) {
            encoder.force_intra_frame();
        }
        self.stuck = None;
        let coded = self.picture().await?;
        self.stuck = (!moving).then(|| coded.clone());
        Ok(coded)
    }

    async fn picture(&mut self) -> io::Result<Vec<u8>> {
        self.shown = self.shown.wrapping_add(40);
        let mut picture = image::load_from_memory(&self.camera.picture()).map_err(io::Error::other)?.to_rgb8();
        for (x, y) in (0..BLOCK * BLOCK).map(|i| (i % BLOCK, i / BLOCK)) {
            if x < picture.width() && y < picture.height() {
                picture.put_pixel(x, y, Rgb([self.shown; 3]));
            }
        }
        self.encode(picture).await
    }

    async fn black(&mut self) -> io::Result<Vec<u8>> {
        self.encode(RgbImage::new(640, 480)).await
    }

    async fn encode(&mut self, picture: RgbImage) -> io::Result<Vec<u8>> {
        let (width, height) = (picture.width() & !1, picture.height() & !1);
        let size = (width as usize, height as usize);
        if size.0 < 16 || size.1 < 16 {
            return Err(io::Error::other("the picture is too small for a video"));
        }
        if self.size != size {
            (self.size, self.encoder) = (size, Some(encoder()?));
        }
        let mut encoder = self.encoder.take().map_or_else(encoder, Ok)?;
        let work = tokio::task::spawn_blocking(move || {
            let picture = image::imageops::crop_imm(&picture, 0, 0, width, height).to_image();
            let planes = YUVBuffer::from_rgb8_source(RgbSliceU8::new(picture.as_raw(), size));
            let coded = encoder.encode(&planes).map(|coded| coded.to_vec());
            (encoder, coded)
        });
        let (encoder, coded) = work.await.map_err(io::Error::other)?;
        self.encoder = Some(encoder);
        coded.map_err(io::Error::other)
    }
}

fn encoder() -> io::Result<Encoder> {
    let config = EncoderConfig::new()
        .intra_frame_period(IntraFramePeriod::from_num_frames(INTRA_PERIOD))
        .rate_control_mode(RateControlMode::Off);
    Encoder::with_api_config(OpenH264API::from_source(), config).map_err(io::Error::other)
}

/// RTP (RFC 3550) with H.264 in it (RFC 6184, packetisation mode 1), interleaved (RFC 2326, section 10.12).
#[derive(Default)]
struct Rtp {
    sequence: u16,
    timestamp: u32,
}

impl Rtp {
    /// The packets of one picture.
    fn packets(&mut self, coded: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        let nals: Vec<&[u8]> = nal_units(coded).filter(|nal| !nal.is_empty()).collect();
        for (i, nal) in nals.iter().enumerate() {
            let last = i + 1 == nals.len();
            if nal.len() <= MAX_PAYLOAD {
                self.packet(&mut out, last, &[nal]);
                continue;
            }
            let pieces: Vec<&[u8]> = nal[1..].chunks(MAX_PAYLOAD).collect();
            for (j, piece) in pieces.iter().enumerate() {
                let (first, end) = (j == 0, j + 1 == pieces.len());
                let head = [
                    nal[0] & 0xE0 | FRAGMENT,
                    nal[0] & 0x1F | if first { 0x80 } else { 0 } | if end { 0x40 } else { 0 },
                ];
                self.packet(&mut out, last && end, &[&head, piece]);
            }
        }
        self.timestamp = self.timestamp.wrapping_add((90_000 / FPS) as u32);
        out
    }

    fn packet(&mut self, out: &mut BytesMut, mark: bool, payload: &[&[u8]]) {
        self.sequence = self.sequence.wrapping_add(1);
        let length: usize = payload.iter().map(|part| part.len()).sum();
        out.put_slice(&[b'$', 0]);
        out.put_u16((12 + length) as u16);
        out.put_slice(&[0x80, if mark { 0x80 | PAYLOAD_TYPE } else { PAYLOAD_TYPE }]);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u32(0x000C_A4DE);
        for part in payload {
            out.put_slice(part);
        }
    }
}
