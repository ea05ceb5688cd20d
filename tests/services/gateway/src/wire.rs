//! MongoDB's wire protocol, the part that drivers of today use: OP_MSG, and OP_QUERY for the very first `hello`.
//!
//! Reading allocates no more than what has arrived, and no message may be longer than a server would take.

use std::io;

use bson::{RawDocument, RawDocumentBuf};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What `hello` allows, and a header's worth of room.
pub(crate) const MESSAGE_BYTES_MAX: usize = 48_000_000 + 16 * 1024;
const HEADER_BYTES: usize = 16;
const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// Bits that a receiver has to understand.
const REQUIRED_BITS: u32 = 0xffff;

/// What a client has sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    /// Names the message in its answer.
    pub(crate) id: i32,
    /// Whether the client waits for no answer.
    pub(crate) silent: bool,
    /// How the answer has to be written.
    pub(crate) form: Form,
    /// The command; its elements are not checked yet.
    pub(crate) body: RawDocumentBuf,
    /// Documents sent beside the command, under the name of the field they belong to.
    pub(crate) sequences: Vec<(String, Vec<RawDocumentBuf>)>,
}

/// The two forms of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Everything but the first `hello` of older handshakes.
    Message,
    /// The old form.
    Query,
}

/// Why a message can't be read. The connection is closed: nobody knows where the next one begins.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Shorter than a header or longer than allowed.
    #[error("a message of {0} bytes")]
    Length(i32),
    /// Compressed, or from a time long past.
    #[error("unknown operation {0}")]
    Operation(i32),
    /// Something within doesn't fit.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the next message; none if the client has closed the connection between two.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Message>, WireError> {
    let mut header = [0; HEADER_BYTES];
    match stream.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut header = Reader(&header);
    let (length, id, _, operation) = (header.int()?, header.int()?, header.int()?, header.int()?);
    let rest = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MESSAGE_BYTES_MAX)
        .and_then(|length| length.checked_sub(HEADER_BYTES))
        .ok_or(WireError::Length(length))?;
    // Grows with what comes, not with what the header announces.
    let mut bytes = Vec::new();
    stream.take(rest as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < rest {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    parse(id, operation, &bytes).map(Some)
}

/// Parses what follows the header.
fn parse(id: i32, operation: i32, bytes: &[u8]) -> Result<Message, WireError> {
    match operation {
        OP_MSG => parse_message(id, bytes),
        OP_QUERY => parse_query(id, bytes),
        other => Err(WireError::Operation(other)),
    }
}

fn parse_message(id: i32, bytes: &[u8]) -> Result<Message, WireError> {
    let mut reader = Reader(bytes);
    let flags = reader.int()?.cast_unsigned();
    if flags & REQUIRED_BITS & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
        return Err(WireError::Malformed("an unknown flag"));
    }
    if flags & CHECKSUM_PRESENT != 0 {
        // Not compared: the other end is on this machine.
        let end = reader.0.len().checked_sub(4);
        reader.0 = &reader.0[..end.ok_or(WireError::Malformed("no room for the checksum"))?];
    }
    let mut body = None;
    let mut sequences = Vec::new();
    while !reader.0.is_empty() {
        match reader.byte()? {
            0 => {
                if body.replace(reader.document()?).is_some() {
                    return Err(WireError::Malformed("two bodies"));
                }
            }
            1 => {
                let mut section = reader.section()?;
                let name = section.text()?.to_owned();
                let mut documents = Vec::new();
                while !section.0.is_empty() {
                    documents.push(section.document()?);
                }
                sequences.push((name, documents));
            }
            _ => return Err(WireError::Malformed("an unknown section")),
        }
    }
    Ok(Message {
        id,
        silent: flags & MORE_TO_COME != 0,
        form: Form::Message,
        body: body.ok_or(WireError::Malformed("no body"))?,
        sequences,
    })
}

fn parse_query(id: i32, bytes: &[u8]) -> Result<Message, WireError> {
    let mut reader = Reader(bytes);
    let (_flags, _collection, _skip, _count) = (reader.int()?, reader.text()?, reader.int()?, reader.int()?);
    Ok(Message {
        id,
        silent: false,
        form: Form::Query,
        body: reader.document()?,
        sequences: Vec::new(),
    })
}

