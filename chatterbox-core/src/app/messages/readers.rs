use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::message_id;
use super::sight::Sight;
use crate::app::access::conversation_id;
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::domain::entry::Seq;
use crate::domain::limits::PAGE_ITEMS;
use crate::ids::UserId;
use crate::ports::storage::{READ_MAX, StoreError};
use crate::views::PublicUser;

/// Lists who has read a message (S-108): for conversations whose receipts are not told live, and for what came before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReaders {
    /// Where.
    pub conversation_id: String,
    /// Which message.
    pub message_id: String,
    /// Those behind this one.
    #[serde(default)]
    pub after: Option<UserId>,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A page of readers, in order of id.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readers {
    /// They have read the message.
    pub items: Vec<Reader>,
    /// The limit that was used.
    pub limit: usize,
    /// Where the next page begins; `None` behind the last.
    #[serde(skip)]
    pub next: Option<UserId>,
}

/// Somebody who has read a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reader {
    /// Who.
    #[schema(value_type = PublicUser)]
    pub user: Arc<PublicUser>,
    /// Read up to this entry.
    pub read_seq: Seq,
}

impl UseCase for ListReaders {
    type Reply = Readers;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<Readers>, Error> {
        let caller = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let message = message_id(&self.message_id)?;
        let limit = self.limit.clamp(*PAGE_ITEMS.start(), *PAGE_ITEMS.end());
        let sight = Sight::of_member(app, id, caller).await?;
        let entry = sight.entry(message).await?;
        if hiding(app, &[caller]).await?.contains(&caller) {
            return Err(Error::Forbidden("who hides what they have read sees nobody's"));
        }
        app.log.settle(&[id]).await?;

        // One look at so many members, of whom some may not have read it: a page may be short, or empty, and not the last.
        let members = app.stores.conversations.members(id, self.after, READ_MAX).await?;
        let users: Vec<UserId> = members.iter().map(|member| member.user).collect();
        let hiding = hiding(app, &users).await?;
        let mut readers = members.iter().filter(|member| {
            member.read_seq >= entry.seq && member.user != entry.sender && !hiding.contains(&member.user)
        });
        let page: Vec<_> = readers.by_ref().take(limit).collect();
        let next = match page.last() {
            Some(last) if readers.next().is_some() => Some(last.user),
            _ if members.len() == READ_MAX => users.last().copied(),
            _ => None,
        };
        let people = app.names.get_many(page.iter().map(|member| member.user)).await?;
        let items = page.into_iter().filter_map(|member| {
            Some(Reader {
                user: people.get(&member.user)?.clone(),
                read_seq: member.read_seq,
            })
        });
        Ok(Outcome::of(Readers {
            items: items.collect(),
            limit,
            next,
        }))
    }
}

/// Those of `users` (at most 1,000) who hide how far they have read.
pub(super) async fn hiding(app: &App, users: &[UserId]) -> Result<HashSet<UserId>, StoreError> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let accounts = app.stores.users.get_many(users).await?;
    let hiding = accounts.iter().filter(|account| !account.settings.read_receipts);
    Ok(hiding.map(|account| account.id).collect())
}
