//! How conversations and members are read from their rows.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::conversation::{
    Conversation, History, Kind, Member, Notify, Role, RoomName, Visibility,
};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use rusqlite::Row;
use rusqlite::types::Type;

/// As [`conversation`] reads them, of a table called `c`.
macro_rules! conversation_columns {
    () => {
        "c.id, c.kind, c.name, c.title, c.description, c.visibility, c.history, c.creator, c.created_at, c.archived"
    };
}
pub(super) use conversation_columns;

/// How many these are.
pub(super) const CONVERSATION_COLUMNS: usize = 10;

/// As [`member`] reads them, of a table called `m`.
macro_rules! member_columns {
    () => {
        "m.conversation, m.user, m.role, m.joined_seq, m.left_seq, m.read_seq, m.read_ordinal, m.hidden_at, m.notify, \
         m.mute_until"
    };
}
pub(super) use member_columns;

/// How many these are.
pub(super) const MEMBER_COLUMNS: usize = 10;

/// A column that holds what this version doesn't know.
#[derive(Debug, thiserror::Error)]
#[error("not known: {0}")]
struct Unknown(String);

fn unknown(column: usize, text: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(Unknown(text.to_owned())))
}

/// A value of which a column holds the name.
pub(super) trait Named: Copy + 'static {
    /// All there are.
    const ALL: &'static [Self];

    /// What the column holds.
    fn name(self) -> &'static str;

    fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let text = row.get_ref(column)?.as_str()?;
        let named = Self::ALL.iter().find(|value| value.name() == text);
        named.copied().ok_or_else(|| unknown(column, text))
    }
}

impl Named for Role {
    const ALL: &'static [Role] = &[Role::Owner, Role::Admin, Role::Moderator, Role::Member];

    fn name(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Moderator => "moderator",
            Role::Member => "member",
        }
    }
}

impl Named for Visibility {
    const ALL: &'static [Visibility] = &[Visibility::Private, Visibility::Public];

    fn name(self) -> &'static str {
        match self {
            Visibility::Private => "private",
            Visibility::Public => "public",
        }
    }
}

impl Named for History {
    const ALL: &'static [History] = &[History::All, History::SinceJoin];

    fn name(self) -> &'static str {
        match self {
            History::All => "all",
            History::SinceJoin => "since-join",
        }
    }
}

impl Named for Notify {
    const ALL: &'static [Notify] = &[Notify::All, Notify::Mentions, Notify::None];

    fn name(self) -> &'static str {
        match self {
            Notify::All => "all",
            Notify::Mentions => "mentions",
            Notify::None => "none",
        }
    }
}

pub(super) fn user(row: &Row<'_>, column: usize) -> rusqlite::Result<UserId> {
    Ok(UserId::from_bytes(row.get(column)?))
}

/// A conversation from the columns that begin at `from`.
pub(super) fn conversation(row: &Row<'_>, from: usize) -> rusqlite::Result<Conversation> {
    let kind = match row.get_ref(from + 1)?.as_str()? {
        "direct" => Kind::Direct,
        "group" => Kind::Group,
        "room" => {
            let name = row.get_ref(from + 2)?.as_str()?;
            Kind::Room(RoomName::look_up(name).ok_or_else(|| unknown(from + 2, name))?)
        }
        other => return Err(unknown(from + 1, other)),
    };
    Ok(Conversation {
        id: ConversationId::from_bytes(row.get(from)?),
        kind,
        title: row.get(from + 3)?,
        description: row.get(from + 4)?,
        visibility: Visibility::read(row, from + 5)?,
        history: History::read(row, from + 6)?,
        creator: row.get::<_, Option<[u8; 12]>>(from + 7)?.map(UserId::from_bytes),
        created_at: Timestamp::from_millis(row.get(from + 8)?),
        archived: row.get(from + 9)?,
    })
}

/// A member from the columns that begin at `from`.
pub(super) fn member(row: &Row<'_>, from: usize) -> rusqlite::Result<Member> {
    Ok(Member {
        conversation: ConversationId::from_bytes(row.get(from)?),
        user: user(row, from + 1)?,
        role: Role::read(row, from + 2)?,
        joined_seq: Seq(row.get(from + 3)?),
        left_seq: row.get::<_, Option<u32>>(from + 4)?.map(Seq),
        read_seq: Seq(row.get(from + 5)?),
        read_ordinal: row.get(from + 6)?,
        hidden_at: row.get(from + 7)?,
        notify: Notify::read(row, from + 8)?,
        mute_until: row.get::<_, Option<i64>>(from + 9)?.map(Timestamp::from_millis),
    })
}
