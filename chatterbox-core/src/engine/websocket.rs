//! Reading websocket frames from a client, and the few control frames we answer with (RFC 6455).
//!
//! ```text
//! bytes as they come ──▶ Reader ──▶ Text | Binary | Ping | Pong | Close, or a Fault with its close code
//! ```
//! The reader holds no buffer while nothing is incomplete, and takes bytes from a buffer that all connections of a
//! thread share: this is why the frames are read here and not by a stream type with a buffer of its own per
//! connection. It also counts the fragments of a message, which bounds what floods of tiny ones cost (PROTOCOL.md
//! section 13). Frame headers are parsed by `tungstenite`.

use std::io::Cursor;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::engine::Frame;

/// What a client's websocket said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole text message. Not yet checked to be UTF-8.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping frame, to be answered by a pong with the same content.
    Ping(Bytes),
    /// A pong frame.
    Pong,
    /// A close frame: nothing of the client follows.
    Close,
}

/// The client broke the protocol or a limit; the connection is to be failed with this websocket close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 1002: unmasked, reserved bits, unknown opcode, bad control frame, wrong order of fragments.
    Protocol,
    /// 1007: text that is not UTF-8.
    Utf8,
    /// 1009: a message over its limit of bytes or fragments.
    TooLarge,
}

impl Fault {
    /// The close code (RFC 6455 section 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Fault::Protocol => 1002,
            Fault::Utf8 => 1007,
            Fault::TooLarge => 1009,
        }
    }
}

/// Bounds on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of payload over all fragments.
    pub bytes_max: usize,
    /// Fragments, counting the first.
    pub fragments_max: u32,
}

/// Reads one client's frames. See the [module](self).
#[derive(Debug, Default)]
pub struct Reader {
    /// Nothing, or the first bytes of a header.
    header: BytesMut,
    frame: Option<Open>,
    /// The message so far, over all its fragments.
    message: BytesMut,
    /// What kind of message has begun, and in how many fragments.
    begun: Option<(Data, u32)>,
    /// The content of a control frame so far; it may come between the fragments of a message.
    control: BytesMut,
}

/// A frame whose header was read.
#[derive(Debug)]
struct Open {
    opcode: OpCode,
    last: bool,
    mask: [u8; 4],
    missing: usize,
}

impl Reader {
    /// Whether a message or a frame is incomplete.
    pub fn is_within_message(&self) -> bool {
        self.begun.is_some() || self.frame.is_some() || !self.header.is_empty()
    }

    /// Reads on until something is complete, and takes what it used off the front of `input`. `None`: all of the
    /// input was used. After a fault nothing more can be read.
    pub fn read(&mut self, input: &mut &[u8], limits: MessageLimits) -> Result<Option<Event>, Fault> {
        loop {
            let Some(frame) = &mut self.frame else {
                let Some(frame) = self.read_header(input, limits)? else {
                    return Ok(None);
                };
                self.frame = Some(frame);
                continue;
            };
            let buffer = match frame.opcode {
                OpCode::Data(_) => &mut self.message,
                OpCode::Control(_) => &mut self.control,
            };
            let take = frame.missing.min(input.len());
            let start = buffer.len();
            buffer.extend_from_slice(&input[..take]);
            input.advance(take);
            unmask(&mut buffer[start..], frame.mask);
            frame.mask.rotate_left(take % 4);
            frame.missing -= take;
            if frame.missing > 0 {
                return Ok(None);
            }
            let (opcode, last) = (frame.opcode, frame.last);
            self.frame = None;
            if let Some(event) = self.finish(opcode, last)? {
                return Ok(Some(event));
            }
        }
    }

