//! The little of RFC 6455 a server needs for clients that behave.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to an upgrade request whose head is complete.
pub(crate) fn accept_upgrade(head: &str) -> io::Result<String> {
    let key = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then(|| value.trim())
        })
        .ok_or_else(|| io::Error::other("not a websocket request"))?;
    let accept = STANDARD.encode(
        Sha1::new()
            .chain_update(key)
            .chain_update(ACCEPT_SUFFIX)
            .finalize(),
    );
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// A whole text frame, unmasked as servers send it.
pub(crate) fn text_frame(payload: &[u8]) -> Rc<[u8]> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x81);
    if let Ok(short @ 0..=125) = u8::try_from(payload.len()) {
        frame.push(short);
    } else if let Ok(medium) = u16::try_from(payload.len()) {
        frame.push(126);
        frame.extend_from_slice(&medium.to_be_bytes());
    } else {
        frame.push(127);
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    frame.extend_from_slice(payload);
    frame.into()
}

/// Unmasks the first frame of `bytes` in place and tells where its text stands; the frame ends with it.
///
/// `None` as long as the frame is incomplete. Anything but an unfragmented text frame ends the connection.
pub(crate) fn unmask_first(bytes: &mut [u8]) -> io::Result<Option<Range<usize>>> {
    let &mut [first, second, ..] = bytes else {
        return Ok(None);
    };
    if first != 0x81 || second & 0x80 == 0 {
        return Err(io::Error::other("not a masked text frame"));
    }
    let (length, mask_at) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(&[high, low]) => (usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return Ok(None),
        },
        127 => return Err(io::Error::other("frame of more than 64 KiB")),
        short => (usize::from(short), 2),
    };
    let text_at = mask_at + 4;
    let end = text_at + length;
    let Some(frame) = bytes.get_mut(..end) else {
        return Ok(None);
    };
    let (head, text) = frame.split_at_mut(text_at);
    for chunk in text.chunks_mut(4) {
        for (byte, mask) in chunk.iter_mut().zip(&head[mask_at..]) {
            *byte ^= mask;
        }
    }
    Ok(Some(text_at..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 5.7: "Hello", masked.
    const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

    #[test]
    fn a_masked_text_is_read_once_it_is_complete() {
        for length in 0..HELLO.len() {
            assert_eq!(
                unmask_first(&mut HELLO[..length].to_vec()).expect("a good frame"),
                None
            );
        }
        let mut bytes = [HELLO.as_slice(), b"next"].concat();
        let text = unmask_first(&mut bytes)
            .expect("a good frame")
            .expect("a whole frame");
        assert_eq!(&bytes[text.clone()], b"Hello");
        assert_eq!(&bytes[text.end..], b"next");
    }

    #[test]
    fn the_upgrade_is_answered_as_in_the_rfc() {
        let answer = accept_upgrade("GET / HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        let answer = answer.expect("the key is there");
        assert!(
            answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{answer}"
        );
    }
}
