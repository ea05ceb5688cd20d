use serde::{Deserialize, Serialize};

use super::change::message_id;
use super::found::{Found, MessageFound, MessagePage};
use super::sight::Sight;
use crate::app::access::conversation_id;
use crate::app::{Actor, App, Caller, Error, Outcome, UseCase};
use crate::domain::entry::{Entry, Seq};
use crate::domain::limits::PAGE_ITEMS;
use crate::ids::EntryId;

/// Reads a page of a room, also before joining it if rooms are open (S-077, S-070).
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

/// Reads a page of a conversation that the caller is in (S-070).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationHistory {
    /// Which.
    pub conversation_id: String,
    /// Which page.
    #[serde(default)]
    pub page: Page,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// The page of [`ConversationHistory`].
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct ConversationPage(pub MessagePage);

/// Reads one message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetMessage {
    /// Where.
    pub conversation_id: String,
    /// Which.
    pub message_id: String,
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

impl UseCase for RoomHistory {
    type Reply = MessagePage;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessagePage>, Error> {
        let reader = match by.actor {
            Actor::User(principal) => Some(principal.user),
            Actor::Operator => None,
            Actor::Nobody => return Err(Error::Unauthenticated("log in first")),
        };
        let sight = Sight::of_room(app, &self.room_name, reader).await?;
        read(app, sight, self.page, self.limit).await.map(Outcome::of)
    }
}

impl UseCase for ConversationHistory {
    type Reply = ConversationPage;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationPage>, Error> {
        let user = by.actor.user()?.user;
        let sight = Sight::of_member(app, conversation_id(&self.conversation_id)?, user).await?;
        let page = read(app, sight, self.page, self.limit).await?;
        Ok(Outcome::of(ConversationPage(page)))
    }
}

impl UseCase for GetMessage {
    type Reply = MessageFound;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessageFound>, Error> {
        let user = by.actor.user()?.user;
        let conversation = conversation_id(&self.conversation_id)?;
        let id = message_id(&self.message_id)?;
        let sight = Sight::of_member(app, conversation, user).await?;
        let entry = sight.entry(id).await?;
        let found = Found::of(app, sight.conversation, vec![entry]).await?;
        Ok(Outcome::of(MessageFound(found)))
    }
}

async fn read(app: &App, sight: Sight<'_>, page: Page, limit: usize) -> Result<MessagePage, Error> {
    let limit = limit.clamp(*PAGE_ITEMS.start(), *PAGE_ITEMS.end());
    let (entries, has_more_before, has_more_after) = window(&sight, page, limit).await?;
    Ok(MessagePage {
        found: Found::of(app, sight.conversation, entries).await?,
        limit,
        has_more_before,
        has_more_after,
    })
}

/// The entries of a page, and whether there are more below and above.
async fn window(sight: &Sight<'_>, page: Page, limit: usize) -> Result<(Vec<Entry>, bool, bool), Error> {
    match page {
        Page::Newest => {
            let (entries, more) = sight.below(None, limit).await?;
            Ok((entries, more, false))
        }
        Page::Before(position) => {
            let seq = sight.resolve(position).await?;
            let (entries, more) = sight.below(Some(seq), limit).await?;
            let from_there = Seq(seq.0.saturating_sub(1));
            Ok((entries, more, sight.has_above(from_there).await?))
        }
        Page::After(position) => {
            let seq = sight.resolve(position).await?;
            let (entries, more) = sight.above(seq, limit).await?;
            let up_to_there = Seq(seq.0.saturating_add(1));
            Ok((entries, sight.has_below(up_to_there).await?, more))
        }
        Page::Around(position) => {
            let seq = sight.resolve(position).await?;
            let (mut entries, more_before) = sight.below(Some(seq), limit / 2).await?;
            let rest = limit - entries.len();
            let (upper, more_after) = sight.above(Seq(seq.0.saturating_sub(1)), rest).await?;
            entries.extend(upper);
            Ok((entries, more_before, more_after))
        }
    }
}
