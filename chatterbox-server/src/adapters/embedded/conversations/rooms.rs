//! Rooms, their unique names, and joining and leaving them.

use chatterbox_core::domain::conversation::{
    Conversation, History, Kind, NewRoom, Role, RoomName, RoomSummary, Visibility,
};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{CreatedRoom, Head, JoinedRoom, LeftRoom, RoomPage, RoomsMax};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::members::{self, Addition};
use super::rows::{self, CONVERSATION_COLUMNS, conversation_columns};
use crate::adapters::embedded::sql_limit;

/// The counter and the viewer's membership, behind the columns of the conversation.
macro_rules! summary_columns {
    () => {
        "c.members,
         EXISTS (SELECT 1 FROM members WHERE user = :viewer AND conversation = c.id AND left_seq IS NULL)"
    };
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RoomSummary> {
    Ok(RoomSummary {
        conversation: rows::conversation(row, 0)?,
        members: u64::from(row.get::<_, u32>(CONVERSATION_COLUMNS)?),
        joined: row.get(CONVERSATION_COLUMNS + 1)?,
    })
}

/// By the name it has or one that it had.
pub(super) fn by_name(connection: &Connection, name: &RoomName) -> rusqlite::Result<Option<Conversation>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            " FROM room_names n JOIN conversations c ON c.id = n.room WHERE n.name = ?1"
        ))?
        .query_row([name.as_str()], |row| rows::conversation(row, 0))
        .optional()
}

fn made_by(connection: &Connection, creator: UserId) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM conversations WHERE creator = ?1 AND kind = 'room' AND archived = 0",
        )?
        .query_row([creator.as_bytes()], |row| row.get::<_, u32>(0).map(u64::from))
}

fn joined_by(connection: &Connection, user: UserId) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM members m JOIN conversations c ON c.id = m.conversation
             WHERE m.user = ?1 AND m.left_seq IS NULL AND c.kind = 'room'",
        )?
        .query_row([user.as_bytes()], |row| row.get::<_, u32>(0).map(u64::from))
}

pub(super) fn create(
    connection: &Connection,
    room: NewRoom,
    rooms_max: RoomsMax,
) -> rusqlite::Result<CreatedRoom> {
    if let Some(existing) = by_name(connection, &room.name)? {
        return Ok(CreatedRoom::NameTaken(existing));
    }
    if let Some(creator) = room.creator {
        if made_by(connection, creator)? >= rooms_max.made {
            return Ok(CreatedRoom::MadeTooMany);
        }
        if joined_by(connection, creator)? >= rooms_max.joined {
            return Ok(CreatedRoom::JoinedTooMany);
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO conversations (id, kind, name, description, visibility, creator, created_at)
             VALUES (:id, 'room', :name, :description, 'public', :creator, :created_at)",
        )?
        .execute(named_params! {
            ":id": room.id.as_bytes(),
            ":name": room.name.as_str(),
            ":description": room.description,
            ":creator": room.creator.as_ref().map(UserId::as_bytes),
            ":created_at": room.created_at.as_millis(),
        })?;
    claim(connection, &room.name, room.id)?;
    if let Some(creator) = room.creator {
        let addition = Addition {
            role: Role::Moderator,
            joined: Seq::ZERO,
            read: (Seq::ZERO, 0),
        };
        members::add(connection, room.id, creator, addition)?;
    }
    Ok(CreatedRoom::Created(Conversation {
        id: room.id,
        kind: Kind::Room(room.name),
        title: None,
        description: room.description,
        visibility: Visibility::Public,
        history: History::All,
        creator: room.creator,
        created_at: room.created_at,
        archived: false,
    }))
}

/// Makes the name lead to the room, unless it leads to another; whether it leads to this one now.
pub(super) fn claim(
    connection: &Connection,
    name: &RoomName,
    room: ConversationId,
) -> rusqlite::Result<bool> {
    let leads_to: [u8; 12] = connection
        .prepare_cached(
            "INSERT INTO room_names (name, room) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET room = room RETURNING room",
        )?
        .query_row(params![name.as_str(), room.as_bytes()], |row| row.get(0))?;
    Ok(leads_to == *room.as_bytes())
}

pub(super) fn page(
    connection: &Connection,
    viewer: Option<UserId>,
    after: &str,
    limit: usize,
) -> rusqlite::Result<RoomPage> {
    let mut rooms: Vec<RoomSummary> = connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            ", ",
            summary_columns!(),
            " FROM conversations c WHERE c.name > :after AND c.archived = 0 ORDER BY c.name LIMIT :limit"
        ))?
        .query_map(
            named_params! {
                ":viewer": viewer.as_ref().map(UserId::as_bytes),
                ":after": after,
                // One more tells whether there are more.
                ":limit": sql_limit(limit.saturating_add(1)),
            },
            summary,
        )?
        .collect::<Result<_, _>>()?;
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    Ok(RoomPage { rooms, has_more })
}

pub(super) fn one(
    connection: &Connection,
    id: ConversationId,
    viewer: Option<UserId>,
) -> rusqlite::Result<Option<RoomSummary>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            ", ",
            summary_columns!(),
            " FROM conversations c WHERE c.id = :id AND c.kind = 'room'"
        ))?
        .query_row(
            named_params! {
                ":viewer": viewer.as_ref().map(UserId::as_bytes),
                ":id": id.as_bytes(),
            },
            summary,
        )
        .optional()
}

/// `None` if there is no such room.
pub(super) fn join(
    connection: &Connection,
    room: ConversationId,
    user: UserId,
    head: Head,
    rooms_max: u64,
) -> rusqlite::Result<Option<JoinedRoom>> {
    let Some(members) = members::count(connection, room)? else {
        return Ok(None);
    };
    if members::is_member(connection, room, user)? {
        return Ok(Some(JoinedRoom::Joined {
            first: false,
            members,
        }));
    }
    let is_banned = connection
        .prepare_cached("SELECT 1 FROM bans WHERE conversation = ?1 AND user = ?2")?
        .exists(params![room.as_bytes(), user.as_bytes()])?;
    if is_banned {
        return Ok(Some(JoinedRoom::Banned));
    }
    if joined_by(connection, user)? >= rooms_max {
        return Ok(Some(JoinedRoom::TooMany));
    }
    let addition = Addition {
        role: Role::Member,
        joined: Seq::ZERO,
        read: (head.seq, head.ordinal),
    };
    members::add(connection, room, user, addition)?;
    Ok(Some(JoinedRoom::Joined {
        first: true,
        members: members + 1,
    }))
}

/// Nothing of a membership in a room is kept.
pub(super) fn leave(
    connection: &Connection,
    room: ConversationId,
    user: UserId,
) -> rusqlite::Result<LeftRoom> {
    let was_member = members::remove(connection, room, user)?;
    if was_member {
        members::change_count(connection, room, -1)?;
    }
    Ok(LeftRoom {
        was_member,
        members: members::count(connection, room)?.unwrap_or(0),
    })
}
