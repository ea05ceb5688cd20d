use serde::{Deserialize, Serialize};

use super::item::{Row, items};
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, Kind};
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;
use crate::ids::{ConversationId, UserId};
use crate::views::ConversationItem;

/// The caller's conversations, those where something happened last first (S-062). A conversation that moves while the
/// pages are read is told by its events; all others are listed once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListConversations {
    /// Only these.
    #[serde(default)]
    pub kind: Option<ListedKind>,
    /// Those that the caller has hidden, instead of the others.
    #[serde(default)]
    pub hidden: bool,
    /// Those behind this place.
    #[serde(default)]
    pub after: Option<ListPosition>,
    /// Without the first so many of them.
    #[serde(default)]
    pub skip: usize,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A sort of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListedKind {
    /// Two people, or one alone.
    Direct,
    /// Invited people.
    Group,
    /// Open to everyone.
    Room,
}

impl ListedKind {
    fn fits(self, conversation: &Conversation) -> bool {
        match conversation.kind {
            Kind::Direct => self == ListedKind::Direct,
            Kind::Group => self == ListedKind::Group,
            Kind::Room(_) => self == ListedKind::Room,
        }
    }
}

/// A place in the list: newest activity first, and of the same moment the newer conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListPosition {
    /// When something happened last.
    pub at: Timestamp,
    /// In which conversation.
    pub id: ConversationId,
}

impl ListPosition {
    /// Of a conversation in the list.
    pub fn of(item: &ConversationItem) -> ListPosition {
        ListPosition {
            at: item.last_activity_at(),
            id: item.conversation.id,
        }
    }
}

/// A page of conversations.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationList {
    /// The conversations.
    pub items: Vec<ConversationItem>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

impl UseCase for ListConversations {
    type Reply = ConversationList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationList>, Error> {
        let user = by.actor.user()?.user;
        let limit = self.limit.clamp(1, 100);
        let mut found: Vec<(ListPosition, Row)> = rows(app, user)
            .await?
            .into_iter()
            .filter(|(conversation, member, head)| {
                self.kind.is_none_or(|kind| kind.fits(conversation))
                    && member.is_hidden(head.ordinal) == self.hidden
            })
            .map(|row| {
                let (conversation, _, head) = &row;
                let at = conversation.created_at.max(head.created_at);
                (
                    ListPosition {
                        at,
                        id: conversation.id,
                    },
                    row,
                )
            })
            .filter(|(position, _)| self.after.is_none_or(|after| *position < after))
            .collect();
        found.sort_unstable_by_key(|(position, _)| std::cmp::Reverse(*position));
        let has_more = found.len() > self.skip.saturating_add(limit);
        let page = found.into_iter().skip(self.skip).take(limit).map(|(_, row)| row);
        let items = items(app, user, page.collect()).await?;
        Ok(Outcome::of(ConversationList { items, has_more }))
    }
}

/// Everything the user is a member of, with read pointers as they are now.
pub(in crate::app) async fn rows(app: &App, user: UserId) -> Result<Vec<Row>, Error> {
    let conversations = &app.stores.conversations;
    let mut overview = conversations.overview(user, CONVERSATIONS_LISTED_MAX).await?;
    let ids: Vec<ConversationId> = overview.iter().map(|one| one.conversation.id).collect();
    if app.log.settle(&ids).await? {
        overview = conversations.overview(user, CONVERSATIONS_LISTED_MAX).await?;
    }
    let row = |one: crate::ports::storage::Overview| (one.conversation, one.member, one.head);
    Ok(overview.into_iter().map(row).collect())
}
