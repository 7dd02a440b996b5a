//! What carries the messages between the sessions and their controllers: a broker, as far as the sessions know one.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use cardea_protocol::id::ControllerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::Input;
use crate::broker::Presence;

/// Carries messages. Nothing rests on its word that it has.
#[async_trait]
pub trait Carrier: std::fmt::Debug + Send + Sync {
    /// Carries until cancelled. Says when it begins to ([`Inlet::stands`]), and when it cannot ([`Inlet::lost`]).
    async fn run(&self, line: Line, cancel: CancellationToken);

    /// Ends a controller's connection, if there is one.
    async fn end(&self, controller: &ControllerId);

    /// Ends every controller's connection.
    async fn end_controllers(&self);
}

/// A message on its way to a controller.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// To whom.
    pub to: ControllerId,
    /// Signed.
    pub payload: Vec<u8>,
    /// Once cancelled, the controller is revoked, and the message is to be dropped.
    pub ended: CancellationToken,
}

/// Both directions, as a carrier holds them.
#[derive(Debug)]
pub struct Line {
    /// What is to be carried.
    pub outgoing: mpsc::Receiver<Outgoing>,
    /// Where what comes is put.
    pub inlet: Inlet,
}

/// Where a carrier puts what comes, and says what becomes of its connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inlet {
    pub(super) hub: mpsc::UnboundedSender<Input>,
    pub(super) presence: mpsc::UnboundedSender<Presence>,
}

// The hub ends only with the program, so that nobody need care whether it hears.
impl Inlet {
    /// A message of a controller.
    pub fn message(&self, from: ControllerId, payload: Bytes) {
        let _ = self.hub.send(Input::Up(from, payload));
    }

    /// Messages are carried from now on.
    pub fn stands(&self) {
        let _ = self.hub.send(Input::LinkUp);
    }

    /// Messages may have been lost, and none is carried until [`Inlet::stands`].
    pub fn lost(&self) {
        let _ = self.hub.send(Input::LinkDown);
    }

    /// A controller has connected from this address, and is about to say hello.
    pub fn came(&self, controller: ControllerId, from: SocketAddr) {
        let _ = self.presence.send(Presence::Came(controller, from));
    }

    /// The connection from this address has ended; another of the same controller may have taken its place already.
    pub fn went(&self, controller: ControllerId, from: SocketAddr) {
        let _ = self.presence.send(Presence::Went(controller, from));
    }
}