/// The bytes of an answer to the message `to`.
pub(crate) fn answer(form: Form, to: i32, document: &RawDocument) -> Vec<u8> {
    let document = document.as_bytes();
    let mut bytes = Vec::with_capacity(36 + document.len());
    let mut int = |value: i32| bytes.extend_from_slice(&value.to_le_bytes());
    // The length comes last, when it is known.
    int(0);
    int(0);
    int(to);
    match form {
        Form::Message => {
            int(OP_MSG);
            int(0);
            bytes.push(0);
        }
        Form::Query => {
            int(OP_REPLY);
            // Flags: answers `awaitCapable`; no cursor, from document 0, one document.
            for value in [8, 0, 0, 0, 1] {
                int(value);
            }
        }
    }
    bytes.extend_from_slice(document);
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Takes pieces off the front of bytes, never more than there are.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or(WireError::Malformed("cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    fn int(&mut self) -> Result<i32, WireError> {
        let bytes = self.take(4)?;
        Ok(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<&'a str, WireError> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or(WireError::Malformed("a text without end"))?)?;
        self.byte()?;
        str::from_utf8(text).map_err(|_| WireError::Malformed("a text that is not UTF-8"))
    }

    /// The bytes that a length which counts itself announces.
    fn sized(&mut self) -> Result<&'a [u8], WireError> {
        let length = Reader(self.0).int()?;
        self.take(usize::try_from(length).map_err(|_| WireError::Malformed("a negative length"))?)
    }

    fn section(&mut self) -> Result<Reader<'a>, WireError> {
        let mut section = Reader(self.sized()?);
        section.int()?;
        Ok(section)
    }

    fn document(&mut self) -> Result<RawDocumentBuf, WireError> {
        RawDocumentBuf::from_bytes(self.sized()?.to_vec()).map_err(|_| WireError::Malformed("no document"))
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    /// An OP_MSG with a body and one sequence, with its header.
    fn insert() -> Vec<u8> {
        let body = rawdoc! {"insert": "c", "$db": "d"};
        let mut sequence = b"documents\0".to_vec();
        for number in 0..3 {
            sequence.extend_from_slice(rawdoc! {"_id": number}.as_bytes());
        }
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.push(1);
        bytes.extend_from_slice(&u32::try_from(sequence.len() + 4).unwrap().to_le_bytes());
        bytes.extend_from_slice(&sequence);
        bytes.push(0);
        bytes.extend_from_slice(body.as_bytes());
        with_header(OP_MSG, &bytes)
    }

    fn with_header(operation: i32, rest: &[u8]) -> Vec<u8> {
        let length = i32::try_from(rest.len() + HEADER_BYTES).unwrap();
        let mut bytes = Vec::new();
        for value in [length, 7, 0, operation] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(rest);
        bytes
    }

    #[tokio::test]
    async fn a_message_has_a_body_and_sequences_in_any_order() {
        let message = read(&mut insert().as_slice()).await.unwrap().unwrap();
        assert_eq!(message.id, 7);
        assert_eq!(message.body, rawdoc! {"insert": "c", "$db": "d"});
        let (name, documents) = &message.sequences[0];
        assert_eq!((name.as_str(), documents.len()), ("documents", 3));
        assert!(!message.silent);
    }

    #[tokio::test]
    async fn an_answer_reads_as_a_message() {
        let bytes = answer(Form::Message, 7, &rawdoc! {"ok": 1});
        let message = read(&mut bytes.as_slice()).await.unwrap().unwrap();
        assert_eq!(message.body, rawdoc! {"ok": 1});
    }

    #[tokio::test]
    async fn the_old_form_is_understood_for_the_first_hello() {
        let mut rest = vec![0; 4];
        rest.extend_from_slice(b"admin.$cmd\0");
        rest.extend_from_slice(&[0; 8]);
        rest.extend_from_slice(rawdoc! {"isMaster": 1}.as_bytes());
        let message = read(&mut with_header(OP_QUERY, &rest).as_slice())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (message.form, message.body),
            (Form::Query, rawdoc! {"isMaster": 1})
        );
    }

    #[tokio::test]
    async fn every_length_is_bounded_before_anything_is_allocated() {
        for length in [
            i32::MIN,
            -1,
            0,
            15,
            i32::try_from(MESSAGE_BYTES_MAX).unwrap() + 1,
            i32::MAX,
        ] {
            let mut bytes = insert();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            let error = read(&mut bytes.as_slice()).await.unwrap_err();
            assert!(matches!(error, WireError::Length(_)), "{length}: {error}");
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_between_messages_is_no_error() {
        assert_eq!(read(&mut [].as_slice()).await.unwrap(), None);
    }

    /// No prefix, no flipped byte and no other operation panics; what is cut off is an error.
    #[tokio::test]
    async fn malformed_messages_never_panic() {
        let good = insert();
        for end in 1..good.len() {
            let mut cut = good[..end].to_vec();
            assert!(!matches!(read(&mut cut.as_slice()).await, Ok(Some(_))), "{end}");
            // The same with a header that fits.
            if let Some(rest) = cut.get(HEADER_BYTES..).map(<[u8]>::to_vec) {
                cut = with_header(OP_MSG, &rest);
                assert!(read(&mut cut.as_slice()).await.is_err(), "{end}");
            }
        }
        for at in HEADER_BYTES..good.len() {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _either = read(&mut bytes.as_slice()).await;
                let _either = parse(1, OP_QUERY, &bytes[HEADER_BYTES..]);
            }
        }
    }

    #[test]
    fn unknown_flags_sections_and_operations_are_refused() {
        for (operation, bytes) in [
            (OP_MSG, &[4, 0, 0, 0][..]),
            (OP_MSG, &[0, 0, 0, 0, 2]),
            (OP_MSG, &[1, 0, 0, 0, 0]),
            (OP_MSG, &[0, 0, 0, 0]),
            (2012, &[0; 20]),
        ] {
            assert!(parse(1, operation, bytes).is_err(), "{operation} {bytes:?}");
        }
    }
}
