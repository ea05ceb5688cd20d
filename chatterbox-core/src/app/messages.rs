//! Writing and reading messages (S-077, S-086, S-088).

use std::collections::HashMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::{Actor, App, Caller, Cost, Error, FieldError, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::conversation::Conversation;
use crate::domain::current::MessageState;
use crate::domain::entry::{ClientMessageId, Entry, EntryKind, MessageBody, Seq};
use crate::domain::message;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::{Posted, Proposal, State};
use crate::views::{MessageView, People};

/// Writes to a room. Answered once the message is durable; the same `client_message_id` again gives the same answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    pub attachments: Vec<String>,
    /// Id of the message that this one answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Ids of users addressed.
    #[serde(default)]
    pub mentions: Vec<String>,
}

/// The message is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageSent {
    /// What the server gave it.
    pub message: MessageReceipt,
    /// True if an earlier call had written it.
    pub duplicate: bool,
}

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

impl UseCase for SendRoomMessage {
    type Reply = MessageSent;
    const SEVERAL_STEPS: bool = false;
    const COST: Cost = Cost::Message;

    fn client_message_id(&self) -> Option<&str> {
        self.client_message_id.as_deref()
    }

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessageSent>, Error> {
        let sender = by.actor.user()?.user;
        let Checked { body, key } = self.check()?;
        let room = app.rooms.id_of(&self.room_name).await?;

        let refusal = match by.denied {
            Some(denied) => Some(denied),
            None if app.rooms.is_member(room, sender).await? => None,
            None => Some(Error::NotAMember),
        };
        if let Some(refusal) = refusal {
            let earlier = match &key {
                Some(key) => app.stores.log.by_client_message_id(room, sender, key).await?,
                None => None,
            };
            return earlier.map_or(Err(refusal), |entry| answer_retry(&entry, &body));
        }
        check_references(app, room, &body).await?;

        let kind = EntryKind::Message(body.clone());
        let proposal = Proposal::new(EntryId::new(&*app.ids), sender, move |state| {
            may_write(state, sender).map(|()| kind.clone())
        });
        let posted = app.log.submit(room, proposal.with_key(key))?;
        by.turn.pass();
        match posted.await? {
            Posted::New(entries) => {
                let entry = entries.first().ok_or(Error::Unavailable(None))?;
                Ok(Outcome::of(receipt(entry, false)))
            }
            Posted::Duplicate(entry) => answer_retry(&entry, &body),
        }
    }
}

/// Input that keeps the rules.
struct Checked {
    body: MessageBody,
    key: Option<ClientMessageId>,
}

impl SendRoomMessage {
    fn check(&self) -> Result<Checked, Error> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, rule: String| {
            wrong.push(FieldError {
                field: field.to_owned(),
                rule,
            });
        };
        let content = message::content(&self.content)
            .map_err(|error| note("content", error.to_string()))
            .ok();
        let key = self.client_message_id.as_deref().and_then(|key| {
            ClientMessageId::parse(key)
                .map_err(|error| note("clientMessageId", error.to_string()))
                .ok()
        });
        if !self.attachments.is_empty() {
            note("attachments", "unknown file".to_owned());
        }
        if self.mentions.len() > message::MENTIONS_MAX {
            note("mentions", format!("at most {} users", message::MENTIONS_MAX));
        }
        let Some(content) = content.filter(|_| wrong.is_empty()) else {
            return Err(Error::Validation(wrong));
        };
        let reply_to = self.reply_to.as_deref().map(str::parse).transpose();
        let mentions = self
            .mentions
            .iter()
            .map(|id| id.parse())
            .collect::<Result<Vec<UserId>, _>>();
        let body = MessageBody {
            content,
            reply_to: reply_to.map_err(|_| Error::InvalidId("replyTo"))?,
            mentions: mentions.map_err(|_| Error::InvalidId("mentions"))?,
            redacted_at: None,
        };
        Ok(Checked { body, key })
    }
}

/// What the message points to exists.
async fn check_references(app: &App, room: ConversationId, body: &MessageBody) -> Result<(), Error> {
    if let Some(id) = body.reply_to {
        let answered = app.stores.log.get(room, id).await?;
        if !answered.is_some_and(|entry| entry.kind.is_message()) {
            return Err(Error::NotFound("the message to reply to"));
        }
    }
    if !body.mentions.is_empty() {
        let known = app.stores.users.get_many(&body.mentions).await?;
        if let Some(id) = body
            .mentions
            .iter()
            .find(|id| known.iter().all(|user| user.id != **id))
        {
            return Err(Error::invalid("mentions", format!("there is no user {id}")));
        }
    }
    Ok(())
}

fn may_write(state: &State, sender: UserId) -> Result<(), Error> {
    if state.conversation().archived {
        Err(Error::Gone("the room is closed"))
    } else if state.standing.bans.contains(&sender) {
        Err(Error::NotAMember)
    } else {
        Ok(())
    }
}

