//! What stands in front of a packet's JSON (PROTOCOL.md section 8).
//!
//! ```text
//! <type>[<number of attachments>-][<namespace>,][<ack id>][<JSON>]
//!   5       2-                      /chat,        17       ["blobs",…]
//! ```
//!
//! Every part is read once from left to right. Digits end at the sixteenth significant one, so a megabyte of them
//! costs nothing (CVE-2020-36049).

use super::{ATTACHMENTS_MAX, Malformed};

/// The highest ack id a client may use: 2^53, up to which JavaScript counts exactly (PROTOCOL.md section 8).
pub const ACK_ID_MAX: u64 = 1 << 53;

/// Longest name of a namespace that is looked at, in bytes. An unknown namespace is answered with its name, so it is
/// bounded like everything that is echoed.
pub const NAMESPACE_BYTES_MAX: usize = 512;

/// The type digit. A binary packet is its plain counterpart with attachments due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
}

/// A packet's header, borrowed from its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) kind: Kind,
    /// Binary messages that follow, 0 to [`ATTACHMENTS_MAX`].
    pub(super) attachments: u8,
    /// `/` if none is written. In v5 a query string is part of the name.
    pub(super) namespace: &'a str,
    pub(super) ack: Option<u64>,
    /// Where the JSON begins; the length of the text if there is none.
    pub(super) body_at: usize,
}

impl<'a> Header<'a> {
    /// Reads the header of `text`, a message without its Engine.IO type.
    pub(super) fn parse(text: &'a str) -> Result<Header<'a>, Malformed> {
        let (kind, binary) = match text.as_bytes().first() {
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            // CONNECT_ERROR (4) is the server's to send.
            _ => return Err(Malformed::PacketType),
        };
        let mut rest = &text[1..];

        let mut attachments = 0;
        if binary {
            let (count, behind) = rest.split_once('-').ok_or(Malformed::Attachments)?;
            attachments = attachment_count(count)?;
            rest = behind;
        }

        let mut namespace = "/";
        if rest.starts_with('/') {
            let end = rest.bytes().position(|byte| byte == b',').unwrap_or(rest.len());
            namespace = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or("");
            if namespace.len() > NAMESPACE_BYTES_MAX || namespace.bytes().any(|byte| byte.is_ascii_control())
            {
                return Err(Malformed::Namespace);
            }
        }

        let (ack, body) = ack_id(rest)?;
        Ok(Header {
            kind,
            attachments,
            namespace,
            ack,
            body_at: text.len() - body.len(),
        })
    }
}

/// 1 to 10, digits only: a count of 0 would collect for ever (CVE-2026-69185), one without bound would buffer without
/// bound (CVE-2026-33151).
fn attachment_count(digits: &str) -> Result<u8, Malformed> {
    match digits.as_bytes() {
        [digit @ b'1'..=b'9'] => Ok(digit - b'0'),
        b"10" => Ok(ATTACHMENTS_MAX),
        _ => Err(Malformed::Attachments),
    }
}

/// The decimal digits at the start of `text`, and what is behind them.
fn ack_id(text: &str) -> Result<(Option<u64>, &str), Malformed> {
    let mut id: Option<u64> = None;
    for (at, byte) in text.bytes().enumerate() {
        if !byte.is_ascii_digit() {
            return Ok((id, &text[at..]));
        }
        let next = id.unwrap_or(0) * 10 + u64::from(byte - b'0');
        if next > ACK_ID_MAX {
            return Err(Malformed::AckId);
        }
        id = Some(next);
    }
    Ok((id, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> (Kind, u8, &str, Option<u64>, &str) {
        let header = Header::parse(text).unwrap();
        (
            header.kind,
            header.attachments,
            header.namespace,
            header.ack,
            &text[header.body_at..],
        )
    }

    #[test]
    fn all_parts_are_optional_but_the_type() {
        assert_eq!(header("0"), (Kind::Connect, 0, "/", None, ""));
        assert_eq!(header("0{\"a\":1}"), (Kind::Connect, 0, "/", None, "{\"a\":1}"));
        assert_eq!(header("0/custom"), (Kind::Connect, 0, "/custom", None, ""));
        assert_eq!(header("0/custom,{}"), (Kind::Connect, 0, "/custom", None, "{}"));
        assert_eq!(header("1/custom,"), (Kind::Disconnect, 0, "/custom", None, ""));
        assert_eq!(header("20[\"a\"]"), (Kind::Event, 0, "/", Some(0), "[\"a\"]"));
        assert_eq!(
            header("2/chat?x=1,12[\"a\"]"),
            (Kind::Event, 0, "/chat?x=1", Some(12), "[\"a\"]")
        );
        assert_eq!(
            header("510-/é,9007199254740992[]"),
            (Kind::Event, 10, "/é", Some(1 << 53), "[]")
        );
        assert_eq!(header("61-007[]"), (Kind::Ack, 1, "/", Some(7), "[]"));
    }

    #[test]
    fn malformed_headers_are_named() {
        for (text, why) in [
            ("", Malformed::PacketType),
            ("4{\"message\":\"x\"}", Malformed::PacketType),
            ("7", Malformed::PacketType),
            ("é", Malformed::PacketType),
            ("5[\"a\"]", Malformed::Attachments),
            ("5-[\"a\"]", Malformed::Attachments),
            ("50-[\"a\"]", Malformed::Attachments),
            ("511-[\"a\"]", Malformed::Attachments),
            ("5+1-[\"a\"]", Malformed::Attachments),
            ("51.0-[\"a\"]", Malformed::Attachments),
            ("51e0-[\"a\"]", Malformed::Attachments),
            ("501-[\"a\"]", Malformed::Attachments),
            ("5 1-[\"a\"]", Malformed::Attachments),
            ("51000000000-[\"a\"]", Malformed::Attachments),
            ("29007199254740993[\"a\"]", Malformed::AckId),
            ("299999999999999999999999[\"a\"]", Malformed::AckId),
            ("2/a\u{1e}b,[\"a\"]", Malformed::Namespace),
        ] {
            assert_eq!(Header::parse(text), Err(why), "{text}");
        }
        let long = format!("0/{}", "x".repeat(NAMESPACE_BYTES_MAX));
        assert_eq!(Header::parse(&long), Err(Malformed::Namespace));
    }

    /// Linear, or this would take hours: CVE-2020-36049.
    #[test]
    fn a_megabyte_of_digits_is_settled_at_once() {
        for digit in ["0", "1", "9"] {
            let text = format!("2{}", digit.repeat(1_000_000));
            assert_eq!(Header::parse(&text).is_ok(), digit == "0");
            assert!(Header::parse(&format!("5{}-[]", digit.repeat(1_000_000))).is_err());
        }
    }
}
