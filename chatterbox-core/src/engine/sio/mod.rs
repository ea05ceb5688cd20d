//! Socket.IO v5: packets, binary attachments, namespaces, acks (PROTOCOL.md sections 8 to 11 and 13).
//!
//! ```text
//!  Message ──▶ header ──▶ json ──▶ args ──▶ sockets ──▶ Output: connect, event, ack, left, close
//!                                              │
//!  Packet ◀───────────── encode ◀── args ◀─────┴─────── accept, refuse, disconnect; event(), ack()
//! ```
//!
//! [`Sockets`] is the machine: the namespaces of one connection. It takes messages and instants, answers each with at
//! most one [`Output`], and queues nothing. [`event()`] and [`ack()`] encode what goes out; they need no machine, so a
//! broadcast is encoded once for everybody.
//!
//! # What is decided here beyond the protocol's text
//!
//! - Strict where it costs no real client: whatever the grammar doesn't allow closes the connection (section 8). The
//!   one packet that is answered instead is CONNECT to an unknown namespace, which is answered 64 times at most.
//! - Arguments are checked and cut into slices, never parsed into a tree; they are relayed as they were written.
//!   Lone surrogate escapes become U+FFFD before anybody sees them; numbers out of range pass (section 8).
//! - JSON is at most 128 levels deep, the array of arguments included (section 13).
//! - A namespace's name is at most 512 bytes long and free of control characters, since it is echoed.
//! - Attachments: 1 to 10, together at most [`Rules::attachment_bytes_max`] (1,000,000, what `maxPayload` allows a
//!   single message), complete within 5 s (sections 9 and 13). They are only collected for a namespace that was asked
//!   for, so a binary header as first packet closes.
//! - Packets run strictly in order: `41` and `40` in one segment leave and join again (section 10, "Better").
//! - Events sent while an admission check is still running are held, 16 of them or 64 KiB, and delivered behind the
//!   CONNECT answer; the official client waits for the answer anyway. Beyond that [`Sockets::is_ready`] asks the
//!   driver to wait (section 10).
//! - Packets that crossed a refusal or a server-side disconnect on the way are ignored until the client asks for the
//!   namespace again; the reference closes the whole connection over them.
//! - Sending refuses reserved names, more than 10 attachments, and data that looks like a placeholder beside real
//!   attachments, over which clients would drop the connection.
//! - The connect time-out (section 6) is a timer of the Engine.IO session; whoever accepts a namespace tells it so by
//!   [`Link::joined`](crate::hub::Link::joined).
//! - There is no connection state recovery, so the CONNECT answer is exactly `{"sid":…}` (section 12).

mod acks;
mod args;
mod encode;
mod escape;
mod event;
mod extract;
mod header;
mod json;
mod placeholder;
mod resolve;
mod rules;
mod sockets;
#[cfg(test)]
mod tests;

pub use acks::Acks;
pub use args::{Args, Binary, Value};
pub use encode::{ArgsWriter, EncodeError, ToArg, ToArgs, ack, event, event_with_ack};
pub use event::{Event, ReceivedAck};
pub use extract::{ArgsError, FromArg, FromArgs};
pub use header::{ACK_ID_MAX, NAMESPACE_BYTES_MAX};
pub use json::DEPTH_MAX;
pub use rules::{NamespaceId, Rules};
pub use sockets::{Accepted, Output, Sockets};

/// Most binary attachments of one packet; clients drop the connection on more (PROTOCOL.md section 9).
pub const ATTACHMENTS_MAX: u8 = 10;

/// Whether an event may not be called so: clients and servers emit these to themselves. `error` is an ordinary event
/// (PROTOCOL.md section 8).
pub fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}

/// What was wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// No packet, or a type that clients don't send.
    #[error("unknown packet type")]
    PacketType,
    /// The number of attachments is not 1 to 10 in plain digits.
    #[error("wrong number of attachments")]
    Attachments,
    /// The name of a namespace is too long or has control characters.
    #[error("wrong namespace")]
    Namespace,
    /// An ack id beyond 2^53, missing, or where none belongs.
    #[error("wrong ack id")]
    AckId,
    /// Not JSON, or something behind it.
    #[error("malformed json")]
    Json,
    /// More than [`DEPTH_MAX`] levels.
    #[error("json nested too deep")]
    TooDeep,
    /// Longer than 4 GiB; the limits of a server end far below.
    #[error("too long")]
    TooLong,
    /// Arguments that are no array.
    #[error("arguments are not an array")]
    NotAnArray,
    /// The first element of an event is no string and no number, or a reserved name.
    #[error("wrong event name")]
    EventName,
    /// The payload of CONNECT is no object, or DISCONNECT has one.
    #[error("wrong payload")]
    Payload,
    /// A placeholder whose `num` is no index of an attachment.
    #[error("wrong placeholder")]
    Placeholder,
}
