//! Direct conversations and groups come to be.

use chatterbox_core::domain::conversation::{
    Conversation, History, Kind, NewDirect, NewGroup, Role, Visibility,
};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::Created;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use super::members::{self, Addition};
use super::rows::{self, Named as _, conversation_columns};

/// A member from the beginning.
fn add_first(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    role: Role,
) -> rusqlite::Result<()> {
    let addition = Addition {
        role,
        joined: Seq::ZERO,
        read: (Seq::ZERO, 0),
    };
    members::add(connection, conversation, user, addition)
}

pub(super) fn direct_of(
    connection: &Connection,
    (low, high): (UserId, UserId),
) -> rusqlite::Result<Option<Conversation>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            " FROM conversations c WHERE c.kind = 'direct' AND c.low = ?1 AND c.high = ?2"
        ))?
        .query_row(params![low.as_bytes(), high.as_bytes()], |row| {
            rows::conversation(row, 0)
        })
        .optional()
}

pub(super) fn open_direct(connection: &Connection, direct: NewDirect) -> rusqlite::Result<Created> {
    let (low, high) = direct.pair();
    if let Some(conversation) = direct_of(connection, (low, high))? {
        members::set_hidden(connection, conversation.id, direct.creator, None)?;
        return Ok(Created {
            is_new: conversation.id == direct.id,
            conversation,
        });
    }
    connection
        .prepare_cached(
            "INSERT INTO conversations (id, kind, creator, created_at, low, high)
             VALUES (:id, 'direct', :creator, :created_at, :low, :high)",
        )?
        .execute(named_params! {
            ":id": direct.id.as_bytes(),
            ":creator": direct.creator.as_bytes(),
            ":created_at": direct.created_at.as_millis(),
            ":low": low.as_bytes(),
            ":high": high.as_bytes(),
        })?;
    add_first(connection, direct.id, low, Role::Member)?;
    if low != high {
        add_first(connection, direct.id, high, Role::Member)?;
    }
    Ok(Created {
        conversation: Conversation {
            id: direct.id,
            kind: Kind::Direct,
            title: None,
            description: None,
            visibility: Visibility::Private,
            history: History::All,
            creator: Some(direct.creator),
            created_at: direct.created_at,
            archived: false,
        },
        is_new: true,
    })
}

/// The group that an earlier attempt, or an earlier call with the same key, has made.
fn made_before(connection: &Connection, group: &NewGroup) -> rusqlite::Result<Option<Conversation>> {
    let by_id = super::get(connection, group.id)?;
    let (None, Some(key)) = (&by_id, &group.idempotency_key) else {
        return Ok(by_id);
    };
    connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            " FROM conversations c WHERE c.creator = ?1 AND c.idempotency_key = ?2"
        ))?
        .query_row(params![group.creator.as_bytes(), key], |row| {
            rows::conversation(row, 0)
        })
        .optional()
}

pub(super) fn create_group(connection: &Connection, group: NewGroup) -> rusqlite::Result<Created> {
    if let Some(conversation) = made_before(connection, &group)? {
        return Ok(Created {
            is_new: conversation.id == group.id,
            conversation,
        });
    }
    connection
        .prepare_cached(
            "INSERT INTO conversations
                 (id, kind, title, description, visibility, history, creator, created_at, idempotency_key)
             VALUES (:id, 'group', :title, :description, :visibility, :history, :creator, :created_at, :key)",
        )?
        .execute(named_params! {
            ":id": group.id.as_bytes(),
            ":title": group.title,
            ":description": group.description,
            ":visibility": group.visibility.name(),
            ":history": group.history.name(),
            ":creator": group.creator.as_bytes(),
            ":created_at": group.created_at.as_millis(),
            ":key": group.idempotency_key,
        })?;
    add_first(connection, group.id, group.creator, Role::Owner)?;
    for user in &group.members {
        add_first(connection, group.id, *user, Role::Member)?;
    }
    Ok(Created {
        conversation: Conversation {
            id: group.id,
            kind: Kind::Group,
            title: Some(group.title),
            description: group.description,
            visibility: group.visibility,
            history: group.history,
            creator: Some(group.creator),
            created_at: group.created_at,
            archived: false,
        },
        is_new: true,
    })
}
