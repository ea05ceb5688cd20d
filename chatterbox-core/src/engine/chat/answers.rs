//! What the session tells its client: acks, refusals, and the events of its own life.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::encode;
use super::events::Request;
use super::session::{Step, Steps};
use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::engine::Packet;
use crate::error::Error;
use crate::ids::ConversationId;
use crate::views::{PublicUser, RoomView};

/// The ack of a request that succeeded; nothing if none was asked for.
pub(super) fn answer(request: &Request, reply: &impl Serialize) -> Steps {
    let ack = request
        .ack
        .map(|id| encode::ack(id, &Success { ok: true, reply }));
    ack.map(Step::Send).into_iter().collect()
}

/// The ack of a request that was refused, or `request-error` if none was asked for.
pub(super) fn refusal(request: &Request, error: &Error) -> Packet {
    let retry_after_ms = error.retry_after().map(millis);
    let message = error.to_string();
    match request.ack {
        Some(id) => encode::ack(
            id,
            &Failure {
                ok: false,
                error: Refusal {
                    code: error.code(),
                    message,
                    retry_after_ms,
                },
            },
        ),
        None => encode::event(
            "request-error",
            &RequestError {
                event: &request.event,
                refusal: Refusal {
                    code: error.code(),
                    message,
                    retry_after_ms,
                },
                client_message_id: request.client_message_id.as_deref(),
            },
        ),
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Success<'a, T> {
    ok: bool,
    #[serde(flatten)]
    reply: &'a T,
}

#[derive(Serialize)]
struct Failure {
    ok: bool,
    error: Refusal,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestError<'a> {
    event: &'a str,
    #[serde(flatten)]
    refusal: Refusal,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthAck<'a> {
    pub(super) user: &'a PublicUser,
    pub(super) session_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authenticated<'a> {
    pub(super) user: &'a PublicUser,
    pub(super) session_id: String,
    pub(super) server_time: Timestamp,
    pub(super) heartbeat_interval: u64,
    pub(super) limits: Limits,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    pub(super) message_chars: usize,
    pub(super) messages_per_second: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenExpiring {
    pub(super) expires_in_ms: u64,
}

#[derive(Serialize)]
pub(super) struct JoinedAck<'a> {
    pub(super) room: &'a RoomView,
    pub(super) seq: Seq,
    pub(super) members: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeartbeatAck {
    pub(super) server_time: Timestamp,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) seq_hints: BTreeMap<ConversationId, Seq>,
}

/// The ack of `join-conversation`, once what was missed is replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedAck {
    /// Which.
    pub conversation_id: ConversationId,
    /// The end of its log.
    pub seq: Seq,
    /// Whether the client has everything now; if not, it loads the conversation anew.
    pub recovered: bool,
}

/// The ack of `leave-conversation`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClosedAck {
    pub(super) conversation_id: ConversationId,
}
