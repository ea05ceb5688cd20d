use serde::{Deserialize, Serialize};

use super::MessageChanged;
use super::change::{message_for, message_id, refuse_deleted, shown, submit};
use super::place::{Place, refuse_blocked};
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::{Change, Reaction};
use crate::domain::emoji::Emoji;
use crate::domain::entry::EntryKind;
use crate::ids::EntryId;
use crate::log::{Decided, Proposal};

/// Puts a reaction of the caller on a message; twice is once (S-132).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddReaction {
    /// Where.
    pub conversation_id: String,
    /// On which message.
    pub message_id: String,
    /// Exactly one emoji.
    pub emoji: String,
}

/// Takes a reaction of the caller off again; not there is fine (S-132).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveReaction {
    /// Where.
    pub conversation_id: String,
    /// On which message.
    pub message_id: String,
    /// Exactly one emoji.
    pub emoji: String,
}

/// The reaction is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReactionAdded(pub MessageChanged);

/// The reaction is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReactionRemoved(pub MessageChanged);

impl UseCase for AddReaction {
    type Reply = ReactionAdded;
    const SEVERAL_STEPS: bool = false;
    const COST: Cost = Cost::Message;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ReactionAdded>, Error> {
        let changed = react(
            app,
            &by,
            (&self.conversation_id, &self.message_id),
            &self.emoji,
            Change::Added,
        );
        Ok(Outcome::of(ReactionAdded(changed.await?)))
    }
}

impl UseCase for RemoveReaction {
    type Reply = ReactionRemoved;
    const SEVERAL_STEPS: bool = false;
    const COST: Cost = Cost::Message;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ReactionRemoved>, Error> {
        let changed = react(
            app,
            &by,
            (&self.conversation_id, &self.message_id),
            &self.emoji,
            Change::Removed,
        );
        Ok(Outcome::of(ReactionRemoved(changed.await?)))
    }
}

async fn react(
    app: &App,
    by: &Caller,
    (conversation, message): (&str, &str),
    emoji: &str,
    change: Change,
) -> Result<MessageChanged, Error> {
    let user = by.actor.user()?.user;
    let place = Place::by_id(conversation)?;
    let id = message_id(message)?;
    let emoji = Emoji::parse(emoji).map_err(|error| Error::invalid("emoji", error.to_string()))?;
    let shape = place.enter(app, user).await?;
    let entry = shown(app, place, id).await?;
    if change == Change::Added {
        refuse_blocked(app, shape).await?;
    }
    let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
        place.may_write(state, user)?;
        let message = message_for(state, id, user)?;
        refuse_deleted(message)?;
        let reactions = &message.state.reactions;
        let is_there = reactions.has(user, &emoji);
        match change {
            Change::Added if is_there => return Ok(Decided::new()),
            Change::Removed if !is_there => return Ok(Decided::new()),
            Change::Added => reactions
                .has_room_for(&emoji)
                .map_err(|_| Error::QuotaExceeded("the message has as many reactions as fit"))?,
            Change::Removed => {}
        }
        Ok(Decided::from_iter([EntryKind::Reaction(Reaction {
            message: message.entry.id,
            message_seq: message.entry.seq,
            emoji: emoji.clone(),
            change,
        })]))
    });
    submit(app, place, &entry, proposal).await
}
