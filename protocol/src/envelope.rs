//! The signed envelope around every message: addressed, bound to one session, numbered.
//!
//! A session begins with the controller's `hello`, which carries a fresh [`SessionId`]; from then on each side numbers
//! its messages from 1 and takes only a number above the last. So a broker can drop messages, but neither replay an
//! old one, nor reorder, nor deliver one to another controller.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::id::{ControllerId, SessionId};
use crate::jws::{JwsError, Signer, Use, Verifier};
use cardea_access::time::Timestamp;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<M> {
    /// Whom it is to, or from whom: the controller's end of the conversation.
    pub controller: ControllerId,
    /// The conversation.
    pub session: SessionId,
    /// Position in it, from 1, per direction.
    pub seq: u64,
    /// When it was signed.
    #[serde(with = "crate::rfc3339")]
    pub at: Timestamp,
    /// The message.
    pub message: M,
}

/// Why an envelope was not taken.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The signature is wrong.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Meant for, or sent by, another controller.
    #[error("the message is addressed to another controller")]
    Address,
    /// From another session: late or replayed.
    #[error("the message belongs to another session")]
    Session,
    /// Its number was already passed: replayed or out of order.
    #[error("message number {got} after number {last}: replayed or out of order")]
    Replayed {
        /// The last number taken.
        last: u64,
        /// The number that came.
        got: u64,
    },
}

/// The sending half of one session.
#[derive(Debug)]
pub struct Sender {
    signer: Signer,
    usage: Use,
    controller: ControllerId,
    session: SessionId,
    seq: u64,
}

impl Sender {
    /// `usage` is [`Use::Down`] at the cloud and [`Use::Up`] at a controller.
    pub fn new(signer: Signer, usage: Use, controller: ControllerId, session: SessionId) -> Self {
        Self { signer, usage, controller, session, seq: 0 }
    }

    /// A sender that begins above `seq`: for a cloud that has forgotten the session and must still be believed when it
    /// asks for a new one.
    pub fn above(signer: Signer, usage: Use, controller: ControllerId, session: SessionId, seq: u64) -> Self {
        Self { signer, usage, controller, session, seq }
    }

    /// The next message of the session, signed.
    pub fn seal<M: Serialize>(&mut self, at: Timestamp, message: M) -> Result<Vec<u8>, JwsError> {
        self.seq += 1;
        let envelope =
            Envelope { controller: self.controller.clone(), session: self.session.clone(), seq: self.seq, at, message };
        self.signer.sign(self.usage, &envelope).map(String::into_bytes)
    }

    /// The session this sender numbers.
    pub fn session(&self) -> &SessionId {
        &self.session
    }
}

/// The receiving half of one session.
#[derive(Debug)]
pub struct Receiver {
    verifier: Verifier,
    usage: Use,
    controller: ControllerId,
    session: SessionId,
    last: u64,
}

impl Receiver {
    /// `usage` is what the other side sends: [`Use::Up`] at the cloud, [`Use::Down`] at a controller.
    pub fn new(verifier: Verifier, usage: Use, controller: ControllerId, session: SessionId) -> Self {
        Self { verifier, usage, controller, session, last: 0 }
    }

    /// Verifies `jws` and takes it if it is the session's next.
    pub fn open<M: DeserializeOwned>(&mut self, jws: &[u8]) -> Result<Envelope<M>, EnvelopeError> {
        let envelope = open_any(&self.verifier, self.usage, &self.controller, jws)?;
        if envelope.session != self.session {
            return Err(EnvelopeError::Session);
        }
        if envelope.seq <= self.last {
            return Err(EnvelopeError::Replayed { last: self.last, got: envelope.seq });
        }
        self.last = envelope.seq;
        Ok(envelope)
    }
}

/// Verifies signature and address only: for the cloud, which learns the session from a hello, and from nothing else.
pub fn open_any<M: DeserializeOwned>(
    verifier: &Verifier,
    usage: Use,
    controller: &ControllerId,
    jws: &[u8],
) -> Result<Envelope<M>, EnvelopeError> {
    let text = std::str::from_utf8(jws).map_err(|_| JwsError::Signature)?;
    let envelope: Envelope<M> = verifier.verify(usage, text)?;
    if envelope.controller == *controller { Ok(envelope) } else { Err(EnvelopeError::Address) }
}
