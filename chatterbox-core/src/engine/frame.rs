//! One Engine.IO packet, encoded once for every recipient.
//!
//! Frames from a server are unmasked, so the bytes of a whole websocket frame are the same for all recipients: they
//! are made once and shared. Polling takes the payload out of the same bytes.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

/// One or more frames that enter a send queue together: a Socket.IO packet with its attachments is one unit, so that
/// two senders can't interleave (PROTOCOL.md section 9).
pub type Packet = SmallVec<[Frame; 1]>;

/// How a frame's payload is written into a polling body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// An Engine.IO packet with its type character, as text.
    Text,
    /// A binary message; `b` and base64 in polling.
    Binary,
    /// A websocket control frame (pong, close); never part of a polling body.
    Control,
}

/// The bytes of one unmasked websocket frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    payload_at: u8,
    kind: FrameKind,
}

impl Frame {
    /// A text frame whose payload is `parts` one behind the other, for example `["42", "[\"event\"]"]`.
    pub fn text(parts: &[&str]) -> Frame {
        let length = parts.iter().map(|part| part.len()).sum();
        let (mut bytes, payload_at) = with_header(0x81, length);
        for part in parts {
            bytes.put_slice(part.as_bytes());
        }
        Frame {
            bytes: bytes.freeze(),
            payload_at,
            kind: FrameKind::Text,
        }
    }

    /// A text frame written out by hand: a header of two bytes and a payload of at most 125.
    pub(crate) const fn from_static(bytes: &'static [u8]) -> Frame {
        Frame {
            bytes: Bytes::from_static(bytes),
            payload_at: 2,
            kind: FrameKind::Text,
        }
    }

    /// A binary frame.
    pub fn binary(payload: &[u8]) -> Frame {
        let (mut bytes, payload_at) = with_header(0x82, payload.len());
        bytes.put_slice(payload);
        Frame {
            bytes: bytes.freeze(),
            payload_at,
            kind: FrameKind::Binary,
        }
    }

    /// Bytes to keep free in front of a payload that is written in place, for [`Frame::text_in_place`].
    pub(crate) const HEADER_MAX: usize = 10;

    /// A text frame around a payload that already lies in `buffer`, from `payload_from` to the end, as UTF-8.
    /// The header goes into the space in front of it, which is at least [`Frame::HEADER_MAX`] bytes; nothing is copied.
    pub(crate) fn text_in_place(mut buffer: Vec<u8>, payload_from: usize) -> Frame {
        debug_assert!(payload_from >= Frame::HEADER_MAX, "no space for the header");
        let (header, header_len) = header(0x81, buffer.len() - payload_from);
        let start = payload_from - usize::from(header_len);
        buffer[start..payload_from].copy_from_slice(&header[..usize::from(header_len)]);
        // A boxed slice has no spare capacity: what a send queue counts is what it holds.
        let bytes = Bytes::from(buffer.into_boxed_slice()).slice(start..);
        Frame {
            bytes,
            payload_at: header_len,
            kind: FrameKind::Text,
        }
    }

    /// Bytes that are already a websocket control frame, as the websocket library wrote them.
    pub fn control(bytes: Bytes) -> Frame {
        Frame {
            bytes,
            payload_at: 0,
            kind: FrameKind::Control,
        }
    }

    /// The whole websocket frame.
    pub fn as_websocket(&self) -> &Bytes {
        &self.bytes
    }

    /// The payload, without the websocket header.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.payload_at)..]
    }

    /// What kind of frame it is.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Size on a websocket, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true: a frame has a header at least.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A buffer for exactly one unmasked, final frame, with its header written.
fn with_header(first_byte: u8, length: usize) -> (BytesMut, u8) {
    let (header, header_len) = header(first_byte, length);
    let mut bytes = BytesMut::with_capacity(usize::from(header_len) + length);
    bytes.put_slice(&header[..usize::from(header_len)]);
    (bytes, header_len)
}

/// The header of an unmasked, final frame and its length (RFC 6455 section 5.2).
fn header(first_byte: u8, length: usize) -> ([u8; Frame::HEADER_MAX], u8) {
    let mut header = [0; Frame::HEADER_MAX];
    header[0] = first_byte;
    let header_len = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            header[1] = short;
            2
        }
        (_, Ok(medium)) => {
            header[1] = 126;
            header[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        (_, Err(_)) => {
            header[1] = 127;
            header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (header, header_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_the_shortest_form_of_rfc_6455() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xFF, 0xFF]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::text(&["x".repeat(length).as_str()]);
            assert_eq!(&frame.as_websocket()[..header.len()], header, "length {length}");
            assert_eq!(frame.payload().len(), length);

            let mut buffer = vec![0; Frame::HEADER_MAX + 3];
            buffer.resize(buffer.len() + length, b'x');
            assert_eq!(
                Frame::text_in_place(buffer, Frame::HEADER_MAX + 3),
                frame,
                "length {length}"
            );
        }
    }
}
