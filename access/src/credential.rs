//! What is presented at an access point: evidence, weighed but not judged.
//!
//! A recogniser says how sure it is and against which calibrated threshold; whether that suffices, and whether the person
//! behind it may pass, is [`mod@crate::decide`]'s. Scores that are not numbers never suffice.

use crate::command::RemoteCommand;
use crate::id::{CardId, PlateId, SubjectId, TemplateId};

/// The credential of a request (EN 60839-11-1: memorised, token or biometric; here also the plate of a vehicle).
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// A vehicle's plate, read over the frames of one track.
    Plate(PlateEvidence),
    /// A vehicle's plate, as a camera says that reads plates itself.
    PushedPlate(PushedPlate),
    /// A face, compared over the frames of one track.
    Face(FaceEvidence),
    /// A card or fob, as its reader gives it.
    Card(CardId),
    /// The button inside.
    ExitButton,
    /// A command from the cloud or the local console. Its signature and addressee are checked before it gets here.
    RemoteOpen(RemoteOpen),
}

impl Evidence {
    /// What kind this is.
    pub const fn method(&self) -> Method {
        match self {
            Self::Plate(_) | Self::PushedPlate(_) => Method::Plate,
            Self::Face(_) => Method::Face,
            Self::Card(_) => Method::Card,
            Self::ExitButton => Method::ExitButton,
            Self::RemoteOpen(_) => Method::RemoteOpen,
        }
    }
}

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it; see Evidence")]
pub enum Method {
    Plate,
    Face,
    Card,
    ExitButton,
    RemoteOpen,
}

impl Method {
    /// The stable name for events and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plate => "plate",
            Self::Face => "face",
            Self::Card => "card",
            Self::ExitButton => "exit-button",
            Self::RemoteOpen => "remote-open",
        }
    }

    /// Whether someone presents it at the access point, from outside.
    pub const fn is_credential(self) -> bool {
        matches!(self, Self::Plate | Self::Face | Self::Card)
    }

    /// Every method.
    pub const ALL: [Self; 5] = [Self::Plate, Self::Face, Self::Card, Self::ExitButton, Self::RemoteOpen];

    /// The method of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }
}

/// A plate as seen.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateEvidence {
    /// The registered plate that explains the readings best; `None` if no plate is registered.
    pub best: Option<PlateMatch>,
    /// Frames of the track that were read.
    pub frames: u32,
    /// Whether the plate was inside the zone.
    pub in_zone: bool,
    /// The loop in front of the barrier.
    pub vehicle: VehiclePresence,
}

/// A plate as another machine says it.
#[derive(Clone, Debug, PartialEq)]
pub struct PushedPlate {
    /// The registered plate with exactly this text, and how well this machine's own reading of the picture fits it.
    pub plate: PlateEvidence,
    /// What the picture has to say of the text.
    pub picture: PictureCheck,
}

/// Whether the picture that came with a text shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureCheck {
    /// The text is a plausible reading of it.
    Agrees,
    /// It shows another plate, or none.
    Differs,
    /// There is none, or nothing to read it with, and the site does not take a text alone.
    Missing,
    /// There is none, or nothing to read it with, and the site takes a text alone.
    Waived,
}

/// How well the readings fit a registered plate.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateMatch {
    /// Which registration.
    pub plate: PlateId,
    /// Natural logarithm of the likelihood of the readings under this plate over that under the best other plate.
    /// At or below zero another plate explains them as well: the plate is simply not this one.
    pub log_likelihood_ratio: f64,
    /// The ratio the reader's pack asks for.
    pub threshold: f64,
}

/// Whether a vehicle stands where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VehiclePresence {
    /// No loop is fitted, so the camera's zone alone counts.
    NoLoop,
    /// The loop reports a vehicle.
    Present,
    /// The loop reports none: a plate without a car is a picture of a plate, or a car further back.
    Absent,
    /// A loop is fitted and does not answer.
    Unknown,
}

/// A face as seen.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceEvidence {
    /// The closest biometric reference; `None` if there is none.
    pub best: Option<FaceMatch>,
    /// Frames of the track whose scores were fused.
    pub frames: u32,
    /// Whether the face was inside the zone.
    pub in_zone: bool,
    /// Presentation attack detection's verdict (ISO/IEC 30107).
    pub liveness: Liveness,
    /// What the models are fit for that found and compared it.
    pub fitness: Fitness,
}

/// What a model is fit for, by the evaluation that its pack states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fitness {
    /// To show how things work: it confuses people too often to guard a door.
    Demo,
    /// Access control.
    Production,
}

/// How close a face is to a biometric reference.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceMatch {
    /// Which reference.
    pub template: TemplateId,
    /// Comparison score, cosine, -1..=1.
    pub score: f32,
    /// The score the embedder's pack asks for.
    pub threshold: f32,
    /// The best score of a reference of *another* subject; `None` if there is no other.
    pub runner_up: Option<f32>,
}

/// Whether a face belongs to a living person in front of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// Nothing judged it, or it could not be judged.
    Unknown,
    /// Judged to be bona fide.
    Live,
    /// Judged to be an attack: paper, screen, mask.
    Spoof,
}

impl Liveness {
    /// The stable name for events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Live => "live",
            Self::Spoof => "spoof",
        }
    }
}

/// An open on demand.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteOpen {
    /// The command.
    pub command: RemoteCommand,
    /// Whether its id was new when it was recorded *durably*, before this request was made.
    pub first_seen: bool,
    /// Who asked, as the server (never the client) wrote it down.
    pub origin: Origin,
    /// The resident on whose behalf, if the customer said so.
    pub subject: Option<SubjectId>,
}

/// Where an open on demand came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A customer's back end, through the cloud's API.
    Customer,
    /// The operator, through the cloud.
    Operator,
    /// Someone at the controller itself.
    Local,
}

impl Origin {
    /// The stable name for events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
            Self::Local => "local",
        }
    }
}
