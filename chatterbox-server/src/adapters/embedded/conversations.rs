use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::conversation::{
    Conversation, Kind, Member, NewRoom, Role, RoomName, RoomSummary,
};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{
    ConversationStore, CreatedRoom, JoinedRoom, LeftRoom, RoomPage, StoreError,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::EmbeddedStore;
use super::error::store_error;

const COLUMNS: &str = "id, kind, name, description, creator, created_at, archived, settings_seq, members";

pub(super) struct EmbeddedConversations(EmbeddedStore);

impl EmbeddedConversations {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedConversations {
        EmbeddedConversations(store.clone())
    }
}

/// A column that holds what this version doesn't know.
#[derive(Debug, thiserror::Error)]
#[error("not known: {0}")]
struct Unknown(String);

fn unknown(column: usize, text: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(Unknown(text)))
}

fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let kind: String = row.get(1)?;
    let kind = match kind.as_str() {
        "direct" => Kind::Direct,
        "group" => Kind::Group,
        "room" => {
            let name: String = row.get(2)?;
            Kind::Room(RoomName::look_up(&name).ok_or_else(|| unknown(2, name))?)
        }
        _ => return Err(unknown(1, kind)),
    };
    Ok(Conversation {
        id: ConversationId::from_bytes(row.get(0)?),
        kind,
        description: row.get(3)?,
        creator: row.get::<_, Option<[u8; 12]>>(4)?.map(UserId::from_bytes),
        created_at: Timestamp::from_millis(row.get(5)?),
        archived: row.get(6)?,
        settings_seq: Seq(row.get(7)?),
    })
}

/// A room with the viewer's membership in the column behind [`COLUMNS`].
fn summary(row: &Row<'_>) -> rusqlite::Result<RoomSummary> {
    Ok(RoomSummary {
        conversation: conversation(row)?,
        members: u64::from(row.get::<_, u32>(8)?),
        joined: row.get(9)?,
    })
}

const JOINED: &str =
    "EXISTS (SELECT 1 FROM members WHERE user = :viewer AND conversation = conversations.id)";

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Moderator => "moderator",
        Role::Member => "member",
    }
}

fn role(column: usize, name: String) -> rusqlite::Result<Role> {
    match name.as_str() {
        "owner" => Ok(Role::Owner),
        "admin" => Ok(Role::Admin),
        "moderator" => Ok(Role::Moderator),
        "member" => Ok(Role::Member),
        _ => Err(unknown(column, name)),
    }
}

fn by_name(connection: &Connection, name: &RoomName) -> rusqlite::Result<Option<Conversation>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM conversations WHERE name = ?1"))?
        .query_row([name.as_str()], conversation)
        .optional()
}

fn is_member(connection: &Connection, room: ConversationId, user: UserId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM members WHERE user = ?1 AND conversation = ?2")?
        .exists(params![user.as_bytes(), room.as_bytes()])
}

/// How many members the room has; `None` if there is no such room.
fn member_count(connection: &Connection, room: ConversationId) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT members FROM conversations WHERE id = ?1")?
        .query_row([room.as_bytes()], |row| row.get(0))
        .optional()
}

/// Adds the row and moves the counter; how many members the room has now.
fn add_member(
    connection: &Connection,
    room: ConversationId,
    user: UserId,
    role: Role,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("INSERT INTO members (user, conversation, role) VALUES (?1, ?2, ?3)")?
        .execute(params![user.as_bytes(), room.as_bytes(), role_name(role)])?;
    count_members(connection, room, 1)
}

fn count_members(connection: &Connection, room: ConversationId, more: i32) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("UPDATE conversations SET members = members + ?2 WHERE id = ?1 RETURNING members")?
        .query_row(params![room.as_bytes(), more], |row| row.get(0))
}

