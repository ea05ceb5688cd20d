//! Socket.IO as far as this server speaks it: from the text of a frame to what is to be done.

use std::io;
use std::rc::Rc;

use crate::websocket::text_frame;

/// What a client wants. The answers are whole frames already.
pub(crate) enum Request {
    Reply(Rc<[u8]>),
    Join {
        room: Box<[u8]>,
        ack: Rc<[u8]>,
    },
    Say {
        room: Box<[u8]>,
        frame: Rc<[u8]>,
        ack: Option<Rc<[u8]>>,
    },
}

/// The first frame of every connection. Nothing resumes here, so all may share one session id.
pub(crate) fn open_packet() -> Rc<[u8]> {
    text_frame(
        br#"0{"sid":"bound","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
    )
}

/// `None` for packets that ask for nothing (pongs).
pub(crate) fn parse(text: &[u8]) -> io::Result<Option<Request>> {
    match text {
        [b'3', ..] => Ok(None),
        [b'4', b'0', ..] => Ok(Some(Request::Reply(text_frame(br#"40{"sid":"bound"}"#)))),
        [b'4', b'2', event @ ..] => parse_event(event)
            .map(Some)
            .ok_or_else(|| io::Error::other("unknown event")),
        _ => Err(io::Error::other("unknown packet")),
    }
}

fn parse_event(event: &[u8]) -> Option<Request> {
    let digits = event.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (id, body) = event.split_at(digits);
    let ack = (!id.is_empty()).then(|| ack_frame(id));
    if let Some(arguments) = body.strip_prefix(br#"["say","#) {
        Some(Request::Say {
            room: first_string(arguments)?,
            frame: said_frame(arguments),
            ack,
        })
    } else {
        let arguments = body.strip_prefix(br#"["join","#)?;
        Some(Request::Join {
            room: first_string(arguments)?,
            ack: ack?,
        })
    }
}

/// Room names hold nothing that JSON would escape.
fn first_string(arguments: &[u8]) -> Option<Box<[u8]>> {
    let inside = arguments.strip_prefix(b"\"")?;
    let end = inside.iter().position(|&byte| byte == b'"')?;
    Some(inside[..end].into())
}

/// `["say",room,content]` is announced as `["said",room,content]`, the arguments as they came.
fn said_frame(arguments: &[u8]) -> Rc<[u8]> {
    text_frame(&[br#"42["said","#, arguments].concat())
}

fn ack_frame(id: &[u8]) -> Rc<[u8]> {
    text_frame(&[b"43", id, br#"[{"ok":true}]"#].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_relayed_as_it_came() {
        let request = parse(br#"427["say","tea","hi \"you\""]"#).expect("a good packet");
        let Some(Request::Say { room, frame, ack }) = request else {
            unreachable!("it says something")
        };
        assert_eq!(&*room, b"tea");
        assert_eq!(&frame[2..], br#"42["said","tea","hi \"you\""]"#);
        assert_eq!(
            ack.as_deref().map(|ack| &ack[2..]),
            Some(br#"437[{"ok":true}]"#.as_slice())
        );
    }
}
