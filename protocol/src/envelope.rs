//! The signed envelope around every message: addressed, bound to one session, numbered. CBOR ([`crate::cbor`]), signed by COSE
//! ([`crate::cose`]).
//!
//! A session begins with the controller's `hello`, which carries a fresh [`SessionId`]; from then on each side numbers
//! its messages from 1 and takes only a number above the last. So a broker can drop messages, but neither replay an
//! old one, nor reorder, nor deliver one to another controller.

use ciborium::Value;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::cbor::{self, CborError};
use crate::cose::{self, CoseError};
use crate::id::{ControllerId, SessionId};
use crate::jws::{Signer, Use, Verifier};
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
    #[serde(with = "crate::millis")]
    pub at: Timestamp,
    /// The message.
    pub message: M,
}

/// Why an envelope was not taken.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The signature is wrong.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// Signed as it should be, but no envelope.
    #[error(transparent)]
    Content(#[from] CborError),
    /// An envelope whose message is not understood: of a newer version, or with more than a message may have. It may have been
    /// a revocation, so nobody goes on as if it had not come.
    #[error("a message of session {session} is not understood")]
    Unknown {
        /// Whose message it is.
        session: SessionId,
    },
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
    pub fn seal<M: Serialize>(&mut self, at: Timestamp, message: M) -> Result<Vec<u8>, CoseError> {
        self.seq += 1;
        let envelope =
            Envelope { controller: self.controller.clone(), session: self.session.clone(), seq: self.seq, at, message };
        let payload = cbor::encode(&envelope).map_err(|_| CoseError::Sign)?;
        cose::sign(&self.signer, self.usage, payload)
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

    /// Verifies `bytes` and takes it if it is the session's next. One that is not understood has its number all the same.
    pub fn open<M: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<Envelope<M>, EnvelopeError> {
        let envelope = addressed(&self.verifier, self.usage, &self.controller, bytes)?;
        if envelope.session != self.session {
            return Err(EnvelopeError::Session);
        }
        if envelope.seq <= self.last {
            return Err(EnvelopeError::Replayed { last: self.last, got: envelope.seq });
        }
        self.last = envelope.seq;
        envelope.understood()
    }
}

/// Verifies signature and address only: for the cloud, which learns the session from a hello, and from nothing else.
pub fn open_any<M: DeserializeOwned>(
    verifier: &Verifier,
    usage: Use,
    controller: &ControllerId,
    bytes: &[u8],
) -> Result<Envelope<M>, EnvelopeError> {
    addressed(verifier, usage, controller, bytes)?.understood()
}

/// An envelope of the right signer for or from the right controller, its message not yet looked at.
fn addressed(
    verifier: &Verifier,
    usage: Use,
    controller: &ControllerId,
    bytes: &[u8],
) -> Result<Envelope<Value>, EnvelopeError> {
    let payload = cose::verify(verifier, usage, bytes)?;
    let envelope: Envelope<Value> = cbor::fields(&cbor::parse(&payload)?)?;
    if envelope.controller == *controller { Ok(envelope) } else { Err(EnvelopeError::Address) }
}

impl Envelope<Value> {
    fn understood<M: DeserializeOwned>(self) -> Result<Envelope<M>, EnvelopeError> {
        let Self { controller, session, seq, at, message } = self;
        match cbor::fields(&message) {
            Ok(message) => Ok(Envelope { controller, session, seq, at, message }),
            Err(_) => Err(EnvelopeError::Unknown { session }),
        }
    }
}
