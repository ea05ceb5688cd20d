use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::IdList;
use super::change::message_id;
use crate::app::access::{Access, conversation_id, member_of};
use crate::app::conversations::rows;
use crate::app::{App, Caller, Effect, Error, Outcome, ReadReceipt, Recipients, UseCase};
use crate::domain::conversation::{Kind, Member};
use crate::domain::entry::{Entry, Seq};
use crate::domain::limits::READ_IDS_MAX;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{Head, READ_MAX};

/// Moves the caller's read pointer (S-073, S-091), up to the newest entry if nothing is named. It never moves back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    /// Where.
    pub conversation_id: String,
    /// Messages that were read: the pointer goes to the newest of them. The caller's own, and those that are not of
    /// this conversation, count for nothing.
    #[serde(default)]
    pub message_ids: Option<IdList<READ_IDS_MAX>>,
    /// Read up to this number; beyond the newest is the newest.
    #[serde(default)]
    pub up_to_seq: Option<u64>,
    /// Read up to this message.
    #[serde(default)]
    pub up_to_message_id: Option<String>,
}

/// Where the pointer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadMarked {
    /// Read up to this entry.
    pub read_seq: Seq,
    /// Messages above it; 1001 stands for more than 1000.
    pub unread_count: u32,
    /// Which of the named messages are not of this conversation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub ignored: Vec<EntryId>,
}

impl UseCase for MarkRead {
    type Reply = ReadMarked;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ReadMarked>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let wanted = self.wanted()?;
        let access = member_of(app, id, user).await?;
        // The caller's own messages move the pointer too, a little behind the log.
        app.log.settle(&[id]).await?;
        let head = app.stores.log.head(id).await?;
        let (target, ignored) = wanted.find(app, id, user, head).await?;

        let (seq, ordinal) = target.unwrap_or((Seq::ZERO, 0));
        let conversations = &app.stores.conversations;
        let pointer = conversations.advance_read(id, user, seq, ordinal).await?;
        let pointer = pointer.ok_or(Error::NotFound("conversation"))?;
        let member = Member {
            read_seq: pointer.seq,
            read_ordinal: pointer.ordinal,
            ..access.member.clone()
        };
        let reply = ReadMarked {
            read_seq: pointer.seq,
            unread_count: unread(app, &member).await?,
            ignored,
        };
        if !pointer.moved {
            return Ok(Outcome::of(reply));
        }
        let receipt = ReadReceipt {
            conversation: id,
            user,
            seq: pointer.seq,
            at: app.clock.now(),
            to: recipients(app, &access, user).await?,
        };
        Ok(Outcome::of(reply).with(Effect::Read(receipt)))
    }
}

/// Messages that the member has not read.
async fn unread(app: &App, member: &Member) -> Result<u32, Error> {
    let head = app.stores.log.head(member.conversation).await?;
    let above = head.ordinal.saturating_sub(member.read_ordinal);
    if above == 0 {
        return Ok(0);
    }
    let messages = &app.stores.messages;
    let deleted = messages
        .deleted_above(member.conversation, member.read_seq, above)
        .await?;
    Ok(member.unread(head.ordinal, deleted))
}

/// Messages that the user has not read, over all conversations (S-056).
pub(in crate::app) async fn unread_total(app: &App, user: UserId) -> Result<u32, Error> {
    let mut rows = rows(app, user).await?;
    rows.retain(|(_, member, head)| head.ordinal > member.read_ordinal);
    if rows.is_empty() {
        return Ok(0);
    }
    let places: Vec<(ConversationId, Seq)> = rows
        .iter()
        .map(|(conversation, member, _)| (conversation.id, member.read_seq))
        .collect();
    let deleted = app.stores.messages.deleted_across(&places).await?;
    let deleted: HashMap<ConversationId, u32> = deleted.into_iter().collect();
    let unread = rows.iter().map(|(conversation, member, head)| {
        member.unread(head.ordinal, deleted.get(&conversation.id).copied().unwrap_or(0))
    });
    Ok(unread.fold(0, u32::saturating_add))
}

