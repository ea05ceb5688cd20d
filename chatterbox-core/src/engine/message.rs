//! What travels inside an Engine.IO session: one text or one binary message.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::engine::{Frame, Packet};

/// One Engine.IO message as the layer above sees it, already checked to be UTF-8 if it is text.
/// Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A `4…` packet, without the type byte.
    Text(Utf8Bytes),
    /// A binary websocket frame, or a decoded `b…` packet of polling.
    Binary(Bytes),
}

impl Message {
    /// As it is sent to a client.
    pub fn to_packet(&self) -> Packet {
        let frame = match self {
            Message::Text(text) => Frame::text(&["4", text]),
            Message::Binary(bytes) => Frame::binary(bytes),
        };
        Packet::from_elem(frame, 1)
    }

    /// Size of the content in bytes.
    pub fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
