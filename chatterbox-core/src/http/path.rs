//! What a path names. Ids of conversations and messages stay texts, as use cases know what an id is; and what does not
//! even decode names nothing.

use std::str::FromStr;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use crate::error::Error;

/// The parts of a path, which may not be texts.
pub(super) type Parts<T> = Result<Path<T>, PathRejection>;

/// A conversation.
pub(super) fn conversation(id: Parts<String>) -> Result<String, Error> {
    decoded(id, Error::InvalidId("conversationId"))
}

/// A conversation and one of its members.
pub(super) fn member(ids: Parts<(String, String)>) -> Result<(String, String), Error> {
    decoded(ids, Error::InvalidId("conversationId"))
}

/// A conversation and a message in it.
pub(super) fn message(ids: Parts<(String, String)>) -> Result<(String, String), Error> {
    decoded(ids, Error::InvalidId("messageId"))
}

/// A room, by its name.
pub(super) fn room(name: Parts<String>) -> Result<String, Error> {
    decoded(name, Error::NotFound("room"))
}

/// An invite, by its token.
pub(super) fn invite(token: Parts<String>) -> Result<String, Error> {
    decoded(token, Error::NotFound("invite"))
}

/// A user or a session.
pub(super) fn id<T: FromStr>(id: Parts<String>) -> Result<T, Error> {
    let refusal = Error::InvalidId("id");
    match id {
        Ok(Path(text)) => text.parse().map_err(|_| refusal),
        Err(_) => Err(refusal),
    }
}

/// The parts, or the refusal that belongs to them.
pub(super) fn decoded<T>(parts: Parts<T>, refusal: Error) -> Result<T, Error> {
    parts.map(|Path(parts)| parts).map_err(|_| refusal)
}
