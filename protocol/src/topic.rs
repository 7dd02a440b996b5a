//! The two MQTT topics of a controller. Nothing is retained, nothing is queued by the broker.

use crate::id::ControllerId;

/// Where a controller speaks: `cardea/v1/{controller}/up`. Only it may publish there, only the cloud may subscribe.
pub fn up(controller: &ControllerId) -> String {
    format!("cardea/v1/{controller}/up")
}

/// Where a controller listens: `cardea/v1/{controller}/down`. Only the cloud may publish there.
pub fn down(controller: &ControllerId) -> String {
    format!("cardea/v1/{controller}/down")
}

/// The cloud's subscription: every controller's `up`.
pub const ALL_UP: &str = "cardea/v1/+/up";

/// The controller that an `up` topic belongs to; `None` for any other topic.
pub fn speaker(topic: &str) -> Option<ControllerId> {
    let id = topic.strip_prefix("cardea/v1/")?.strip_suffix("/up")?;
    ControllerId::new(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_its_speaker() {
        let id = ControllerId::new("gate-1").unwrap();
        assert_eq!(speaker(&up(&id)), Some(id.clone()));
        assert_eq!(speaker(&down(&id)), None);
        assert_eq!(speaker("cardea/v1/a/b/up"), None);
    }
}
