//! The table of controllers: who is spoken with, by which task.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use cardea_protocol::id::{AccessPointId, CommandId, ControllerId, SiteId};
use cardea_protocol::message::CommandOutcome;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::OpenError;
use super::carrier::Carrier;
use super::session::{Context, Control, Session};
use crate::broker::Presence;
use crate::storage::controllers::ControllerStatus;
use crate::storage::sites::Scope;

/// Messages of one controller that wait to be handled. A controller that outruns this begins again.
const MAILBOX: usize = 64;

/// What the hub is told.
#[derive(Debug)]
pub(super) enum Input {
    /// A site has new revisions.
    Changed(SiteId),
    /// Open something.
    Open(Order),
    /// End a controller's session.
    End(ControllerId, oneshot::Sender<()>),
    /// A message of a controller.
    Up(ControllerId, Bytes),
    /// The connection to the broker stands.
    LinkUp,
    /// The connection to the broker is lost.
    LinkDown,
}

/// An order to open, and who waits for its outcome.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) command_id: CommandId,
    pub(super) access_point: AccessPointId,
    pub(super) site: SiteId,
    pub(super) reply: oneshot::Sender<Result<CommandOutcome, OpenError>>,
}

/// One controller's task, as the hub reaches it.
struct Contact {
    site: SiteId,
    control: mpsc::UnboundedSender<Control>,
    mailbox: mpsc::Sender<Bytes>,
    changed: Arc<Notify>,
    ended: CancellationToken,
}

/// The hub's own state.
pub(super) struct Hub {
    pub(super) context: Context,
    pub(super) carrier: Arc<dyn Carrier>,
    pub(super) ready: watch::Sender<bool>,
    contacts: BTreeMap<ControllerId, Contact>,
    link_was_lost: bool,
}

impl Hub {
    pub(super) fn new(context: Context, carrier: Arc<dyn Carrier>, ready: watch::Sender<bool>) -> Self {
        Self { context, carrier, ready, contacts: BTreeMap::new(), link_was_lost: false }
    }

    /// Runs until cancelled.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<Input>,
        mut presence: mpsc::UnboundedReceiver<Presence>,
        cancel: CancellationToken,
    ) {
        loop {
            // Biased: that a controller came is known before its first message is looked at.
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Some(presence) = presence.recv() => match presence {
                    Presence::Came(controller, address) => self.tell(&controller, Control::Came(address)).await,
                    Presence::Went(controller, address) => self.tell(&controller, Control::Went(address)).await,
                },
                Some(input) = inputs.recv() => self.handle(input).await,
            }
        }
    }

    async fn handle(&mut self, input: Input) {
        match input {
            Input::Changed(site) => {
                for contact in self.contacts.values().filter(|contact| contact.site == site) {
                    contact.changed.notify_one();
                }
            }
            Input::Open(order) => self.open(order).await,
            Input::End(controller, done) => {
                if let Some(contact) = self.contacts.remove(&controller) {
                    contact.ended.cancel();
                }
                let carrier = self.carrier.clone();
                tokio::spawn(async move {
                    carrier.end(&controller).await;
                    let _ = done.send(());
                });
            }
            Input::Up(controller, payload) => {
                let Some(contact) = self.contact(&controller).await else { return };
                if contact.mailbox.try_send(payload).is_err() {
                    tracing::warn!(%controller, "too many messages at once: the session begins again");
                    let _ = contact.control.send(Control::Restart);
                }
            }
            Input::LinkUp => {
                if std::mem::take(&mut self.link_was_lost) {
                    // What went by meanwhile is unknown.
                    self.tell_all(|| Control::Restart);
                    let carrier = self.carrier.clone();
                    tokio::spawn(async move { carrier.end_controllers().await });
                }
                self.ready.send_replace(true);
            }
            Input::LinkDown => {
                self.link_was_lost = true;
                self.ready.send_replace(false);
            }
        }
    }

    async fn open(&mut self, order: Order) {
        match self.context.storage.access_point(&order.site, &order.access_point).await {
            Err(error) => drop(order.reply.send(Err(error.into()))),
            Ok(None) => drop(order.reply.send(Err(OpenError::UnknownAccessPoint))),
            // A contact that is not there drops the order, and with it the reply: unreachable.
            Ok(Some(equipment)) => self.tell(&equipment.controller, Control::Open(order)).await,
        }
    }

    async fn tell(&mut self, controller: &ControllerId, control: Control) {
        if let Some(contact) = self.contact(controller).await {
            let _ = contact.control.send(control);
        }
    }

    fn tell_all(&self, control: impl Fn() -> Control) {
        for contact in self.contacts.values() {
            let _ = contact.control.send(control());
        }
    }

    /// The task of a controller, begun if need be.
    async fn contact(&mut self, controller: &ControllerId) -> Option<&Contact> {
        if !self.contacts.contains_key(controller) {
            let known = match self.context.storage.controller(&Scope::Operator, controller).await {
                Ok(known) => known.filter(|known| known.status == ControllerStatus::Active)?,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a controller could not be looked up");
                    return None;
                }
            };
            let (control, controls) = mpsc::unbounded_channel();
            let (mailbox, messages) = mpsc::channel(MAILBOX);
            let (changed, ended) = (Arc::new(Notify::new()), CancellationToken::new());
            let session = Session::new(self.context.clone(), controller.clone(), known.site.clone(), ended.clone());
            let contact = Contact { site: known.site, control, mailbox, changed: changed.clone(), ended };
            tokio::spawn(session.run(controls, messages, changed));
            self.contacts.insert(controller.clone(), contact);
        }
        self.contacts.get(controller)
    }
}

/// The address of a controller's connection, which tells it from an earlier one.
pub(super) type Connection = SocketAddr;
