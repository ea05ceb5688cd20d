use serde::{Deserialize, Serialize};

use super::draft::{Attachments, Checked, Draft, Mentions, check_answered, check_mentions};
use super::place::{Place, refuse_blocked};
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::entry::{Entry, EntryKind, MessageBody, Seq};
use crate::ids::{EntryId, UserId};
use crate::log::{Posted, Proposal};

/// Writes to a conversation (S-088, S-129). Answered once the message is durable; the same `client_message_id` again
/// gives the same answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// Where.
    pub conversation_id: String,
    /// The text.
    pub content: String,
    /// The client's own key, so that it can ask again.
    #[serde(default)]
    pub client_message_id: Option<String>,
    /// Ids of files.
    #[serde(default)]
    pub attachments: Attachments,
    /// Id of the message that this one answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Ids of users addressed.
    #[serde(default)]
    pub mentions: Mentions,
}

/// Writes to a room by its name (S-086).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendRoomMessage {
    /// The room.
    pub room_name: String,
    /// The text.
    pub content: String,
    /// The client's own key, so that it can ask again.
    #[serde(default)]
    pub client_message_id: Option<String>,
    /// Ids of files.
    #[serde(default)]
    pub attachments: Attachments,
    /// Id of the message that this one answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Ids of users addressed.
    #[serde(default)]
    pub mentions: Mentions,
}

/// The message is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageSent {
    /// What the server gave it.
    pub message: MessageReceipt,
    /// True if an earlier call had written it.
    pub duplicate: bool,
}

/// The same, of [`SendMessage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MessagePosted(pub MessageSent);

/// What the server gave a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageReceipt {
    /// Id.
    pub id: EntryId,
    /// Number of its entry.
    pub seq: Seq,
    /// When.
    pub created_at: Timestamp,
}

impl UseCase for SendMessage {
    type Reply = MessagePosted;
    const SEVERAL_STEPS: bool = false;
    const COST: Cost = Cost::Message;

    fn client_message_id(&self) -> Option<&str> {
        self.client_message_id.as_deref()
    }

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessagePosted>, Error> {
        let sender = by.actor.user()?.user;
        let draft = Draft {
            content: &self.content,
            client_message_id: self.client_message_id.as_deref(),
            attachments: &self.attachments,
            reply_to: self.reply_to.as_deref(),
            mentions: &self.mentions,
        };
        let place = Place::by_id(&self.conversation_id)?;
        let sent = send(app, by, sender, place, draft.check()?).await?;
        Ok(Outcome::of(MessagePosted(sent)))
    }
}

impl UseCase for SendRoomMessage {
    type Reply = MessageSent;
    const SEVERAL_STEPS: bool = false;
    const COST: Cost = Cost::Message;

    fn client_message_id(&self) -> Option<&str> {
        self.client_message_id.as_deref()
    }

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessageSent>, Error> {
        let sender = by.actor.user()?.user;
        let draft = Draft {
            content: &self.content,
            client_message_id: self.client_message_id.as_deref(),
            attachments: &self.attachments,
            reply_to: self.reply_to.as_deref(),
            mentions: &self.mentions,
        };
        let checked = draft.check()?;
        let place = Place::by_room_name(app, &self.room_name).await?;
        send(app, by, sender, place, checked).await.map(Outcome::of)
    }
}

/// Sends, or finds that it was sent before: a retry is looked up before anything may refuse it (S-088), be it the rate,
/// the end of the membership or of the conversation.
async fn send(
    app: &App,
    by: Caller,
    sender: UserId,
    place: Place,
    Checked { body, key }: Checked,
) -> Result<MessageSent, Error> {
    let allowed = match by.denied {
        Some(denied) => Err(denied),
        None => may_send(app, place, sender, &body).await,
    };
    let posted = if let Err(refusal) = allowed {
        Err(refusal)
    } else {
        let kind = EntryKind::Message(body.clone());
        let proposal = Proposal::new(EntryId::new(&*app.ids), sender, move |state| {
            place.may_write(state, sender).map(|()| kind.clone())
        });
        let posted = app.log.submit(place.id, proposal.with_key(key.clone()))?;
        by.turn.pass();
        posted.await
    };
    match (posted, key) {
        (Ok(Posted::New(entries)), _) => {
            let entry = entries.first().ok_or(Error::Unavailable(None))?;
            Ok(receipt(entry, false))
        }
        (Ok(Posted::Duplicate(entry)), _) => answer_retry(&entry, &body),
        (Err(refusal), Some(key)) if !refusal.is_fault() => {
            match app
                .stores
                .log
                .by_client_message_id(place.id, sender, &key)
                .await?
            {
                Some(earlier) => answer_retry(&earlier, &body),
                None => Err(refusal),
            }
        }
        (Err(refusal), _) => Err(refusal),
    }
}

/// What stored rows know against it.
async fn may_send(app: &App, place: Place, sender: UserId, body: &MessageBody) -> Result<(), Error> {
    let shape = place.enter(app, sender).await?;
    refuse_blocked(app, shape).await?;
    if let Some(answered) = body.reply_to {
        check_answered(app, (place.id, shape), sender, answered).await?;
    }
    check_mentions(app, place.id, &body.mentions).await
}

/// A key that was used before answers as the first time, unless it was for something else.
fn answer_retry(entry: &Entry, body: &MessageBody) -> Result<MessageSent, Error> {
    match &entry.kind {
        // Of a message that was deleted since nobody knows what it said.
        EntryKind::Message(earlier) if earlier == body || earlier.redacted_at.is_some() => {
            Ok(receipt(entry, true))
        }
        _ => Err(Error::Conflict(
            "this clientMessageId was used for another message",
        )),
    }
}

fn receipt(entry: &Entry, duplicate: bool) -> MessageSent {
    let message = MessageReceipt {
        id: entry.id,
        seq: entry.seq,
        created_at: entry.created_at,
    };
    MessageSent { message, duplicate }
}
