//! Single Engine.IO packets (PROTOCOL.md section 3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::engine::{Frame, Message};

/// A packet that a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPacket {
    /// `1`
    Close,
    /// `2probe`: the first packet on a websocket that wants to take a session over.
    Probe,
    /// `3`
    Pong,
    /// `4…`, or binary.
    Message(Message),
    /// `5`
    Upgrade,
}

/// Why bytes are not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Empty, of an unknown type, or of one that only servers send.
    #[error("not a packet that clients send")]
    Packet,
    /// A text packet that is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// `b` and something that is not base64 with padding.
    #[error("not base64")]
    Base64,
}

impl ClientPacket {
    /// From the content of a text message.
    pub fn from_text(bytes: &Bytes) -> Result<ClientPacket, Malformed> {
        match &bytes[..] {
            [b'4', ..] => {
                let text = Utf8Bytes::try_from(bytes.slice(1..)).map_err(|_| Malformed::Utf8)?;
                Ok(ClientPacket::Message(Message::Text(text)))
            }
            [b'3', data @ ..] => std::str::from_utf8(data)
                .map(|_| ClientPacket::Pong)
                .map_err(|_| Malformed::Utf8),
            b"1" => Ok(ClientPacket::Close),
            b"5" => Ok(ClientPacket::Upgrade),
            b"2probe" => Ok(ClientPacket::Probe),
            other => match std::str::from_utf8(other) {
                Ok(_) => Err(Malformed::Packet),
                Err(_) => Err(Malformed::Utf8),
            },
        }
    }

    /// From one piece of a polling body, where binary messages are `b` and base64.
    pub fn from_polling(bytes: &Bytes) -> Result<ClientPacket, Malformed> {
        match bytes.strip_prefix(b"b") {
            Some(encoded) => {
                let decoded = BASE64.decode(encoded).map_err(|_| Malformed::Base64)?;
                Ok(ClientPacket::Message(Message::Binary(decoded.into())))
            }
            None => ClientPacket::from_text(bytes),
        }
    }
}

/// `1`: the session is over.
pub const CLOSE: Frame = Frame::from_static(b"\x81\x011");
/// `2`: are you there?
pub const PING: Frame = Frame::from_static(b"\x81\x012");
/// `3probe`: the answer to `2probe`.
pub const PROBED: Frame = Frame::from_static(b"\x81\x063probe");
/// `6`: nothing, but the GET ends.
pub const NOOP: Frame = Frame::from_static(b"\x81\x016");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_a_client() {
        let text = |text: &str| Ok(ClientPacket::Message(Message::Text(text.into())));
        for (bytes, expected) in [
            (&b"1"[..], Ok(ClientPacket::Close)),
            (b"2probe", Ok(ClientPacket::Probe)),
            (b"3", Ok(ClientPacket::Pong)),
            (b"3probe", Ok(ClientPacket::Pong)),
            (b"4", text("")),
            ("4hé".as_bytes(), text("hé")),
            (b"5", Ok(ClientPacket::Upgrade)),
            (
                b"bAQI=",
                Ok(ClientPacket::Message(Message::Binary(vec![1, 2].into()))),
            ),
            (b"b", Ok(ClientPacket::Message(Message::Binary(Bytes::new())))),
            (b"", Err(Malformed::Packet)),
            (b"0{}", Err(Malformed::Packet)),
            (b"2", Err(Malformed::Packet)),
            (b"6", Err(Malformed::Packet)),
            (b"abc", Err(Malformed::Packet)),
            (b"4\xFF", Err(Malformed::Utf8)),
            (b"\xFF", Err(Malformed::Utf8)),
            (b"bAQI", Err(Malformed::Base64)),
            (b"b*", Err(Malformed::Base64)),
        ] {
            assert_eq!(
                ClientPacket::from_polling(&Bytes::from_static(bytes)),
                expected,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn our_fixed_frames_are_what_the_encoder_makes() {
        for (fixed, text) in [(CLOSE, "1"), (PING, "2"), (PROBED, "3probe"), (NOOP, "6")] {
            assert_eq!(fixed, Frame::text(&[text]));
        }
    }
}
