//! Server events as packets of the namespace `/`.

use std::time::Duration;

use serde::Serialize;

use crate::app::EndReason;
use crate::engine::{Frame, Packet};

/// `42["name",payload]`, encoded once for all its recipients.
pub fn event(name: &str, payload: &impl Serialize) -> Packet {
    let payload = serde_json::to_string(payload).expect("views serialize: their keys are strings");
    Packet::from_iter([Frame::text(&["42[\"", name, "\",", &payload, "]"])])
}

/// `session-ended`: the client's session is over and it should not come back by itself (SPEC.md section 1).
pub fn session_ended(reason: EndReason) -> Packet {
    event(
        "session-ended",
        &serde_json::json!({"reason": reason.as_str(), "reconnect": false}),
    )
}

/// `server-draining`: in so long the connection is closed, and its client should come back (SPEC.md section 1, How a
/// session ends).
pub fn server_draining(reconnect_after: Duration) -> Packet {
    let reconnect_after_ms = u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX);
    event(
        "server-draining",
        &serde_json::json!({"reconnectAfterMs": reconnect_after_ms}),
    )
}

/// `41`: takes the socket out of `/`; JavaScript clients don't reconnect after it (PROTOCOL.md section 10).
pub fn disconnect() -> Packet {
    Packet::from_iter([Frame::text(&["41"])])
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
