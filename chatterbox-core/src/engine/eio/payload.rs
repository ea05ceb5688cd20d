//! Polling bodies: several packets with 0x1E between them (PROTOCOL.md section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::packet::{ClientPacket, Malformed};
use crate::engine::Frame;
use crate::engine::frame::FrameKind;

const SEPARATOR: u8 = 0x1E;

/// The packets of one POST body, taken out one at a time: a body of a million tiny packets costs no more memory than
/// its bytes, and each byte is looked at once.
#[derive(Debug)]
pub struct Payload {
    /// `None` behind the last packet.
    rest: Option<Bytes>,
}

impl Payload {
    /// A whole body.
    pub fn new(body: Bytes) -> Payload {
        Payload { rest: Some(body) }
    }
}

impl Iterator for Payload {
    type Item = Result<ClientPacket, Malformed>;

    fn next(&mut self) -> Option<Result<ClientPacket, Malformed>> {
        let mut rest = self.rest.take()?;
        let packet = match rest.iter().position(|byte| *byte == SEPARATOR) {
            Some(end) => {
                let packet = rest.split_to(end);
                self.rest = Some(rest.slice(1..));
                packet
            }
            None => rest,
        };
        Some(ClientPacket::from_polling(&packet))
    }
}

/// The body of a GET's answer. Websocket control frames have no place in it and are left out.
pub fn encode(frames: &[Frame]) -> Bytes {
    let mut body = Vec::with_capacity(frames.iter().map(encoded_len).sum());
    for frame in frames {
        if frame.kind() == FrameKind::Control {
            continue;
        }
        if !body.is_empty() {
            body.push(SEPARATOR);
        }
        match frame.kind() {
            FrameKind::Text | FrameKind::Control => body.extend_from_slice(frame.payload()),
            FrameKind::Binary => {
                body.push(b'b');
                let start = body.len();
                body.resize(start + base64_len(frame.payload().len()), 0);
                let written = BASE64.encode_slice(frame.payload(), &mut body[start..]);
                body.truncate(start + written.expect("the room was measured"));
            }
        }
    }
    body.into()
}

fn encoded_len(frame: &Frame) -> usize {
    let payload = frame.payload().len();
    1 + if frame.kind() == FrameKind::Binary {
        1 + base64_len(payload)
    } else {
        payload
    }
}

fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Message;
    use proptest::prelude::*;

    #[test]
    fn the_captured_answer_of_the_reference() {
        let frames = [
            Frame::text(&["42", "[\"message-back\",\"hé\"]"]),
            Frame::text(&["451-[\"message-back\",{\"_placeholder\":true,\"num\":0}]"]),
            Frame::binary(&[1, 2, 3, 4]),
        ];
        let body = encode(&frames);
        assert_eq!(body.len(), 85);
        assert!(body.ends_with(b"\x1ebAQIDBA=="));
    }

    #[test]
    fn empty_pieces_are_errors_where_they_stand() {
        for (body, good) in [("", 0), ("4a\x1e", 1), ("\x1e4a", 0), ("4a\x1e\x1e4b", 1)] {
            let mut packets = Payload::new(Bytes::from_static(body.as_bytes()));
            for _ in 0..good {
                assert!(packets.next().unwrap().is_ok(), "{body:?}");
            }
            assert_eq!(packets.next(), Some(Err(Malformed::Packet)), "{body:?}");
        }
    }

    /// CVE-2020-36048: each packet costs its own bytes, not those behind it.
    #[test]
    fn half_a_million_packets_are_settled_in_linear_time() {
        let body = Bytes::from("3\x1e".repeat(500_000) + "3");
        let begun = std::time::Instant::now();
        assert_eq!(Payload::new(body).flatten().count(), 500_001);
        assert!(begun.elapsed().as_secs() < 5, "quadratic would be minutes");
    }

    proptest! {
        #[test]
        fn what_is_encoded_can_be_decoded(messages in prop::collection::vec(
            prop_oneof![
                "[^\u{1e}]{0,20}".prop_map(|text| Message::Text(text.into())),
                prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Message::Binary(bytes.into())),
            ],
            1..10,
        )) {
            let frames: Vec<Frame> = messages.iter().map(|message| match message {
                Message::Text(text) => Frame::text(&["4", text]),
                Message::Binary(bytes) => Frame::binary(bytes),
            }).collect();
            let body = encode(&frames);
            let decoded: Vec<_> = Payload::new(body).collect();
            prop_assert_eq!(decoded, messages.into_iter().map(|message| Ok(ClientPacket::Message(message))).collect::<Vec<_>>());
        }
    }
}
