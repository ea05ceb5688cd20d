//! What a client compares itself with after it has been away (S-109).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{App, Caller, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::conversation::{Kind, Member, Notify, Role};
use crate::domain::entry::Seq;
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::Place;
use crate::ports::storage::{HiddenMessage, HiddenPlace, Overview};

/// Deletions listed that only the user sees, and how many of them are read at a time. What is more is listed by the next
/// digest: this one says that it was made when the last of them were.
const DELETED_MAX: usize = 5_000;
const DELETED_AT_ONCE: usize = 1_000;

/// How far the clocks of nodes may be apart: one node stamps a digest, another one a deletion behind it. Deletions are
/// listed twice rather than never.
const CLOCKS_APART: Duration = Duration::from_mins(1);

/// All conversations of the caller, as they stand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetDigest {
    /// When the last digest was made, as it said: later deletions of the caller's own (`scope=me`) are listed.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// The caller's conversations. One that is missing is gone, an unknown one is new.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// In no order.
    pub conversations: Vec<DigestItem>,
    /// Messages that the caller has deleted for themselves since.
    pub deleted_for_me: Vec<DeletedForMe>,
    /// When it was made.
    pub at: Timestamp,
}

/// One conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DigestItem {
    /// Which.
    pub id: ConversationId,
    /// The last entry.
    pub head_seq: Seq,
    /// Messages up to it.
    pub ordinal: u32,
    /// The caller has read up to here.
    pub read_seq: Seq,
    /// What the caller may do.
    pub role: Role,
    /// Whether no message makes a notification now.
    pub muted: bool,
    /// Whether the caller's list leaves it out.
    pub hidden: bool,
    /// For the replay.
    #[serde(skip)]
    pub place: Place,
}

/// A message that only the caller doesn't see any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedForMe {
    /// Where.
    pub conversation_id: ConversationId,
    /// Which.
    pub message_id: EntryId,
    /// Its number.
    pub seq: Seq,
}

impl UseCase for GetDigest {
    type Reply = Digest;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<Digest>, Error> {
        let user = by.actor.user()?.user;
        let conversations = &app.stores.conversations;
        let at = app.clock.now();
        let mut overview = conversations.overview(user, CONVERSATIONS_LISTED_MAX).await?;
        let lagging: Vec<ConversationId> = overview
            .iter()
            .filter(|one| one.projected < one.head.seq)
            .map(|one| one.conversation.id)
            .collect();
        if !lagging.is_empty() {
            // Read pointers of those who wrote are brought up to date a little later.
            app.log.settle(&lagging).await?;
            overview = conversations.overview(user, CONVERSATIONS_LISTED_MAX).await?;
        }
        let mut items = Vec::with_capacity(overview.len());
        for mut one in overview {
            if one.projected < one.head.gov {
                // Behind a crash: what the rows don't know yet.
                let state = app.log.state(one.conversation.id).await?;
                one.head = state.head;
                if let Some(seat) = state.standing.members.get(&user) {
                    one.member.role = seat.role;
                    one.member.joined_seq = seat.joined_seq;
                } else if !matches!(one.conversation.kind, Kind::Room(_))
                    || state.standing.bans.contains(&user)
                {
                    continue;
                }
            }
            items.push(item(&one, at));
        }
        let deleted = match self.since {
            Some(since) => deleted_since(app, user, since.minus(CLOCKS_APART)).await?,
            None => Vec::new(),
        };
        let is_all = deleted.len() < DELETED_MAX;
        let listed_until = deleted.last().filter(|_| !is_all).map(|last| last.at);
        let deleted = deleted.into_iter().map(|hidden| DeletedForMe {
            conversation_id: hidden.conversation,
            message_id: hidden.message,
            seq: hidden.seq,
        });
        Ok(Outcome::of(Digest {
            conversations: items,
            deleted_for_me: deleted.collect(),
            // The next one looks back by as much as clocks may be apart.
            at: listed_until.map_or(at, |until| until.plus(CLOCKS_APART).min(at)),
        }))
    }
}

/// Oldest first.
async fn deleted_since(app: &App, user: UserId, since: Timestamp) -> Result<Vec<HiddenMessage>, Error> {
    let (mut deleted, mut place) = (Vec::new(), HiddenPlace::after(since));
    while deleted.len() < DELETED_MAX {
        let messages = &app.stores.messages;
        let more = messages.hidden_since(user, place, DELETED_AT_ONCE).await?;
        let is_last = more.len() < DELETED_AT_ONCE;
        deleted.extend(more);
        match deleted.last() {
            Some(last) if !is_last => place = HiddenPlace::of(last),
            Some(_) | None => break,
        }
    }
    Ok(deleted)
}

fn item(one: &Overview, now: Timestamp) -> DigestItem {
    let Overview {
        conversation,
        member,
        head,
        projected: _,
    } = one;
    DigestItem {
        id: conversation.id,
        head_seq: head.seq,
        ordinal: head.ordinal,
        read_seq: member.read_seq,
        role: member.role,
        muted: is_muted(member, now),
        hidden: member.hidden_at.is_some_and(|at| head.ordinal <= at),
        place: Place {
            conversation: conversation.id,
            head: head.seq,
            moved_at: head.created_at,
            joined: member.joined_seq,
            sees_above: member.sees_above(conversation),
            unasked: !matches!(conversation.kind, Kind::Room(_)),
        },
    }
}

fn is_muted(member: &Member, now: Timestamp) -> bool {
    member.notify == Notify::None || member.mute_until.is_some_and(|until| until > now)
}
