use serde::{Deserialize, Serialize};

use super::MessageChanged;
use super::change::{message_for, message_id, refuse_deleted, shown, submit};
use super::draft::{Mentions, check_mentions};
use super::place::{Place, refuse_blocked};
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::Edit;
use crate::domain::current::CurrentMessage;
use crate::domain::entry::{EntryKind, MessageBody};
use crate::domain::message;
use crate::ids::{EntryId, UserId};
use crate::log::{Decided, Proposal};

/// Gives the caller's own message a new text (S-130).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditMessage {
    /// Where.
    pub conversation_id: String,
    /// Which message.
    pub message_id: String,
    /// The text from now on.
    pub content: String,
    /// Users addressed from now on; as before if they are not named.
    #[serde(default)]
    pub mentions: Option<Mentions>,
}

/// The message has the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MessageEdited(pub MessageChanged);

impl UseCase for EditMessage {
    type Reply = MessageEdited;
    const SEVERAL_STEPS: bool = false;
    const COST: Cost = Cost::Message;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessageEdited>, Error> {
        let author = by.actor.user()?.user;
        let place = Place::by_id(&self.conversation_id)?;
        let id = message_id(&self.message_id)?;
        let content =
            message::content(&self.content).map_err(|error| Error::invalid("content", error.to_string()))?;
        let mentions: Option<Vec<UserId>> = match &self.mentions {
            None => None,
            Some(mentions) => Some(mentions.parse("mentions")?),
        };
        let shape = place.enter(app, author).await?;
        let entry = shown(app, place, id).await?;
        check_mentions(app, place.id, mentions.as_deref().unwrap_or_default()).await?;
        refuse_blocked(app, shape).await?;

        let (now, window) = (app.clock.now(), app.quotas.edit_window);
        let proposal = Proposal::several([EntryId::new(&*app.ids)], author, move |state| {
            place.may_write(state, author)?;
            let message = message_for(state, id, author)?;
            if message.entry.sender != author {
                return Err(Error::Forbidden("only its author edits a message"));
            }
            refuse_deleted(message)?;
            if now.since(message.entry.created_at) > window {
                return Err(Error::Forbidden("the message is too old to be edited"));
            }
            Ok(edit(message, &content, mentions.as_deref()))
        });
        let changed = submit(app, place, &entry, proposal).await?;
        Ok(Outcome::of(MessageEdited(changed)))
    }
}

/// The entry; none if the message says that already.
fn edit(message: &CurrentMessage, content: &str, mentions: Option<&[UserId]>) -> Decided {
    let EntryKind::Message(MessageBody {
        content: first,
        reply_to,
        mentions: addressed,
        ..
    }) = &message.entry.kind
    else {
        return Decided::new();
    };
    let (said, addressed) = match &message.state.edited {
        None => (first, addressed),
        Some(edited) => (&edited.content, &edited.mentions),
    };
    let mentions = mentions.unwrap_or(addressed);
    if said == content && addressed == mentions {
        return Decided::new();
    }
    Decided::from_iter([EntryKind::Edit(Edit {
        message: message.entry.id,
        message_seq: message.entry.seq,
        sent_at: message.entry.created_at,
        reply_to: *reply_to,
        content: content.to_owned(),
        mentions: mentions.to_vec(),
        redacted_at: None,
    })])
}
