//! Events of clients, typed.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::complaint;
use crate::app::messages::SendRoomMessage;
use crate::app::rooms::{JoinRoom, LeaveRoom};
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
    /// S-084.
    JoinRoom(JoinRoom),
    /// S-085.
    LeaveRoom(LeaveRoom),
    /// S-086.
    SendRoomMessage(SendRoomMessage),
    /// S-092.
    Heartbeat,
}

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
        let mut client_message_id = None;
        let mut is_known = true;
        let action = if event.args.attachments().is_empty() {
            match name {
                "auth" => parse(event).map(|Credentials { token }| Action::Authenticate { token }),
                "join-room" => parse(event).map(Action::JoinRoom),
                "leave-room" => parse(event).map(Action::LeaveRoom),
                "send-room-message" => parse(event).map(|send: SendRoomMessage| {
                    client_message_id = send.client_message_id.as_deref().map(Box::from);
                    Action::SendRoomMessage(send)
                }),
                "heartbeat" if event.arg_json(0).is_none() => Ok(Action::Heartbeat),
                "heartbeat" => parse(event).map(|Heartbeat { .. }| Action::Heartbeat),
                _ => {
                    is_known = false;
                    Err(Error::invalid("event", format!("unknown event {name:.40}")))
                }
            }
        } else {
            Err(Error::invalid("payload", "no binary attachments"))
        };
        Request {
            event: name.into(),
            ack: event.ack,
            client_message_id,
            action,
            is_known,
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

fn parse<T: DeserializeOwned>(event: &Event) -> Result<T, Error> {
    let json = event
        .arg_json(0)
        .ok_or_else(|| Error::invalid("payload", "an object is missing"))?;
    // The items of an array would be taken for the fields of the object, in their order.
    if !json.trim_ascii_start().starts_with('{') {
        return Err(Error::invalid("payload", "must be an object"));
    }
    complaint::read(json)
}
