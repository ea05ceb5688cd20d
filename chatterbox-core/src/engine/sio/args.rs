//! The arguments of events and acks: slices of the text they came in, with their attachments.
//!
//! ```text
//! text         2["upload","a.png",{"_placeholder":true,"num":0}]
//! spans                  └──0──┘ └──────────────1─────────────┘
//! attachments  [<89 50 4e 47 …>]
//! ```
//!
//! Nothing is parsed unless asked for, and what is relayed goes out as it came in: key order, integers beyond 2^53 and
//! numbers beyond the range of a double survive (PROTOCOL.md section 8). Clones share all bytes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smallvec::SmallVec;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::escape::repair;
use super::extract::{ArgsError, FromArgs};
use super::json::{Scanner, Token};
use super::{Malformed, placeholder, resolve};

/// A range of the text; four bytes are enough for any message within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Texts beyond 4 GiB are refused.
    pub(super) fn new(range: &Range<usize>) -> Result<Span, Malformed> {
        let fits = |offset: usize| u32::try_from(offset).map_err(|_| Malformed::TooLong);
        Ok(Span {
            start: fits(range.start)?,
            end: fits(range.end)?,
        })
    }

    /// As a range of the text it was made for.
    pub(super) fn of(self, text: &str) -> Range<usize> {
        debug_assert!(self.end as usize <= text.len(), "a span belongs to its text");
        self.start as usize..self.end as usize
    }
}

/// What belongs to the placeholders of a text; `None` if there are none, so that plain packets allocate nothing.
type Attachments = Option<Arc<[Bytes]>>;

/// The arguments of an event (without its name) or of an ack.
///
/// Up to four arguments need no allocation; each further one costs 8 bytes while the message is handled.
#[derive(Clone)]
pub struct Args {
    text: Utf8Bytes,
    spans: SmallVec<[Span; 4]>,
    attachments: Attachments,
}

impl Args {
    /// Reads the JSON array that begins at byte `from` of `text` and checks all of it; with `due` attachments to come
    /// its placeholders too.
    pub(super) fn read(text: Utf8Bytes, from: usize, due: u8) -> Result<Args, Malformed> {
        let mut scanner = Scanner::new(&text, from);
        if scanner.next()? != Some(Token::ArrayStart) {
            return Err(Malformed::NotAnArray);
        }
        let mut spans = SmallVec::new();
        while let Some(first) = scanner.next()? {
            if first == Token::ArrayEnd {
                // The end of the array; behind it only white space passes.
                continue;
            }
            let start = scanner.token_start();
            let end = scanner.finish_value(first)?;
            spans.push(Span::new(&(start..end))?);
        }
        let text = if scanner.saw_lone_surrogate() {
            let (header, json) = text.split_at(from);
            Utf8Bytes::from([header, &repair(json)].concat())
        } else {
            text
        };
        if due > 0 {
            placeholder::find(&text[from..], due)?;
        }
        Ok(Args {
            text,
            spans,
            attachments: None,
        })
    }

    /// Takes the first argument away, as an event's name: its JSON as a range of the text.
    pub(super) fn take_name(&mut self) -> Option<Range<usize>> {
        (!self.spans.is_empty()).then(|| self.spans.remove(0).of(&self.text))
    }

    /// The text they are slices of.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The attachments have arrived, as many as were announced.
    pub(super) fn attach(&mut self, attachments: Vec<Bytes>) {
        self.attachments = Some(attachments.into());
    }

    /// Size of the message they came in, with its attachments.
    pub fn wire_bytes(&self) -> usize {
        self.text.len() + self.attachments().iter().map(Bytes::len).sum::<usize>()
    }

    /// No arguments.
    pub fn none() -> Args {
        Args {
            text: Utf8Bytes::default(),
            spans: SmallVec::new(),
            attachments: None,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// One argument as JSON, as the client wrote it. Attachments stand in it as
    /// `{"_placeholder":true,"num":index}`, with the index into [`attachments`](Args::attachments).
    pub fn json(&self, index: usize) -> Option<&str> {
        self.spans.get(index).map(|span| &self.text[span.of(&self.text)])
    }

    /// One argument. Shares the bytes.
    pub fn get(&self, index: usize) -> Option<Value> {
        let span = *self.spans.get(index)?;
        Some(Value {
            text: self.text.clone(),
            span,
            attachments: self.attachments.clone(),
        })
    }

    /// One argument after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        self.spans.iter().map(|&span| Value {
            text: self.text.clone(),
            span,
            attachments: self.attachments.clone(),
        })
    }

    /// The binary attachments, at most [`ATTACHMENTS_MAX`](super::ATTACHMENTS_MAX).
    pub fn attachments(&self) -> &[Bytes] {
        self.attachments.as_deref().unwrap_or_default()
    }

    /// The arguments as types of your own, by serde: a tuple takes them one by one, missing ones as `null`; surplus
    /// ones are ignored, as a JavaScript function would.
    ///
    /// ```
    /// # use chatterbox_core::engine::sio::{Args, FromArgs};
    /// let args: Args = r#"["general", {"text":"hi"}]"#.parse()?;
    /// let (room, message, urgent): (String, serde_json::Value, Option<bool>) = args.parse()?;
    /// assert_eq!((room.as_str(), message["text"].as_str(), urgent), ("general", Some("hi"), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse<A: FromArgs>(&self) -> Result<A, ArgsError> {
        A::from_args(self)
    }
}

