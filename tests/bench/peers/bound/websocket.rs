//! The little of RFC 6455 a server needs for clients that behave.

use std::io;
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

/// Takes the first complete frame off `bytes` and returns its unmasked text.
///
/// `None` as long as the frame is incomplete. Anything but an unfragmented text frame ends the connection.
pub(crate) fn take_text<'a>(bytes: &mut &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    let &mut [first, second, ..] = &mut **bytes else {
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
    let end = mask_at + 4 + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let (frame, rest) = std::mem::take(bytes).split_at_mut(end);
    *bytes = rest;
    let (head, payload) = frame.split_at_mut(mask_at + 4);
    for chunk in payload.chunks_mut(4) {
        for (byte, mask) in chunk.iter_mut().zip(&head[mask_at..]) {
            *byte ^= mask;
        }
    }
    Ok(Some(payload))
}