/// How far the caller says to have read.
enum Wanted {
    Newest,
    Seq(Seq),
    Message(EntryId),
    Messages(Vec<EntryId>),
}

impl MarkRead {
    fn wanted(&self) -> Result<Wanted, Error> {
        match (&self.message_ids, self.up_to_seq, &self.up_to_message_id) {
            (None, None, None) => Ok(Wanted::Newest),
            (Some(ids), None, None) => Ok(Wanted::Messages(ids.parse("messageIds")?)),
            (None, Some(seq), None) => Ok(Wanted::Seq(Seq(u32::try_from(seq).unwrap_or(u32::MAX)))),
            (None, None, Some(id)) => Ok(Wanted::Message(message_id(id)?)),
            _ => Err(Error::invalid(
                "upToSeq",
                "only one of upToSeq, upToMessageId and messageIds",
            )),
        }
    }
}

impl Wanted {
    /// The number and the ordinal of the entry, and which ids are of other conversations.
    async fn find(
        self,
        app: &App,
        id: ConversationId,
        user: UserId,
        head: Head,
    ) -> Result<(Option<(Seq, u32)>, Vec<EntryId>), Error> {
        let log = &app.stores.log;
        let newest = Some((head.seq, head.ordinal));
        let place = |entry: &Entry| (entry.seq, entry.ordinal);
        match self {
            Wanted::Newest => Ok((newest, Vec::new())),
            Wanted::Seq(seq) if seq >= head.seq => Ok((newest, Vec::new())),
            Wanted::Seq(seq) => {
                let found = log.read_at(id, &[seq]).await?;
                Ok((found.first().map(place), Vec::new()))
            }
            Wanted::Message(message) => {
                let entry = log.get(id, message).await?.filter(|entry| entry.kind.is_shown());
                let entry = entry
                    .ok_or_else(|| Error::invalid("upToMessageId", "no message of this conversation"))?;
                Ok((Some(place(&entry)), Vec::new()))
            }
            Wanted::Messages(mut messages) => {
                debug_assert!(messages.len() <= READ_MAX);
                let mut found = log.get_many(id, &messages).await?;
                found.retain(|entry| entry.kind.is_shown());
                messages.retain(|wanted| found.iter().all(|entry| entry.id != *wanted));
                let others = found.iter().filter(|entry| entry.sender != user);
                Ok((others.max_by_key(|entry| entry.seq).map(place), messages))
            }
        }
    }
}

/// Who hears how far the user has read (S-108): whoever hides it sees none, and sees theirs hidden from.
async fn recipients(app: &App, access: &Access, user: UserId) -> Result<Recipients, Error> {
    let own = Recipients {
        watchers: false,
        users: vec![user],
    };
    let id = access.conversation.id;
    let conversations = &app.stores.conversations;
    let most = app.quotas.audience_large;
    if conversations.member_count(id).await? > most {
        return Ok(own);
    }
    let members = conversations
        .members(
            id,
            None,
            usize::try_from(most).unwrap_or(READ_MAX).clamp(1, READ_MAX),
        )
        .await?;
    let mut users: Vec<UserId> = members.iter().map(|member| member.user).collect();
    if access.conversation.kind == Kind::Direct {
        let peer = users.iter().copied().find(|one| *one != user).unwrap_or(user);
        if app.stores.blocks.between(user, peer).await?.any() {
            return Ok(own);
        }
    }
    let hiding = super::readers::hiding(app, &users).await?;
    if hiding.contains(&user) {
        return Ok(own);
    }
    if hiding.is_empty() {
        return Ok(match access.conversation.kind {
            Kind::Direct | Kind::Group => Recipients {
                watchers: true,
                users: Vec::new(),
            },
            // Rooms are heard by sockets that joined; the user's other devices hear it all the same.
            Kind::Room(_) => Recipients {
                watchers: true,
                ..own
            },
        });
    }
    users.retain(|one| !hiding.contains(one));
    Ok(Recipients {
        watchers: false,
        users,
    })
}
