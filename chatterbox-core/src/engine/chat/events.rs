//! Events of clients, typed.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::complaint;
use crate::app::conversations::{AddMembers, RemoveMember, SetRole};
use crate::app::messages::{
    AddReaction, DeleteMessage, EditMessage, MarkRead, RemoveReaction, SendMessage, SendRoomMessage,
};
use crate::app::rooms::{JoinRoom, LeaveRoom};
use crate::app::{Command, UseCase};
use crate::engine::sio::{Event, NamespaceId};
use crate::error::Error;

/// Something the client wants, in the order in which it asked.
#[derive(Debug)]
pub struct Request {
    /// Name of the event, for errors without an ack.
    pub event: Box<str>,
    /// Where the answer goes; without it only errors are told.
    pub ack: Option<u64>,
    /// The client's key of a message, for errors without an ack.
    pub client_message_id: Option<Box<str>>,
    /// What it wants, if that could be understood.
    pub action: Result<Action, Error>,
    /// Whether the event is one of ours. That others are refused is told only to who wants an ack.
    pub is_known: bool,
}

/// What a client can want.
#[derive(Debug)]
pub enum Action {
    /// Come in with the token of the CONNECT payload.
    Enter {
        /// The namespace asked for.
        namespace: NamespaceId,
        /// An access token.
        token: Box<str>,
    },
    /// Become a member, or stay one with a new token (S-083).
    Authenticate {
        /// An access token.
        token: Box<str>,
    },
    /// S-084: the socket watches the room besides.
    JoinRoom(JoinRoom),
    /// S-085: the socket doesn't watch the room any more.
    LeaveRoom(LeaveRoom),
    /// S-092.
    Heartbeat,
    /// A command whose reply is the answer.
    Call(Box<Command>),
}

/// Makes an action of an event's payload, as JSON.
type Parse = fn(Option<&str>) -> Result<Action, Error>;

/// Every event there is. The ones that come most often stand first. `call` is for those whose payload is a command and
/// whose ack is its reply.
const EVENTS: &[(&str, Parse)] = &[
    ("send-message", call::<SendMessage>),
    ("send-room-message", call::<SendRoomMessage>),
    ("mark-read", call::<MarkRead>),
    ("add-reaction", call::<AddReaction>),
    ("remove-reaction", call::<RemoveReaction>),
    ("edit-message", call::<EditMessage>),
    ("delete-message", call::<DeleteMessage>),
    ("heartbeat", heartbeat),
    ("auth", authenticate),
    ("join-room", |json| parse(json).map(Action::JoinRoom)),
    ("add-participant", call::<AddMembers>),
    ("remove-participant", call::<RemoveMember>),
    ("update-participant-role", call::<SetRole>),
    ("leave-room", |json| parse(json).map(Action::LeaveRoom)),
];

/// Payload of `auth`. `cursors` and whatever else clients put in are left alone.
#[derive(Deserialize)]
struct Credentials {
    token: Box<str>,
}

/// Payload of CONNECT: a token, or none yet.
#[derive(Deserialize)]
struct Greeting {
    #[serde(default)]
    token: Option<Box<str>>,
}

/// Payload of `heartbeat`.
#[derive(Deserialize)]
struct Heartbeat {
    #[expect(dead_code, reason = "checked for its type; away is told with presence")]
    #[serde(default)]
    active: Option<bool>,
}

impl Request {
    /// What an event asks for.
    pub(super) fn read(event: &Event) -> Request {
        let name = event.name();
        let parser = EVENTS.iter().find(|(known, _)| *known == name);
        let action = match parser {
            _ if !event.args.attachments().is_empty() => {
                Err(Error::invalid("payload", "no binary attachments"))
            }
            Some((_, parse)) => parse(event.arg_json(0)),
            None => Err(Error::invalid("event", format!("unknown event {name:.40}"))),
        };
        let client_message_id = match &action {
            Ok(Action::Call(command)) => command.client_message_id().map(Box::from),
            Ok(_) | Err(_) => None,
        };
        Request {
            event: name.into(),
            ack: event.ack,
            client_message_id,
            action,
            is_known: parser.is_some(),
        }
    }

    /// Whether it presents a token, were it a malformed one.
    pub(super) fn is_login(&self) -> bool {
        matches!(&*self.event, "auth" | "connect")
    }

    /// The token of a CONNECT payload, if there is one.
    pub(super) fn enter(namespace: NamespaceId, auth: &str) -> Result<Option<Request>, Error> {
        let greeting = serde_json::from_str(auth);
        let Greeting { token } =
            greeting.map_err(|_| Error::invalid("token", "must be a string, given once"))?;
        let Some(token) = token else { return Ok(None) };
        let action = Ok(Action::Enter { namespace, token });
        Ok(Some(Request {
            event: "connect".into(),
            ack: None,
            client_message_id: None,
            action,
            is_known: true,
        }))
    }
}

fn authenticate(json: Option<&str>) -> Result<Action, Error> {
    parse(json).map(|Credentials { token }| Action::Authenticate { token })
}

/// The payload may be missing.
fn heartbeat(json: Option<&str>) -> Result<Action, Error> {
    match json {
        None => Ok(Action::Heartbeat),
        Some(_) => parse(json).map(|Heartbeat { .. }| Action::Heartbeat),
    }
}

fn call<C: UseCase + DeserializeOwned>(json: Option<&str>) -> Result<Action, Error> {
    parse::<C>(json).map(|command| Action::Call(Box::new(command.into())))
}

fn parse<T: DeserializeOwned>(json: Option<&str>) -> Result<T, Error> {
    let json = json.ok_or_else(|| Error::invalid("payload", "an object is missing"))?;
    // The items of an array would be taken for the fields of the object, in their order.
    if !json.trim_ascii_start().starts_with('{') {
        return Err(Error::invalid("payload", "must be an object"));
    }
    complaint::read(json)
}
