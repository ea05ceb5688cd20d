//! Conversations as their members see them: in lists, one by one, and in the event of their beginning.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::SettingsView;
use super::{MessageView, People, PublicUser};
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, Member, Notify, Role};
use crate::domain::current::CurrentMessage;
use crate::domain::entry::Seq;
use crate::ids::UserId;
use crate::ports::storage::Head;

/// A conversation and what its view for one member is made from.
#[derive(Debug, Clone)]
pub struct ConversationItem {
    /// The conversation.
    pub conversation: Conversation,
    /// The member's row.
    pub member: Member,
    /// Where the log ends.
    pub head: Head,
    /// The first members, in order of id.
    pub participants: Vec<Participant>,
    /// How many there are.
    pub participant_count: u64,
    /// The last message, or what the system said last.
    pub last: Option<CurrentMessage>,
    /// Whom that names.
    pub people: People,
    /// Messages not read.
    pub unread: u32,
}

/// A member and who that is.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Who.
    pub user: Arc<PublicUser>,
    /// As what.
    pub role: Role,
    /// The entry of their join; zero from the beginning.
    pub joined_seq: Seq,
}

/// A conversation as one of its members sees it (S-062, S-065).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView<'a> {
    /// The same for everyone.
    #[serde(flatten)]
    pub settings: SettingsView<'a>,
    /// What the caller may do.
    pub my_role: Role,
    /// Its first members, in order of id.
    pub participants: Vec<ParticipantView<'a>>,
    /// How many members it has.
    pub participant_count: u64,
    /// The last message, or what the system said last; `null` before the first one, and if the caller has deleted it
    /// for themselves.
    pub last_message: Option<MessageView<'a>>,
    /// Messages the caller has not read; 1001 stands for more than 1000.
    pub unread_count: u32,
    /// Number of the last entry.
    pub head_seq: Seq,
    /// The caller has read up to this entry.
    pub read_seq: Seq,
    /// Whether the caller's list leaves it out.
    pub hidden: bool,
    /// Which messages notify the caller.
    pub notifications: Notifications,
    /// Stamp of the last entry, or of the beginning: what lists are in order of.
    pub last_activity_at: Timestamp,
}

/// A member as everyone sees them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantView<'a> {
    /// Who.
    #[serde(flatten)]
    #[schema(value_type = PublicUser, inline)]
    pub user: &'a PublicUser,
    /// As what.
    pub role: Role,
    /// The entry of their join; 0 from the beginning, and in rooms.
    pub joined_seq: Seq,
}

/// Which messages notify a member (S-122).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notifications {
    /// All, those that mention the member, or none.
    pub level: Notify,
    /// None before this moment.
    pub mute_until: Option<Timestamp>,
}

impl Notifications {
    /// As the row says.
    pub fn of(member: &Member) -> Notifications {
        Notifications {
            level: member.notify,
            mute_until: member.mute_until,
        }
    }
}

impl Participant {
    /// As everyone sees them.
    pub fn view(&self) -> ParticipantView<'_> {
        ParticipantView {
            user: &self.user,
            role: self.role,
            joined_seq: self.joined_seq,
        }
    }
}

impl Serialize for Participant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view().serialize(serializer)
    }
}

impl ConversationItem {
    /// When something happened last: what lists are in order of.
    pub fn last_activity_at(&self) -> Timestamp {
        self.conversation.created_at.max(self.head.created_at)
    }

    /// As its member sees it.
    pub fn view(&self) -> ConversationView<'_> {
        let last = self.last.as_ref();
        ConversationView {
            settings: SettingsView::new(&self.conversation),
            my_role: self.member.role,
            participants: self.participants.iter().map(Participant::view).collect(),
            participant_count: self.participant_count,
            last_message: last.and_then(|message| {
                MessageView::new(
                    &message.entry,
                    Some(&message.state),
                    &self.conversation,
                    &self.people,
                )
            }),
            unread_count: self.unread,
            head_seq: self.head.seq,
            read_seq: self.member.read_seq,
            hidden: self.member.is_hidden(self.head.ordinal),
            notifications: Notifications::of(&self.member),
            last_activity_at: self.last_activity_at(),
        }
    }
}

impl Serialize for ConversationItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view().serialize(serializer)
    }
}

/// What `conversation-created` is made from (S-064, S-128): the same for all its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationCreated {
    /// The conversation.
    pub conversation: Conversation,
    /// By whom.
    pub created_by: UserId,
    /// The first members, in order of id.
    pub participants: Vec<(Arc<PublicUser>, Role)>,
    /// How many there are.
    pub participant_count: u64,
}

/// `conversation-created`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedView<'a> {
    /// The conversation.
    pub conversation: CreatedConversation<'a>,
    /// By whom.
    pub created_by: UserId,
}

/// A conversation at its beginning.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedConversation<'a> {
    /// The same for everyone.
    #[serde(flatten)]
    pub settings: SettingsView<'a>,
    /// Its first members, in order of id.
    pub participants: Vec<ParticipantView<'a>>,
    /// How many members it has.
    pub participant_count: u64,
}

impl ConversationCreated {
    /// The payload.
    pub fn view(&self) -> CreatedView<'_> {
        CreatedView {
            conversation: CreatedConversation {
                settings: SettingsView::new(&self.conversation),
                participants: self
                    .participants
                    .iter()
                    .map(|(user, role)| ParticipantView {
                        user,
                        role: *role,
                        joined_seq: Seq::ZERO,
                    })
                    .collect(),
                participant_count: self.participant_count,
            },
            created_by: self.created_by,
        }
    }
}
