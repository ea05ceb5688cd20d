//! Server events as packets of the namespace `/`.

use serde::Serialize;

use crate::engine::{Frame, Packet};

/// `42["name",payload]`, encoded once for all its recipients.
pub fn event(name: &str, payload: &impl Serialize) -> Packet {
    let payload = serde_json::to_string(payload).expect("views serialize: their keys are strings");
    Packet::from_iter([Frame::text(&["42[\"", name, "\",", &payload, "]"])])
}

/// `43<id>[payload]`: the answer to an event that asked for one.
pub fn ack(id: u64, payload: &impl Serialize) -> Packet {
    let payload = serde_json::to_string(payload).expect("views serialize: their keys are strings");
    Packet::from_iter([Frame::text(&["43", &id.to_string(), "[", &payload, "]"])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_acks_are_written_as_clients_read_them() {
        let payload = serde_json::json!({"ok": true});
        assert_eq!(
            event("authenticated", &payload)[0].payload(),
            br#"42["authenticated",{"ok":true}]"#
        );
        assert_eq!(ack(0, &payload)[0].payload(), br#"430[{"ok":true}]"#);
    }
}
