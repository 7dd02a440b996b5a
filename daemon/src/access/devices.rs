//! Boards, cameras and readers come and go; each coming and going is an event, once.

use std::collections::BTreeMap;

use cardea_hardware::{Hardware, Health};
use cardea_protocol::event::EventKind;
use tokio::sync::watch;

/// All boards, cameras and readers by their configured names.
pub(crate) struct Devices {
    health: BTreeMap<String, watch::Receiver<Health>>,
    /// Whether each answered when it was last looked at; `None` before first contact.
    known: BTreeMap<String, Option<bool>>,
}

impl Devices {
    /// Those of `hardware`.
    pub(crate) fn new(hardware: &Hardware) -> Self {
        let health = hardware.health().map(|(name, health)| (name.to_owned(), health)).collect();
        Self { health, known: BTreeMap::new() }
    }

    /// Whether it answered when it was last looked at.
    pub(crate) fn answers(&self, name: &str) -> Option<bool> {
        self.known.get(name).copied().flatten()
    }

    /// Looks at one; answers the event, if it has come back or gone.
    pub(crate) fn look(&mut self, name: &str) -> Option<EventKind> {
        let answers = match &*self.health.get(name)?.borrow() {
            Health::Starting => None,
            Health::Up => Some(true),
            Health::Down { .. } => Some(false),
        };
        let before = self.known.insert(name.to_owned(), answers).flatten();
        let reachable = answers?;
        // The first contact after a start is no news; that there is none is.
        if before == answers || (before.is_none() && reachable) {
            return None;
        }
        // The reason names addresses, which stay here: it is in the log.
        let detail = (!reachable).then(|| "it does not answer".to_owned());
        Some(EventKind::Equipment { equipment: name.to_owned(), reachable, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coming_and_going_is_told_once_and_without_addresses() {
        let (sender, health) = watch::channel(Health::Starting);
        let mut devices = Devices { health: [("io1".to_owned(), health)].into(), known: BTreeMap::new() };
        assert_eq!(devices.look("io1"), None);
        sender.send_replace(Health::Up);
        assert_eq!(devices.look("io1"), None, "first contact");
        sender.send_replace(Health::Down { reason: "192.0.2.7 refused".into() });
        let gone = devices.look("io1").unwrap();
        assert!(!serde_json::to_string(&gone).unwrap().contains("192.0.2.7"));
        assert_eq!(devices.look("io1"), None);
        assert_eq!(devices.answers("io1"), Some(false));
        sender.send_replace(Health::Up);
        assert!(matches!(devices.look("io1"), Some(EventKind::Equipment { reachable: true, .. })));
        assert_eq!(devices.look("nothing"), None);
    }
}