fn create_room(connection: &Connection, room: NewRoom, rooms_max: u64) -> rusqlite::Result<CreatedRoom> {
    if let Some(existing) = by_name(connection, &room.name)? {
        return Ok(CreatedRoom::NameTaken(existing));
    }
    if let Some(creator) = room.creator {
        let made: u32 = connection
            .prepare_cached(
                "SELECT count(*) FROM conversations WHERE creator = ?1 AND kind = 'room' AND archived = 0",
            )?
            .query_row([creator.as_bytes()], |row| row.get(0))?;
        if u64::from(made) >= rooms_max {
            return Ok(CreatedRoom::TooMany);
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO conversations (id, kind, name, description, creator, created_at)
             VALUES (:id, 'room', :name, :description, :creator, :created_at)",
        )?
        .execute(named_params! {
            ":id": room.id.as_bytes(),
            ":name": room.name.as_str(),
            ":description": room.description,
            ":creator": room.creator.as_ref().map(UserId::as_bytes),
            ":created_at": room.created_at.as_millis(),
        })?;
    if let Some(creator) = room.creator {
        add_member(connection, room.id, creator, Role::Moderator)?;
    }
    Ok(CreatedRoom::Created(Conversation {
        id: room.id,
        kind: Kind::Room(room.name),
        description: room.description,
        creator: room.creator,
        created_at: room.created_at,
        archived: false,
        settings_seq: Seq::ZERO,
    }))
}

/// `None` if there is no such room.
fn join_room(
    connection: &Connection,
    room: ConversationId,
    user: UserId,
    rooms_max: u64,
) -> rusqlite::Result<Option<JoinedRoom>> {
    let Some(members) = member_count(connection, room)? else {
        return Ok(None);
    };
    if is_member(connection, room, user)? {
        return Ok(Some(JoinedRoom::Joined {
            first: false,
            members: u64::from(members),
        }));
    }
    let joined: u32 = connection
        .prepare_cached(
            "SELECT count(*) FROM members JOIN conversations ON conversations.id = members.conversation
             WHERE members.user = ?1 AND conversations.kind = 'room'",
        )?
        .query_row([user.as_bytes()], |row| row.get(0))?;
    if u64::from(joined) >= rooms_max {
        return Ok(Some(JoinedRoom::TooMany));
    }
    Ok(Some(JoinedRoom::Joined {
        first: true,
        members: u64::from(add_member(connection, room, user, Role::Member)?),
    }))
}

fn leave_room(connection: &Connection, room: ConversationId, user: UserId) -> rusqlite::Result<LeftRoom> {
    let removed = connection
        .prepare_cached("DELETE FROM members WHERE user = ?1 AND conversation = ?2")?
        .execute(params![user.as_bytes(), room.as_bytes()])?;
    let members = if removed == 1 {
        count_members(connection, room, -1)?
    } else {
        member_count(connection, room)?.unwrap_or(0)
    };
    Ok(LeftRoom {
        was_member: removed == 1,
        members: u64::from(members),
    })
}

#[async_trait]
impl ConversationStore for EmbeddedConversations {
    async fn create_room(&self, room: NewRoom, rooms_max: u64) -> Result<CreatedRoom, StoreError> {
        self.0
            .writer
            .write(move |writing| create_room(&writing.connection, room, rooms_max).map_err(store_error))
            .await
    }

    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM conversations WHERE id = ?1"))
                    .and_then(|mut by_id| by_id.query_row([id.as_bytes()], conversation).optional())
                    .map_err(store_error)
            })
            .await
    }

    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError> {
        let name = name.clone();
        self.0
            .readers
            .read(move |connection| by_name(connection, &name).map_err(store_error))
            .await
    }

    async fn rooms(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError> {
        // No name is empty, and every name is behind the empty one.
        let after = after.map_or(String::new(), |name| name.as_str().to_owned());
        self.0
            .readers
            .read(move |connection| {
                let query = format!(
                    "SELECT {COLUMNS}, {JOINED} FROM conversations WHERE name > :after AND archived = 0
                     ORDER BY name LIMIT :limit"
                );
                let mut rooms: Vec<RoomSummary> = connection
                    .prepare_cached(&query)
                    .and_then(|mut page| {
                        page.query_map(
                            named_params! {
                                ":viewer": viewer.as_ref().map(UserId::as_bytes),
                                ":after": after,
                                // One more tells whether there are more.
                                ":limit": i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX),
                            },
                            summary,
                        )?
                        .collect()
                    })
                    .map_err(store_error)?;
                let has_more = rooms.len() > limit;
                rooms.truncate(limit);
                Ok(RoomPage { rooms, has_more })
            })
            .await
    }

    async fn room_summary(
        &self,
        id: ConversationId,
        viewer: Option<UserId>,
    ) -> Result<Option<RoomSummary>, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS}, {JOINED} FROM conversations WHERE id = :id AND kind = 'room'"
                    ))
                    .and_then(|mut by_id| {
                        let values = named_params! {
                            ":viewer": viewer.as_ref().map(UserId::as_bytes),
                            ":id": id.as_bytes(),
                        };
                        by_id.query_row(values, summary).optional()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        _now: Timestamp,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        self.0
            .writer
            .write(move |writing| {
                join_room(&writing.connection, room, user, rooms_max)
                    .map_err(store_error)?
                    .ok_or_else(|| StoreError::Corrupt(format!("no room {room} to join")))
            })
            .await
    }

    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError> {
        self.0
            .writer
            .write(move |writing| leave_room(&writing.connection, room, user).map_err(store_error))
            .await
    }

    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT role, read_seq, read_ordinal FROM members WHERE user = ?1 AND conversation = ?2",
                    )
                    .and_then(|mut find| {
                        find.query_row(params![user.as_bytes(), conversation.as_bytes()], |row| {
                            Ok(Member {
                                conversation,
                                user,
                                role: role(0, row.get(0)?)?,
                                read_seq: Seq(row.get(1)?),
                                read_ordinal: row.get(2)?,
                            })
                        })
                        .optional()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let mut users = users.to_vec();
        self.0
            .readers
            .read(move |connection| {
                let mut failed = None;
                users.retain(|user| {
                    is_member(connection, conversation, *user).unwrap_or_else(|error| {
                        failed = Some(error);
                        false
                    })
                });
                failed.map_or(Ok(users), |error| Err(store_error(error)))
            })
            .await
    }

    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: u32,
        ordinal: u32,
    ) -> Result<(), StoreError> {
        self.0
            .writer
            .write(move |writing| {
                writing
                    .connection
                    .prepare_cached(
                        "UPDATE members SET read_seq = ?3, read_ordinal = ?4
                         WHERE user = ?1 AND conversation = ?2 AND read_seq < ?3",
                    )
                    .and_then(|mut update| {
                        update.execute(params![user.as_bytes(), conversation.as_bytes(), seq, ordinal])
                    })
                    .map(drop)
                    .map_err(store_error)
            })
            .await
    }

    async fn apply_settings(&self, conversation: &Conversation, seq: u32) -> Result<(), StoreError> {
        let (id, description, archived) = (
            conversation.id,
            conversation.description.clone(),
            conversation.archived,
        );
        self.0
            .writer
            .write(move |writing| {
                writing
                    .connection
                    .prepare_cached(
                        "UPDATE conversations SET description = ?3, archived = ?4, settings_seq = ?2
                         WHERE id = ?1 AND settings_seq < ?2",
                    )
                    .and_then(|mut update| update.execute(params![id.as_bytes(), seq, description, archived]))
                    .map(drop)
                    .map_err(store_error)
            })
            .await
    }
}
