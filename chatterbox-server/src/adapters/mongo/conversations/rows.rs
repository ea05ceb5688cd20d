//! Conversations and members as documents.

use chatterbox_core::domain::conversation::{
    Conversation, History, Kind, Member, Notify, Role, RoomName, Visibility,
};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use super::intent::Work;
use crate::adapters::mongo::error::corrupt;
use crate::adapters::mongo::ids::{self, Id as _, long, number, seq, stamp, time};

/// What sort of conversation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    Direct,
    Group,
    Room,
}

impl Sort {
    pub(super) fn of(kind: &Kind) -> Sort {
        match kind {
            Kind::Direct => Sort::Direct,
            Kind::Group => Sort::Group,
            Kind::Room(_) => Sort::Room,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Sort::Direct => "direct",
            Sort::Group => "group",
            Sort::Room => "room",
        }
    }
}

/// A conversation, what its rows stand at, and what is being done to them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationRow {
    #[serde(rename = "_id")]
    pub(super) id: ObjectId,
    pub(super) kind: Sort,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<RoomName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    visibility: Visibility,
    history: History,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    creator: Option<ObjectId>,
    created_at: DateTime,
    archived: bool,
    /// The entry at which the rows stand.
    projected: i64,
    /// How many current members there are.
    member_count: i64,
    /// The first of them, in order of id.
    pub(super) front: Vec<ObjectId>,
    /// The number of the last intent.
    pub(super) rev: i64,
    /// What has been begun and is finished by whoever comes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) intent: Option<Work>,

    /// Every name that leads to the room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) names: Vec<RoomName>,
    /// Of rooms that are not archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listed: Option<bool>,
    /// Which of the creator's rooms that are not archived; see `slots`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<i64>,
    /// Both members of a direct conversation, the lower id first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pair: Option<Binary>,
    /// The creator's own name for the making of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

impl ConversationRow {
    /// A new one, whose members `intent` is to add.
    pub(super) fn new(conversation: &Conversation, members: &[UserId], intent: Work) -> ConversationRow {
        let mut front = ids::oids(members);
        front.sort_unstable();
        front.truncate(FRONT);
        let name = match &conversation.kind {
            Kind::Direct | Kind::Group => None,
            Kind::Room(name) => Some(name.clone()),
        };
        ConversationRow {
            id: conversation.id.oid(),
            kind: Sort::of(&conversation.kind),
            names: name.iter().cloned().collect(),
            listed: name.is_some().then_some(true),
            name,
            title: conversation.title.clone(),
            description: conversation.description.clone(),
            visibility: conversation.visibility,
            history: conversation.history,
            creator: conversation.creator.map(ids::Id::oid),
            created_at: stamp(conversation.created_at),
            archived: conversation.archived,
            projected: 0,
            member_count: i64::try_from(members.len()).unwrap_or(i64::MAX),
            front,
            rev: 1,
            intent: Some(intent),
            slot: None,
            pair: None,
            key: None,
        }
    }

    pub(super) fn conversation_id(&self) -> ConversationId {
        ConversationId::from_oid(self.id)
    }

    pub(super) fn projected(&self) -> Result<Seq, StoreError> {
        seq(self.projected)
    }

    pub(super) fn members(&self) -> Result<u64, StoreError> {
        u64::try_from(self.member_count).map_err(|_| corrupt(format!("{} has too few members", self.id)))
    }

    /// The settings.
    pub(super) fn conversation(&self) -> Result<Conversation, StoreError> {
        let kind = match (self.kind, &self.name) {
            (Sort::Direct, None) => Kind::Direct,
            (Sort::Group, None) => Kind::Group,
            (Sort::Room, Some(name)) => Kind::Room(name.clone()),
            (Sort::Room, None) => return Err(corrupt(format!("the room {} has no name", self.id))),
            (Sort::Direct | Sort::Group, Some(_)) => {
                return Err(corrupt(format!("{} has a name and is no room", self.id)));
            }
        };
        Ok(Conversation {
            id: self.conversation_id(),
            kind,
            title: self.title.clone(),
            description: self.description.clone(),
            visibility: self.visibility,
            history: self.history,
            creator: self.creator.map(UserId::from_oid),
            created_at: time(self.created_at),
            archived: self.archived,
        })
    }
}

/// How many members a row names by itself.
pub(super) const FRONT: usize = 10;

/// What a serde type is in a document.
pub(super) fn bson(value: impl Serialize) -> Result<Bson, StoreError> {
    mongodb::bson::serialize_to_bson(&value).map_err(|error| corrupt(format!("it can't be written: {error}")))
}

/// The fields that a change of settings writes, and those that it takes away.
pub(super) fn settings_update(settings: &Conversation) -> Result<(Document, Document), StoreError> {
    let mut set = doc! {
        "visibility": bson(settings.visibility)?,
        "history": bson(settings.history)?,
        "archived": settings.archived,
    };
    let mut unset = Document::new();
    for (field, text) in [("title", &settings.title), ("description", &settings.description)] {
        match text {
            Some(text) => set.insert(field, text),
            None => unset.insert(field, ""),
        };
    }
    if let Kind::Room(name) = &settings.kind {
        set.insert("name", name.as_str());
        if settings.archived {
            unset.extend(doc! { "listed": "", "slot": "" });
        } else {
            set.insert("listed", true);
        }
    }
    Ok((set, unset))
}

/// A user in a conversation.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberRow {
    pub(super) conversation: ObjectId,
    pub(super) user: ObjectId,
    pub(super) role: Role,
    /// Whether they are a member now.
    #[serde(rename = "in")]
    pub(super) is_in: bool,
    #[serde(default)]
    joined_seq: i64,
    #[serde(default)]
    left_seq: Option<i64>,
    #[serde(default)]
    read_seq: i64,
    #[serde(default)]
    read_ordinal: i64,
    #[serde(default)]
    hidden_at: Option<i64>,
    #[serde(default)]
    notify: Notify,
    #[serde(default)]
    mute_until: Option<DateTime>,
    /// The last intent that wrote the row.
    pub(super) rev: i64,
    /// Whether they were a member before that intent.
    #[serde(default)]
    pub(super) was: bool,
    /// Of those who left a room, or have not come in yet: nothing of the row counts.
    #[serde(default)]
    pub(super) gone: Option<DateTime>,
}

/// The rows that count.
pub(super) fn there() -> Document {
    doc! { "gone": { "$exists": false } }
}

impl TryFrom<MemberRow> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Member, StoreError> {
        Ok(Member {
            conversation: ConversationId::from_oid(row.conversation),
            user: UserId::from_oid(row.user),
            role: row.role,
            joined_seq: seq(row.joined_seq)?,
            left_seq: row.left_seq.map(seq).transpose()?,
            read_seq: seq(row.read_seq)?,
            read_ordinal: number(row.read_ordinal)?,
            hidden_at: row.hidden_at.map(number).transpose()?,
            notify: row.notify,
            mute_until: row.mute_until.map(time),
        })
    }
}

/// The fields of a member from the beginning of a membership.
pub(super) fn pointer((seq, ordinal): (Seq, u32)) -> Document {
    doc! { "readSeq": long(seq.0), "readOrdinal": long(ordinal) }
}
