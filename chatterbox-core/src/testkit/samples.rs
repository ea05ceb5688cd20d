//! Domain objects for tests, as plain as they can be; what a test is about, it sets itself.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::domain::change::SettingsChange;
use crate::domain::conversation::{History, NewGroup, NewRoom, RoomName, Visibility};
use crate::domain::entry::{ClientMessageId, EntryKind, MessageBody};
use crate::domain::session::Session;
use crate::domain::user::{Email, NewUser, PasswordHash, Username};
use crate::ids::{ConversationId, EntryId, IdSource, SessionId, UserId};
use crate::ports::storage::{NewEntry, RoomsMax};

/// The moment at which samples are made: 2025-11-22T00:00:00Z.
pub fn now() -> Timestamp {
    Timestamp::from_millis(1_763_769_600_000)
}

/// So many seconds after [`now`].
pub fn in_secs(secs: u64) -> Timestamp {
    now().plus(Duration::from_secs(secs))
}

/// A user's id and no more.
pub fn user_id(ids: &dyn IdSource) -> UserId {
    UserId::new(ids)
}

/// An account called `name` with the address `name@example.org`.
pub fn new_user(ids: &dyn IdSource, name: &str) -> NewUser {
    NewUser {
        id: UserId::new(ids),
        name: Username {
            shown: name.to_owned(),
            key: name.to_lowercase(),
            skeleton: name.to_lowercase().replace('0', "o"),
        },
        email: Email {
            shown: format!("{name}@example.org"),
            key: format!("{}@example.org", name.to_lowercase()),
        },
        display_name: None,
        password_hash: PasswordHash("$argon2id$sample".to_owned()),
        created_at: now(),
    }
}

/// A login of `user` at [`now`] that ends after an hour.
pub fn session(ids: &dyn IdSource, user: UserId) -> Session {
    Session {
        id: SessionId::new(ids),
        user,
        salt: [7; 32],
        generation: 0,
        rotated_at: now(),
        created_at: now(),
        expires_at: in_secs(3600),
        revoked_at: None,
        user_agent: None,
    }
}

/// More rooms than any test makes or joins.
pub const ROOMS_MAX: RoomsMax = RoomsMax {
    made: 1_000,
    joined: 1_000,
};

/// The name of a room that tests know to be one.
pub fn room_name(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

/// A room.
pub fn new_room(ids: &dyn IdSource, name: &str, creator: Option<UserId>) -> NewRoom {
    NewRoom {
        id: ConversationId::new(ids),
        name: room_name(name),
        description: None,
        creator,
        created_at: now(),
    }
}

/// A group of its creator alone.
pub fn new_group(ids: &dyn IdSource, creator: UserId) -> NewGroup {
    NewGroup {
        id: ConversationId::new(ids),
        title: "Team".to_owned(),
        description: None,
        visibility: Visibility::Private,
        history: History::All,
        creator,
        members: Vec::new(),
        idempotency_key: None,
        created_at: now(),
    }
}

/// A message without a key of the client's.
pub fn message(ids: &dyn IdSource, sender: UserId, content: &str) -> NewEntry {
    NewEntry {
        id: EntryId::new(ids),
        sender,
        client_message_id: None,
        created_at: now(),
        kind: EntryKind::Message(MessageBody {
            content: content.to_owned(),
            ..MessageBody::default()
        }),
    }
}

/// A message under a key of the client's.
pub fn keyed_message(ids: &dyn IdSource, sender: UserId, key: &str, content: &str) -> NewEntry {
    NewEntry {
        client_message_id: Some(client_message_id(key)),
        ..message(ids, sender, content)
    }
}

/// A key that tests know to be one.
pub fn client_message_id(key: &str) -> ClientMessageId {
    ClientMessageId::parse(key).unwrap()
}

/// A change of the conversation's description, which governs what is decided behind it.
pub fn settings(ids: &dyn IdSource, sender: UserId, description: &str) -> NewEntry {
    NewEntry {
        kind: EntryKind::Settings(SettingsChange {
            description: Some(description.to_owned()),
            ..SettingsChange::default()
        }),
        ..message(ids, sender, "")
    }
}
