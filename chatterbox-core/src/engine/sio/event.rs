//! What clients say in a namespace.

use super::args::{Args, Span};
use super::rules::NamespaceId;
use super::{Malformed, is_reserved};

/// An event from the client.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where it happened.
    pub namespace: NamespaceId,
    /// The id under which the client wants an ack. Answer at most once, with [`ack()`](super::ack).
    pub ack: Option<u64>,
    /// The arguments, without the name.
    pub args: Args,
    name: Name,
}

#[derive(Debug, Clone)]
enum Name {
    /// A range of the arguments' text.
    Written(Span),
    Unescaped(Box<str>),
}

impl Event {
    /// Its name. A name that is a number is that number as it was written.
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Written(span) => &self.args.text()[span.of(self.args.text())],
            Name::Unescaped(name) => name,
        }
    }

    /// One argument as raw JSON, to parse a type from; the first is 0.
    pub fn arg_json(&self, index: usize) -> Option<&str> {
        self.args.json(index)
    }

    pub(super) fn read(namespace: NamespaceId, ack: Option<u64>, mut args: Args) -> Result<Event, Malformed> {
        let json = args.take_name().ok_or(Malformed::EventName)?;
        let (start, end) = match args.text()[json.clone()].as_bytes() {
            [b'"', ..] => (json.start + 1, json.end - 1),
            [b'-' | b'0'..=b'9', ..] => (json.start, json.end),
            _ => return Err(Malformed::EventName),
        };
        let name = if args.text()[json.clone()].contains('\\') {
            // Checked, and repaired: the only text serde_json could refuse is one with lone surrogates.
            Name::Unescaped(serde_json::from_str(&args.text()[json]).map_err(|_| Malformed::EventName)?)
        } else {
            Name::Written(Span::new(&(start..end))?)
        };
        let event = Event {
            namespace,
            ack,
            args,
            name,
        };
        if is_reserved(event.name()) {
            Err(Malformed::EventName)
        } else {
            Ok(event)
        }
    }
}

/// The client's answer to an event of ours.
#[derive(Debug, Clone)]
pub struct ReceivedAck {
    /// Where it happened.
    pub namespace: NamespaceId,
    /// The id that we gave the event, if the client is honest.
    pub id: u64,
    /// The answer.
    pub args: Args,
}