    fn read_header(&mut self, input: &mut &[u8], limits: MessageLimits) -> Result<Option<Open>, Fault> {
        let (header, length) = if self.header.is_empty() {
            let mut cursor = Cursor::new(*input);
            if let Some(parsed) = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Protocol)? {
                input.advance(usize::try_from(cursor.position()).unwrap_or(0));
                parsed
            } else {
                self.header.extend_from_slice(input);
                input.advance(input.len());
                return Ok(None);
            }
        } else {
            // Byte by byte: headers end after 14 bytes at most.
            loop {
                if !input.has_remaining() {
                    return Ok(None);
                }
                self.header.put_u8(input.get_u8());
                let mut cursor = Cursor::new(&self.header);
                if let Some(parsed) = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Protocol)? {
                    self.header = BytesMut::new();
                    break parsed;
                }
            }
        };
        self.check(&header, length, limits).map(Some)
    }

    fn check(&mut self, header: &FrameHeader, length: u64, limits: MessageLimits) -> Result<Open, Fault> {
        let Some(mask) = header.mask else {
            return Err(Fault::Protocol);
        };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Fault::Protocol);
        }
        let missing = usize::try_from(length).map_err(|_| Fault::TooLarge)?;
        match header.opcode {
            OpCode::Control(_) => {
                if missing > 125 || !header.is_final {
                    return Err(Fault::Protocol);
                }
            }
            OpCode::Data(Data::Continue) => {
                let Some((_, fragments)) = &mut self.begun else {
                    return Err(Fault::Protocol);
                };
                *fragments += 1;
                if *fragments > limits.fragments_max {
                    return Err(Fault::TooLarge);
                }
            }
            OpCode::Data(kind) => {
                if self.begun.is_some() {
                    return Err(Fault::Protocol);
                }
                self.begun = Some((kind, 1));
            }
        }
        // Judged by what is announced, but nothing is allocated for it before it comes.
        if matches!(header.opcode, OpCode::Data(_)) && missing > limits.bytes_max - self.message.len() {
            return Err(Fault::TooLarge);
        }
        Ok(Open {
            opcode: header.opcode,
            last: header.is_final,
            mask,
            missing,
        })
    }

    fn finish(&mut self, opcode: OpCode, last: bool) -> Result<Option<Event>, Fault> {
        match opcode {
            OpCode::Control(control) => {
                let content = std::mem::take(&mut self.control).freeze();
                match control {
                    Control::Ping => Ok(Some(Event::Ping(content))),
                    Control::Pong => Ok(Some(Event::Pong)),
                    Control::Close => check_close(&content).map(|()| Some(Event::Close)),
                    Control::Reserved(_) => Err(Fault::Protocol),
                }
            }
            OpCode::Data(_) if !last => Ok(None),
            OpCode::Data(_) => {
                let content = std::mem::take(&mut self.message).freeze();
                match self.begun.take() {
                    Some((Data::Text, _)) => Ok(Some(Event::Text(content))),
                    Some((Data::Binary, _)) => Ok(Some(Event::Binary(content))),
                    Some((Data::Continue | Data::Reserved(_), _)) | None => Err(Fault::Protocol),
                }
            }
        }
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u32::from_ne_bytes(mask);
    let mut words = bytes.chunks_exact_mut(4);
    for word in &mut words {
        let masked = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        word.copy_from_slice(&(masked ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn check_close(content: &[u8]) -> Result<(), Fault> {
    match content {
        [] => Ok(()),
        [high, low, reason @ ..] => {
            if !CloseCode::from(u16::from_be_bytes([*high, *low])).is_allowed() {
                return Err(Fault::Protocol);
            }
            std::str::from_utf8(reason).map(drop).map_err(|_| Fault::Utf8)
        }
        [_] => Err(Fault::Protocol),
    }
}

/// A pong frame with at most 125 bytes of content.
pub fn pong(content: &[u8]) -> Frame {
    control(0x8A, content)
}

/// A close frame; `reason` is at most 123 bytes.
pub fn close(code: u16, reason: &str) -> Frame {
    let mut content = code.to_be_bytes().to_vec();
    content.extend_from_slice(reason.as_bytes());
    control(0x88, &content)
}

fn control(first_byte: u8, content: &[u8]) -> Frame {
    let length = content.len().min(125);
    let mut bytes = BytesMut::with_capacity(2 + length);
    bytes.put_u8(first_byte);
    bytes.put_u8(u8::try_from(length).unwrap_or(125));
    bytes.put_slice(&content[..length]);
    Frame::control(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: MessageLimits = MessageLimits {
        bytes_max: 1000,
        fragments_max: 8,
    };

    /// A masked frame as a client sends it.
    fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 250];
        let mut bytes = vec![first_byte];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                bytes.push(0xFE);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        bytes
    }

    fn read_all(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Event>, Fault> {
        let mut events = Vec::new();
        while let Some(event) = reader.read(&mut input, LIMITS)? {
            events.push(event);
        }
        assert!(input.is_empty());
        Ok(events)
    }

    fn check(frames: &[Vec<u8>], expected: &Result<Vec<Event>, Fault>) {
        assert_eq!(
            &read_all(&mut Reader::default(), &frames.concat()),
            expected,
            "{frames:02x?}"
        );
    }

    #[test]
    fn messages_and_control_frames_are_read_in_their_order() {
        check(
            &[
                frame(0x01, b"4a"),
                frame(0x89, b"you there?"),
                frame(0x00, b"b"),
                frame(0x80, b"c"),
                frame(0x82, &[7; 300]),
                frame(0x8A, b""),
                frame(0x88, &[3, 232]),
            ],
            &Ok(vec![
                Event::Ping("you there?".into()),
                Event::Text("4abc".into()),
                Event::Binary(vec![7; 300].into()),
                Event::Pong,
                Event::Close,
            ]),
        );
    }

    #[test]
    fn rfc_6455_violations_are_faults() {
        let mut unmasked = frame(0x81, b"");
        unmasked[1] &= 0x7F;
        for (what, frames, fault) in [
            ("unmasked", vec![unmasked], Fault::Protocol),
            ("reserved bit", vec![frame(0xC1, b"4")], Fault::Protocol),
            ("unknown data opcode", vec![frame(0x83, b"4")], Fault::Protocol),
            ("unknown control opcode", vec![frame(0x8B, b"4")], Fault::Protocol),
            ("fragmented ping", vec![frame(0x09, b"")], Fault::Protocol),
            ("ping of 126 bytes", vec![frame(0x89, &[0; 126])], Fault::Protocol),
            ("continuation of nothing", vec![frame(0x80, b"")], Fault::Protocol),
            (
                "message within a message",
                vec![frame(0x01, b""), frame(0x81, b"")],
                Fault::Protocol,
            ),
            ("close of one byte", vec![frame(0x88, &[3])], Fault::Protocol),
            ("close code 1005", vec![frame(0x88, &[3, 237])], Fault::Protocol),
            (
                "close reason not UTF-8",
                vec![frame(0x88, &[3, 232, 0xFF])],
                Fault::Utf8,
            ),
            (
                "message over the limit",
                vec![frame(0x82, &[0; 1001])],
                Fault::TooLarge,
            ),
            (
                "fragments over the limit",
                vec![frame(0x02, &[0; 600]), frame(0x80, &[0; 401])],
                Fault::TooLarge,
            ),
        ] {
            assert_eq!(
                read_all(&mut Reader::default(), &frames.concat()),
                Err(fault),
                "{what}"
            );
        }
    }

    #[test]
    fn exactly_the_limit_passes() {
        check(
            &[frame(0x82, &[0; 1000])],
            &Ok(vec![Event::Binary(vec![0; 1000].into())]),
        );
    }

    #[test]
    fn tiny_fragments_are_counted() {
        let mut frames = vec![frame(0x01, b"4")];
        frames.extend((0..7).map(|_| frame(0x00, b"")));
        check(&frames, &Ok(vec![]));
        frames.push(frame(0x00, b""));
        check(&frames, &Err(Fault::TooLarge));
    }

    #[test]
    fn an_announced_size_is_not_allocated() {
        let limits = MessageLimits {
            bytes_max: usize::MAX,
            fragments_max: 1,
        };
        let mut announced: &[u8] = &[0x82, 0xFF, 0, 0, 0, 255, 0, 0, 0, 0, 1, 2, 3, 4, 42];
        let mut reader = Reader::default();
        assert_eq!(reader.read(&mut announced, limits), Ok(None));
        assert!(reader.message.capacity() < 1000);
    }

    #[test]
    fn an_idle_reader_holds_no_buffer() {
        let mut reader = Reader::default();
        for byte in [frame(0x81, b"4abc"), frame(0x89, b"x")].concat() {
            read_all(&mut reader, &[byte]).unwrap();
        }
        assert!(!reader.is_within_message());
        for buffer in [&reader.header, &reader.message, &reader.control] {
            assert_eq!(buffer.capacity(), 0);
        }
    }

    #[test]
    fn our_control_frames_are_unmasked_and_short() {
        assert_eq!(&pong(b"hi").as_websocket()[..], b"\x8a\x02hi");
        assert_eq!(
            &close(1009, "too large").as_websocket()[..],
            b"\x88\x0b\x03\xf1too large"
        );
    }

    proptest! {
        /// Any way the network cuts the bytes gives the same events.
        #[test]
        fn any_split_gives_the_same(
            frames in prop::collection::vec((0..5_usize, prop::collection::vec(any::<u8>(), 0..200)), 0..8),
            cuts in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|(kind, payload)| {
                    frame([0x81, 0x82, 0x89, 0x01, 0x80][*kind], &payload[..payload.len().min(125)])
                })
                .collect();
            let whole = read_all(&mut Reader::default(), &bytes);
            let mut reader = Reader::default();
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            let mut cut = cuts.iter().cycle();
            let in_pieces = loop {
                if rest.is_empty() {
                    break Ok(pieces);
                }
                let (piece, behind) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                rest = behind;
                match read_all(&mut reader, piece) {
                    Ok(events) => pieces.extend(events),
                    Err(fault) => break Err(fault),
                }
            };
            prop_assert_eq!(in_pieces, whole);
        }
    }
}
