//! The client's side of the websocket, for servers that behave.

use std::net::SocketAddr;

use crate::error::{Error, Result};

/// First bytes of whole frames.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// Second byte of a frame: a bit, and a length that is up to 125 or means more bytes.
const MASKED: u8 = 0x80;
const LENGTH_IN_TWO_BYTES: u8 = 0x7e;

/// Asks for a websocket. The key is a constant: nobody is protected by it here.
pub(super) fn upgrade_request(server: SocketAddr) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y2hhdHRlcmJveC1iZW5jaA==\r\n\r\n"
    )
}

/// Length of the answer's head, once it is complete.
pub(super) fn upgrade_answer(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    if bytes.starts_with(b"HTTP/1.1 101 ") {
        Ok(Some(end + 4))
    } else {
        let answer = String::from_utf8_lossy(bytes).into_owned();
        Err(Error::Refused {
            event: "websocket upgrade".to_owned(),
            answer,
        })
    }
}

/// Appends a text frame with a mask of zeros, which leaves the text as it is: the server unmasks it all the same.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(TEXT);
    if let Ok(short @ 0..=125) = u8::try_from(text.len()) {
        out.push(MASKED | short);
    } else {
        let length = u16::try_from(text.len()).expect("the generator sends no text above 64 KiB");
        out.push(MASKED | LENGTH_IN_TWO_BYTES);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text.as_bytes());
}

/// Takes the first complete frame off `bytes` and returns its text.
pub(super) fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let &[first, second, ref rest @ ..] = *bytes else {
        return Ok(None);
    };
    let (length, body) = match (second, rest) {
        (LENGTH_IN_TWO_BYTES, &[a, b, ref body @ ..]) => (usize::from(u16::from_be_bytes([a, b])), body),
        (0..=125, body) => (usize::from(second), body),
        (LENGTH_IN_TWO_BYTES, _) => return Ok(None),
        (127.., _) => return Err(Error::Closed("it sent a frame of more than 64 KiB".to_owned())),
    };
    let Some((payload, rest)) = body.split_at_checked(length) else {
        return Ok(None);
    };
    match first {
        TEXT => {
            *bytes = rest;
            Ok(Some(payload))
        }
        CLOSE => Err(Error::Closed(close_reason(payload))),
        other => Err(Error::Closed(format!(
            "it sent a frame that begins with {other:#04x}"
        ))),
    }
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        &[a, b, ref reason @ ..] => {
            format!(
                "code {} {}",
                u16::from_be_bytes([a, b]),
                String::from_utf8_lossy(reason)
            )
        }
        _ => "without a code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_bytes_are_split() {
        let long = "x".repeat(300);
        let mut stream = vec![0x81, 2, b'4', b'0', 0x81, 126, 1, 44];
        stream.extend_from_slice(long.as_bytes());
        for split in 0..stream.len() {
            let mut texts = Vec::new();
            let mut start = &stream[..split];
            while let Some(text) = take_text(&mut start).expect("good frames") {
                texts.push(text);
            }
            let both = [start, &stream[split..]].concat();
            let mut rest = both.as_slice();
            while let Some(text) = take_text(&mut rest).expect("good frames") {
                texts.push(text);
            }
            assert_eq!(texts, [b"40", long.as_bytes()]);
        }
    }

    #[test]
    fn a_sent_frame_is_masked_with_zeros() {
        let mut out = Vec::new();
        push_text(&mut out, "40");
        assert_eq!(out, [0x81, 0x82, 0, 0, 0, 0, b'4', b'0']);
    }
}