/// A key that was used before answers as the first time, unless it was for something else.
fn answer_retry(entry: &Entry, body: &MessageBody) -> Result<Outcome<MessageSent>, Error> {
    match &entry.kind {
        EntryKind::Message(earlier) if earlier == body => Ok(Outcome::of(receipt(entry, true))),
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

/// Reads a page of a room, also before joining it (S-077, S-070).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomHistory {
    /// The room.
    pub room_name: String,
    /// Which page.
    #[serde(default)]
    pub page: Page,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// Which page of a log. Pages are in order of seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Page {
    /// The newest.
    #[default]
    Newest,
    /// Those right below this number.
    Before(Position),
    /// Those right above this number; above 0 is the beginning.
    After(Position),
    /// Those on both sides of this number, it included.
    Around(Position),
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Position {
    /// By number.
    Seq(Seq),
    /// By the id of the entry there.
    Id(EntryId),
}

/// A page of messages in order of seq.
#[derive(Debug, Clone)]
pub struct MessagePage {
    /// Where they are from.
    pub conversation: Conversation,
    /// The entries.
    pub entries: Vec<Entry>,
    /// What became of them.
    pub states: HashMap<Seq, MessageState>,
    /// Whom they name.
    pub people: People,
    /// The limit that was used.
    pub limit: usize,
    /// Whether there are entries below the first.
    pub has_more_before: bool,
    /// Whether there are entries above the last.
    pub has_more_after: bool,
}

impl MessagePage {
    /// The messages as clients see them.
    pub fn items(&self) -> impl Iterator<Item = MessageView<'_>> {
        self.entries.iter().filter_map(|entry| {
            MessageView::new(
                entry,
                self.states.get(&entry.seq),
                &self.conversation,
                &self.people,
            )
        })
    }
}

impl Serialize for MessagePage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("items", &self.items().collect::<Vec<_>>())?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry("hasMoreBefore", &self.has_more_before)?;
        map.serialize_entry("hasMoreAfter", &self.has_more_after)?;
        map.end()
    }
}

impl UseCase for RoomHistory {
    type Reply = MessagePage;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessagePage>, Error> {
        if by.actor == Actor::Nobody {
            return Err(Error::Unauthenticated("log in first"));
        }
        let conversation = app.rooms.room(&self.room_name).await?;
        let limit = self.limit.clamp(1, 100);
        let (entries, has_more_before, has_more_after) = read(app, conversation.id, self.page, limit).await?;
        let people = People::of(&app.names, &entries).await?;
        let seqs: Vec<Seq> = entries.iter().map(|entry| entry.seq).collect();
        let states = app.stores.messages.states(conversation.id, &seqs).await?;
        let page = MessagePage {
            conversation,
            entries,
            states: states.into_iter().collect(),
            people,
            limit,
            has_more_before,
            has_more_after,
        };
        Ok(Outcome::of(page))
    }
}

/// The entries of a page, and whether there are more below and above. One more than asked tells.
async fn read(
    app: &App,
    conversation: ConversationId,
    page: Page,
    limit: usize,
) -> Result<(Vec<Entry>, bool, bool), Error> {
    let log = &app.stores.log;
    match page {
        Page::Newest => {
            let (entries, more) = below(app, conversation, None, limit).await?;
            Ok((entries, more, false))
        }
        Page::Before(position) => {
            let seq = resolve(app, conversation, position).await?;
            let (entries, more) = below(app, conversation, Some(seq), limit).await?;
            let head = log.head(conversation).await?;
            Ok((entries, more, head.seq >= seq))
        }
        Page::After(position) => {
            let seq = resolve(app, conversation, position).await?;
            let (entries, more) = above(app, conversation, seq, limit).await?;
            Ok((entries, seq > Seq::ZERO, more))
        }
        Page::Around(position) => {
            let seq = resolve(app, conversation, position).await?;
            let (mut entries, more_before) = below(app, conversation, Some(seq), limit / 2).await?;
            let rest = limit - entries.len();
            let (upper, more_after) = above(app, conversation, Seq(seq.0.saturating_sub(1)), rest).await?;
            entries.extend(upper);
            Ok((entries, more_before, more_after))
        }
    }
}

async fn resolve(app: &App, conversation: ConversationId, position: Position) -> Result<Seq, Error> {
    match position {
        Position::Seq(seq) => Ok(seq),
        Position::Id(id) => {
            let entry = app.stores.log.get(conversation, id).await?;
            entry.map(|entry| entry.seq).ok_or(Error::NotFound("message"))
        }
    }
}

async fn below(
    app: &App,
    conversation: ConversationId,
    before: Option<Seq>,
    limit: usize,
) -> Result<(Vec<Entry>, bool), Error> {
    let mut entries = app
        .stores
        .log
        .history_before(conversation, before, limit + 1)
        .await?;
    let more = entries.len() > limit;
    if more {
        entries.remove(0);
    }
    Ok((entries, more))
}

async fn above(
    app: &App,
    conversation: ConversationId,
    after: Seq,
    limit: usize,
) -> Result<(Vec<Entry>, bool), Error> {
    let mut entries = app
        .stores
        .log
        .history_after(conversation, after, limit + 1)
        .await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok((entries, more))
}
