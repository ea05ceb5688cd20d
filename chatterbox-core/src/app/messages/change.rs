use serde::Serialize;

use super::place::{Place, sees_above};
use crate::app::{App, Error};
use crate::domain::current::CurrentMessage;
use crate::domain::entry::{Entry, Seq};
use crate::ids::{EntryId, UserId};
use crate::log::{Posted, Proposal, State};
use crate::views::event::MessageRef;

/// What a change of a message came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageChanged {
    /// Which message.
    pub message: MessageRef,
    /// Number of the entry that changed it; `null` if it was so already.
    pub seq: Option<Seq>,
}

/// The id of a message as clients write it.
pub(super) fn message_id(text: &str) -> Result<EntryId, Error> {
    text.parse().map_err(|_| Error::InvalidId("messageId"))
}

/// The entry under this id, if history shows it. What its reader may see of it is decided in the lane.
pub(super) async fn shown(app: &App, place: Place, id: EntryId) -> Result<Entry, Error> {
    let entry = app.stores.log.get(place.id, id).await?;
    entry
        .filter(|entry| entry.kind.is_shown())
        .ok_or(Error::NotFound("message"))
}

/// The message that a proposal of `user` is about, in the lane: one that they see and that a person wrote.
pub(super) fn message_for(state: &State, id: EntryId, user: UserId) -> Result<&CurrentMessage, Error> {
    let message = state
        .message(id)
        .filter(|message| message.entry.kind.is_shown() && message.entry.seq > sees_above(state, user))
        .ok_or(Error::NotFound("message"))?;
    if message.entry.kind.is_message() {
        Ok(message)
    } else {
        Err(Error::Forbidden("what the system says can't be changed"))
    }
}

/// Refuses what is not for messages that were deleted.
pub(super) fn refuse_deleted(message: &CurrentMessage) -> Result<(), Error> {
    match message.deleted_at() {
        None => Ok(()),
        Some(_) => Err(Error::Gone("the message was deleted")),
    }
}

/// Hands a change of a message in and waits until it is durable and told.
pub(super) async fn submit(
    app: &App,
    place: Place,
    message: &Entry,
    proposal: Proposal,
) -> Result<MessageChanged, Error> {
    let posted = app.log.submit(place.id, proposal.about(message.id))?.await?;
    let seq = match &posted {
        Posted::New(entries) => entries.first().map(|entry| entry.seq),
        Posted::Duplicate(entry) => Some(entry.seq),
    };
    Ok(MessageChanged {
        message: MessageRef::of(message),
        seq,
    })
}
