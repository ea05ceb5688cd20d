//! A small chat on the stores of one backend: entries are appended, and rows brought up to date, as the log does it.

use crate::domain::change::{Change, Delete, Edit, Join, Leave, LeaveReason, Reaction};
use crate::domain::conversation::{Member, NewDirect, NewGroup, Role};
use crate::domain::emoji::Emoji;
use crate::domain::entry::{Entry, EntryKind, MessageBody};
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{Appended, CreatedRoom, NewEntry, Projected, Projection, READ_MAX, Stores};
use crate::testkit::SeededIds;
use crate::testkit::conformance::Port;
use crate::testkit::samples::{ROOMS_MAX, message, new_group, new_room, now};

pub(super) struct Chat<P> {
    pub(super) stores: P,
    pub(super) ids: SeededIds,
}

impl<P: Port<Target = Stores>> Chat<P> {
    pub(super) async fn new(make: impl AsyncFn() -> P) -> Chat<P> {
        Chat {
            stores: make().await,
            ids: SeededIds::new(1),
        }
    }

    pub(super) fn user(&self) -> UserId {
        UserId::new(&self.ids)
    }

    pub(super) fn users<const N: usize>(&self) -> [UserId; N] {
        std::array::from_fn(|_| self.user())
    }

    /// A group; the first member owns it.
    pub(super) async fn group(&self, members: &[UserId]) -> ConversationId {
        let group = NewGroup {
            members: members[1..].to_vec(),
            ..new_group(&self.ids, members[0])
        };
        let made = self.stores.conversations.create_group(group).await.unwrap();
        assert!(made.is_new);
        made.conversation.id
    }

    pub(super) async fn direct(&self, creator: UserId, peer: UserId) -> ConversationId {
        let direct = NewDirect {
            id: ConversationId::new(&self.ids),
            creator,
            peer,
            created_at: now(),
        };
        let opened = self.stores.conversations.open_direct(direct).await.unwrap();
        opened.conversation.id
    }

    pub(super) async fn room(&self, name: &str, creator: Option<UserId>) -> ConversationId {
        let room = new_room(&self.ids, name, creator);
        match self
            .stores
            .conversations
            .create_room(room, ROOMS_MAX)
            .await
            .unwrap()
        {
            CreatedRoom::Created(room) => room.id,
            other => panic!("{other:?}"),
        }
    }

    /// Appends at the head.
    pub(super) async fn append(&self, here: ConversationId, sender: UserId, kind: EntryKind) -> Entry {
        let new = NewEntry {
            kind,
            ..message(&self.ids, sender, "")
        };
        let head = self.stores.log.head(here).await.unwrap();
        match self.stores.log.append(here, head.seq, vec![new]).await.unwrap() {
            Appended::At(mut added) => added.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn say(&self, here: ConversationId, sender: UserId, content: &str) -> Entry {
        let body = MessageBody {
            content: content.to_owned(),
            ..MessageBody::default()
        };
        self.append(here, sender, EntryKind::Message(body)).await
    }

    pub(super) async fn reply(&self, sender: UserId, to: &Entry, content: &str) -> Entry {
        let body = MessageBody {
            content: content.to_owned(),
            reply_to: Some(to.id),
            ..MessageBody::default()
        };
        self.append(to.conversation, sender, EntryKind::Message(body))
            .await
    }

    pub(super) async fn edit(&self, message: &Entry, content: &str) -> Entry {
        let edit = edit_of(message, content);
        self.append(message.conversation, message.sender, edit).await
    }

    pub(super) async fn delete(&self, message: &Entry) -> Entry {
        let delete = delete_of(message);
        self.append(message.conversation, message.sender, delete).await
    }

    pub(super) async fn react(&self, user: UserId, message: &Entry, emoji: &str, change: Change) -> Entry {
        let reaction = reaction_to(message, emoji, change);
        self.append(message.conversation, user, reaction).await
    }

    pub(super) async fn adds(&self, here: ConversationId, by: UserId, user: UserId) -> Entry {
        let join = Join {
            user,
            role: Role::Member,
        };
        self.append(here, by, EntryKind::Join(join)).await
    }

    pub(super) async fn leaves(&self, here: ConversationId, user: UserId) -> Entry {
        let leave = Leave {
            user,
            reason: LeaveReason::Left,
            heir: None,
        };
        self.append(here, user, EntryKind::Leave(leave)).await
    }

    /// What the entries behind the rows mean for them, and how the conversation stands behind those.
    pub(super) async fn unprojected(&self, here: ConversationId) -> (Projection, Standing) {
        let (mut standing, at) = self.stores.conversations.standing(here).await.unwrap().unwrap();
        let mut projection = Projection::at(at);
        loop {
            let after = projection.to;
            let entries = self.stores.log.read_after(here, after, READ_MAX).await.unwrap();
            if entries.is_empty() {
                return (projection, standing);
            }
            for entry in entries {
                let members = standing.apply(&entry);
                projection.add(&entry, &standing.conversation, members);
            }
        }
    }

    /// Brings the rows up to the end of the log.
    pub(super) async fn project(&self, here: ConversationId) -> Standing {
        let (projection, standing) = self.unprojected(here).await;
        let to = projection.to;
        let projected = self.stores.conversations.project(here, projection).await.unwrap();
        assert_eq!(projected, Projected::Applied);
        let stored = self.stores.conversations.standing(here).await.unwrap();
        assert_eq!(stored, Some((standing.clone(), to)));
        standing
    }

    pub(super) async fn member(&self, here: ConversationId, user: UserId) -> Member {
        let member = self.stores.conversations.member(here, user).await.unwrap();
        member.expect("there is a row")
    }

    pub(super) async fn members(&self, here: ConversationId) -> Vec<UserId> {
        let members = self
            .stores
            .conversations
            .members(here, None, 1_000)
            .await
            .unwrap();
        let count = self.stores.conversations.member_count(here).await.unwrap();
        assert_eq!(members.len() as u64, count);
        members.iter().map(|member| member.user).collect()
    }
}

pub(super) fn edit_of(message: &Entry, content: &str) -> EntryKind {
    EntryKind::Edit(Edit {
        message: message.id,
        message_seq: message.seq,
        sent_at: message.created_at,
        reply_to: None,
        content: content.to_owned(),
        mentions: vec![message.sender],
        redacted_at: None,
    })
}

pub(super) fn delete_of(message: &Entry) -> EntryKind {
    EntryKind::Delete(Delete {
        message: message.id,
        message_seq: message.seq,
        author: message.sender,
    })
}

pub(super) fn reaction_to(message: &Entry, emoji: &str, change: Change) -> EntryKind {
    EntryKind::Reaction(Reaction {
        message: message.id,
        message_seq: message.seq,
        emoji: Emoji::parse(emoji).unwrap(),
        change,
    })
}

pub(super) fn ids_of(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}
