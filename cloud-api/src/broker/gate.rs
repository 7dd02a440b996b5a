//! Who may connect to the broker, and to which topics.
//!
//! A connection is a controller's if its client id is the common name of its certificate and the serial of that
//! certificate is active in the database; it may publish to its own `up` topic and subscribe to its own `down`, and that
//! is all. The cloud's own client is known by its serial.

use std::sync::Arc;

use async_trait::async_trait;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::ControllerId;
use cardea_protocol::topic;
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::hook::{Handler, HookResult, Parameter, ReturnType};
use rmqtt::session::Session;
use rmqtt::types::{AuthResult, ConnectInfo, PublishAclResult, SubscribeReturn};
use tokio::sync::mpsc;

use super::Presence;
use crate::pki::CLOUD_CLIENT;
use crate::storage::Storage;

/// What the decisions rest on.
pub(super) struct Gate {
    pub(super) storage: Storage,
    pub(super) clock: SharedClock,
    pub(super) cloud_serial: String,
    pub(super) presence: mpsc::UnboundedSender<Presence>,
}

impl Gate {
    /// Whether a connection may be made, or why not.
    async fn admits(&self, connect: &ConnectInfo) -> Result<(), &'static str> {
        let certificate = connect.cert().ok_or("no client certificate")?;
        let (Some(name), Some(serial)) = (&certificate.common_name, &certificate.serial) else {
            return Err("a certificate without a common name or serial");
        };
        if connect.client_id().as_bytes() != name.as_bytes() {
            return Err("the client id is not the certificate's common name");
        }
        let keeps_session = match connect {
            ConnectInfo::V3(_, connect) => !connect.clean_session,
            ConnectInfo::V5(_, connect) => !connect.clean_start || connect.session_expiry_interval_secs != 0,
        };
        if keeps_session {
            return Err("sessions are clean here: clean start, no session expiry");
        }
        if connect.last_will().is_some() {
            return Err("wills are not accepted");
        }
        if name == CLOUD_CLIENT {
            return if *serial == self.cloud_serial { Ok(()) } else { Err("an old certificate of the cloud") };
        }
        let status = self.storage.certificate(serial).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a certificate could not be looked up");
            "the storage failed"
        })?;
        match status {
            None => Err("a certificate that was never issued to a controller"),
            Some(status) if !status.active => Err("the certificate is superseded or revoked"),
            Some(status) if status.not_after <= self.clock.now() => Err("the certificate has expired"),
            Some(status) if status.controller.as_str() != name => Err("the serial belongs to another controller"),
            Some(_) => Ok(()),
        }
    }

    /// A revocation may have fallen between the first look and the connection: a second look closes that gap.
    async fn connected(&self, session: &Session) {
        let Some(controller) = controller_of(session) else { return };
        let still_admitted = match session.connect_info().await {
            Ok(connect) => self.admits(&connect).await,
            Err(_) => Err("the connection's details are gone"),
        };
        if let Err(reason) = still_admitted {
            tracing::warn!(%controller, reason, "connection ended");
            let (context, id) = (session.scx.clone(), controller.clone());
            // Not from within the hook: ending waits for the connection's own task, which runs this.
            tokio::spawn(async move { super::end_client(&context, id.as_str()).await });
            return;
        }
        tracing::info!(%controller, "connected");
        if let Some(address) = session.id.remote_addr {
            let _ = self.presence.send(Presence::Came(controller, address));
        }
    }
}

fn controller_of(session: &Session) -> Option<ControllerId> {
    ControllerId::new(session.id.client_id.to_string()).ok()
}

fn may_publish(session: &Session, topic: &str) -> bool {
    match controller_of(session) {
        Some(controller) => topic == topic::up(&controller),
        // Past the gate, whoever is no controller is the cloud.
        None => topic::speaker(topic).is_none() && topic.starts_with("cardea/v1/") && topic.ends_with("/down"),
    }
}

fn may_subscribe(session: &Session, filter: &str) -> bool {
    match controller_of(session) {
        Some(controller) => filter == topic::down(&controller),
        None => filter == topic::ALL_UP,
    }
}

/// The gate as rmqtt calls it.
pub(super) struct Hooks(pub(super) Arc<Gate>);

#[async_trait]
impl Handler for Hooks {
    async fn hook(&self, parameter: &Parameter, accumulated: Option<HookResult>) -> ReturnType {
        match parameter {
            Parameter::ClientAuthenticate(connect) => {
                let result = match self.0.admits(connect).await {
                    Ok(()) => AuthResult::Allow(false, None),
                    Err(reason) => {
                        tracing::warn!(client = %connect.client_id(), reason, "connection refused");
                        AuthResult::NotAuthorized
                    }
                };
                (false, Some(HookResult::AuthResult(result)))
            }
            Parameter::ClientConnected(session) => {
                self.0.connected(session).await;
                (true, accumulated)
            }
            Parameter::ClientDisconnected(session, reason) => {
                if let Some(controller) = controller_of(session) {
                    tracing::info!(%controller, %reason, "disconnected");
                    if let Some(address) = session.id.remote_addr {
                        let _ = self.0.presence.send(Presence::Went(controller, address));
                    }
                }
                (true, accumulated)
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let result = if may_subscribe(session, &subscribe.topic_filter) {
                    SubscribeReturn::new_success(subscribe.opts.qos(), None)
                } else {
                    tracing::warn!(client = %session.id.client_id, "subscription to a foreign topic refused");
                    SubscribeReturn::new_failure(SubscribeAckReason::NotAuthorized)
                };
                (false, Some(HookResult::SubscribeAclResult(result)))
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let result = if may_publish(session, &publish.inner.topic) && !publish.inner.retain {
                    PublishAclResult::allow()
                } else {
                    tracing::warn!(client = %session.id.client_id, "message to a foreign topic, or retained, refused");
                    PublishAclResult::rejected(true, None)
                };
                (false, Some(HookResult::PublishAclResult(result)))
            }
            _ => (true, accumulated),
        }
    }
}
