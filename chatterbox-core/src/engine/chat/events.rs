//! Events of clients, typed.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::complaint;
use super::resume::{Cursors, Resume};
use crate::app::conversations::{AddMembers, RemoveMember, SetRole};
use crate::app::looking::OpenConversation;
use crate::app::messages::{
    AddReaction, DeleteMessage, EditMessage, MarkRead, RemoveReaction, SendMessage, SendRoomMessage,
};
use crate::app::rooms::{JoinRoom, LeaveRoom};
use crate::app::typing::{StartTyping, StopTyping};
use crate::app::{Command, UseCase};
use crate::clock::Timestamp;
use crate::domain::entry::ClientMessageId;
use crate::engine::sio::{Event, NamespaceId};
use crate::error::Error;
use crate::ids::ConversationId;

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
        /// What the client has, if it logs in to go on with it (S-083).
        resume: Option<Box<Resume>>,
    },
    /// Become a member, or stay one with a new token (S-083).
    Authenticate {
        /// An access token.
        token: Box<str>,
        /// What the client has, if it logs in to go on with it (S-083).
        resume: Option<Box<Resume>>,
    },
    /// S-109: the socket hears what it has missed.
    Resume(Box<Resume>),
    /// S-087: the socket has the conversation before its eyes.
    OpenConversation(OpenConversation),
    /// S-127: and no longer.
    CloseConversation(ConversationId),
    /// S-084: the socket watches the room besides.
    JoinRoom(JoinRoom),
    /// S-092.
    Heartbeat {
        /// Whether the user is at the device.
        active: bool,
    },
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
    ("leave-room", call::<LeaveRoom>),
    ("typing", call::<StartTyping>),
    ("stop-typing", call::<StopTyping>),
    ("join-conversation", |json| {
        parse(json).map(Action::OpenConversation)
    }),
    ("leave-conversation", close_conversation),
    ("resume", |json| parse(json).map(Action::Resume)),
];

/// Names of all events.
#[cfg(test)]
pub(crate) fn event_names() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().map(|(name, _)| *name)
}

/// Payload of `auth`. Whatever else clients put in is left alone.
#[derive(Deserialize)]
struct Credentials {
    token: Box<str>,
    #[serde(default)]
    cursors: Option<Cursors>,
    #[serde(default)]
    since: Option<Timestamp>,
}

/// Payload of CONNECT: a token, or none yet.
#[derive(Deserialize)]
struct Greeting {
    #[serde(default)]
    token: Option<Box<str>>,
}

/// What a client has that logs in: with cursors it resumes.
#[derive(Deserialize)]
struct Position {
    #[serde(default)]
    cursors: Option<Cursors>,
    #[serde(default)]
    since: Option<Timestamp>,
}

impl Position {
    fn resume(self) -> Option<Box<Resume>> {
        let Position { cursors, since } = self;
        cursors.map(|cursors| Box::new(Resume { cursors, since }))
    }
}

/// Payload of `leave-conversation`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Closing {
    conversation_id: String,
}

/// Payload of `heartbeat`.
#[derive(Deserialize)]
struct Heartbeat {
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
            Ok(_) => None,
            // An ack needs none.
            Err(_) if event.ack.is_some() || parser.is_none() => None,
            Err(_) => event.arg_json(0).and_then(key_of),
        };
        Request {
            event: name.into(),
            ack: event.ack,
            client_message_id,
            action,
            is_known: parser.is_some(),
        }
    }

    /// What follows a login with cursors.
    pub(super) fn resume(resume: Box<Resume>) -> Request {
        Request {
            event: "resume".into(),
            ack: None,
            client_message_id: None,
            action: Ok(Action::Resume(resume)),
            is_known: true,
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
        let resume = complaint::read::<Position>(auth)?.resume();
        let action = Ok(Action::Enter {
            namespace,
            token,
            resume,
        });
        Ok(Some(Request {
            event: "connect".into(),
            ack: None,
            client_message_id: None,
            action,
            is_known: true,
        }))
    }
}

/// The client's key in a payload that is wrong elsewhere, so that the client knows which message was refused.
fn key_of(json: &str) -> Option<Box<str>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keyed {
        client_message_id: ClientMessageId,
    }

    let Keyed { client_message_id } = parse(Some(json)).ok()?;
    Some(client_message_id.as_str().into())
}

fn authenticate(json: Option<&str>) -> Result<Action, Error> {
    let Credentials {
        token,
        cursors,
        since,
    } = parse(json)?;
    let resume = Position { cursors, since }.resume();
    Ok(Action::Authenticate { token, resume })
}

fn close_conversation(json: Option<&str>) -> Result<Action, Error> {
    let Closing { conversation_id } = parse(json)?;
    let id = conversation_id
        .parse()
        .map_err(|_| Error::InvalidId("conversationId"))?;
    Ok(Action::CloseConversation(id))
}

/// The payload may be missing.
fn heartbeat(json: Option<&str>) -> Result<Action, Error> {
    match json {
        None => Ok(Action::Heartbeat { active: true }),
        Some(_) => parse(json).map(|Heartbeat { active }| Action::Heartbeat {
            active: active.unwrap_or(true),
        }),
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