/// From the text of a JSON array, for tests and for payloads that exist already as JSON.
impl std::str::FromStr for Args {
    type Err = Malformed;

    fn from_str(json: &str) -> Result<Args, Malformed> {
        Args::read(Utf8Bytes::from(json), 0, 0)
    }
}

/// Their lengths only: payloads don't belong into logs.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.spans.iter().map(|span| span.of(&self.text).len()).sum();
        write!(
            f,
            "Args({} of {} bytes, {} attachments)",
            self.len(),
            bytes,
            self.attachments().len()
        )
    }
}

/// Equal if they say the same on the wire.
impl PartialEq for Args {
    fn eq(&self, other: &Args) -> bool {
        self.attachments() == other.attachments()
            && self.len() == other.len()
            && (0..self.len()).all(|index| self.json(index) == other.json(index))
    }
}

/// One argument: JSON as it was written, with its attachments.
///
/// It goes out again unchanged when it is emitted, so relaying costs no parsing.
#[derive(Clone)]
pub struct Value {
    text: Utf8Bytes,
    span: Span,
    attachments: Attachments,
}

impl Value {
    /// Reads the JSON from byte `from` of `text` to the end.
    pub(super) fn read(text: Utf8Bytes, from: usize) -> Result<Value, Malformed> {
        let mut scanner = Scanner::new(&text, from);
        let first = scanner.next()?.ok_or(Malformed::Json)?;
        let start = scanner.token_start();
        let end = scanner.finish_value(first)?;
        if scanner.next()?.is_some() {
            return Err(Malformed::Json);
        }
        let text = if scanner.saw_lone_surrogate() {
            let (header, json) = text.split_at(from);
            Utf8Bytes::from([header, &repair(json)].concat())
        } else {
            text
        };
        Ok(Value {
            text,
            span: Span::new(&(start..end))?,
            attachments: None,
        })
    }

    /// The JSON, with placeholders where binary data belongs.
    pub fn json(&self) -> &str {
        &self.text[self.span.of(&self.text)]
    }

    /// The attachments of the packet it came in; its placeholders are indices into them.
    pub fn attachments(&self) -> &[Bytes] {
        self.attachments.as_deref().unwrap_or_default()
    }

    /// The bytes, if the whole argument is one attachment.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        let attachments = self.attachments.as_deref()?;
        // Checked when it was read.
        let found = placeholder::find(self.json(), u8::try_from(attachments.len()).ok()?).ok()?;
        match found.as_slice() {
            [only] if only.at == (0..self.json().len()) => attachments.get(usize::from(only.num)),
            _ => None,
        }
    }

    /// As a type of your own. [`Binary`] takes attachments, at any depth.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        resolve::from_json(self.json(), self.attachments())
    }
}

/// From JSON.
impl std::str::FromStr for Value {
    type Err = Malformed;

    fn from_str(json: &str) -> Result<Value, Malformed> {
        Value::read(Utf8Bytes::from(json), 0)
    }
}

/// Its length only: payloads don't belong into logs.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.json().len())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.json() == other.json() && self.attachments() == other.attachments()
    }
}

/// Bytes that travel as a binary attachment, wherever they stand in a value.
///
/// ```
/// # use chatterbox_core::engine::sio::{self, Binary};
/// #[derive(serde::Serialize)]
/// struct File<'a> {
///     name: &'a str,
///     content: Binary,
/// }
/// let packet = sio::event("/", "upload", &(File { name: "a.bin", content: Binary::from(vec![1, 2]) },))?;
/// assert_eq!(packet[0].payload(), br#"451-["upload",{"name":"a.bin","content":{"_placeholder":true,"num":0}}]"#);
/// assert_eq!(packet[1].payload(), [1, 2]);
/// # Ok::<(), sio::EncodeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Bytes);

impl Deref for Binary {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Binary {
        Binary(bytes)
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Binary {
        Binary(bytes.into())
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Binary, D::Error> {
        struct Attachment;

        impl de::Visitor<'_> for Attachment {
            type Value = Binary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a binary attachment")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Binary, E> {
                Ok(Binary(bytes.into()))
            }
        }

        deserializer.deserialize_byte_buf(Attachment)
    }
}
