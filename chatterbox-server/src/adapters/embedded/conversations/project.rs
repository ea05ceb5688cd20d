//! The rows beside the log, brought up to date with it.

use chatterbox_core::domain::conversation::{Conversation, Kind, Role};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::standing::{MemberChange, Seat, Standing};
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{
    MemberStep, MessageChange, MessageStep, Projected, Projection, StoreError,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::members::{self, Addition};
use super::rooms;
use super::rows::{self, CONVERSATION_COLUMNS, Named as _, conversation_columns};
use crate::adapters::embedded::error::store_error;
use crate::adapters::embedded::messages;
use crate::adapters::embedded::sql_limit;
use crate::adapters::embedded::writer::{Writing, alone};

pub(super) fn standing(
    connection: &Connection,
    id: ConversationId,
) -> rusqlite::Result<Option<(Standing, Seq)>> {
    let found = connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            ", c.projected FROM conversations c WHERE c.id = ?1"
        ))?
        .query_row([id.as_bytes()], |row| {
            Ok((rows::conversation(row, 0)?, Seq(row.get(CONVERSATION_COLUMNS)?)))
        })
        .optional()?;
    let Some((conversation, projected)) = found else {
        return Ok(None);
    };
    // A room may have very many members, and its plain ones are not in the standing.
    let seats = match conversation.kind {
        Kind::Direct | Kind::Group => {
            "SELECT user, role, joined_seq FROM members WHERE conversation = ?1 AND left_seq IS NULL"
        }
        Kind::Room(_) => {
            "SELECT user, role, joined_seq FROM members
             WHERE conversation = ?1 AND role = 'moderator' AND left_seq IS NULL"
        }
    };
    let members = connection
        .prepare_cached(seats)?
        .query_map([id.as_bytes()], |row| {
            let seat = Seat {
                role: Role::read(row, 1)?,
                joined_seq: Seq(row.get(2)?),
            };
            Ok((rows::user(row, 0)?, seat))
        })?
        .collect::<Result<_, _>>()?;
    let bans = connection
        .prepare_cached("SELECT user FROM bans WHERE conversation = ?1")?
        .query_map([id.as_bytes()], |row| rows::user(row, 0))?
        .collect::<Result<_, _>>()?;
    let standing = Standing {
        conversation,
        members,
        bans,
    };
    Ok(Some((standing, projected)))
}

/// An answer within an answer: what is unreadable in one conversation undoes its projection, but not the transaction
/// that it shares with others.
pub(super) fn project(
    writing: &mut Writing,
    id: ConversationId,
    projection: &Projection,
) -> Result<Result<Projected, StoreError>, StoreError> {
    let connection = &writing.connection;
    let projected = connection
        .prepare_cached("SELECT projected FROM conversations WHERE id = ?1")
        .and_then(|mut find| {
            find.query_row([id.as_bytes()], |row| row.get(0).map(Seq))
                .optional()
        })
        .map_err(store_error)?;
    match projected {
        None => {
            return Ok(Err(StoreError::Corrupt(format!(
                "no conversation {id} to bring up to date"
            ))));
        }
        Some(seq) if seq != projection.from => return Ok(Ok(Projected::StandsAt(seq))),
        Some(_) => {}
    }
    // Redaction changes entries.
    let redacts = |step: &MessageStep| matches!(step.change, MessageChange::Deleted);
    if projection.messages.iter().any(redacts) {
        writing.settle(id)?;
    }
    if !projection.messages.is_empty() {
        // Their words may be in the search index.
        writing.journal.unfed().announce();
    }
    let connection = &writing.connection;
    alone(connection, || apply(connection, id, projection))
        .map(|applied| applied.map(|()| Projected::Applied))
}

fn apply(connection: &Connection, id: ConversationId, projection: &Projection) -> Result<(), StoreError> {
    if let Some(settings) = &projection.settings {
        set(connection, settings).map_err(store_error)?;
    }
    for step in &projection.members {
        take_in(connection, id, *step).map_err(store_error)?;
    }
    messages::project(connection, id, &projection.messages, &projection.replies)?;
    for (user, pointer) in &projection.pointers {
        members::advance(connection, id, *user, *pointer).map_err(store_error)?;
    }
    connection
        .prepare_cached("UPDATE conversations SET projected = ?2 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![id.as_bytes(), projection.to.0]))
        .map(drop)
        .map_err(store_error)
}

fn set(connection: &Connection, settings: &Conversation) -> rusqlite::Result<()> {
    let name = match &settings.kind {
        Kind::Direct | Kind::Group => None,
        Kind::Room(name) => Some(name),
    };
    if let Some(name) = name {
        rooms::claim(connection, name, settings.id)?;
    }
    connection
        .prepare_cached(
            "UPDATE conversations
             SET name = ?2, title = ?3, description = ?4, visibility = ?5, history = ?6, archived = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            settings.id.as_bytes(),
            name.map(chatterbox_core::domain::conversation::RoomName::as_str),
            settings.title,
            settings.description,
            settings.visibility.name(),
            settings.history.name(),
            settings.archived,
        ])
        .map(drop)
}

fn take_in(connection: &Connection, id: ConversationId, step: MemberStep) -> rusqlite::Result<()> {
    match step.change {
        MemberChange::Joined(user, role) => {
            if members::is_member(connection, id, user)? {
                return set_role(connection, id, user, role);
            }
            let addition = Addition {
                role,
                joined: step.seq,
                read: (step.seq, step.ordinal),
            };
            members::add(connection, id, user, addition)
        }
        MemberChange::Left(user) => members::end(connection, id, user, step.seq),
        MemberChange::Role(user, role) => set_role(connection, id, user, role),
        MemberChange::Banned(user) => connection
            .prepare_cached("INSERT INTO bans (conversation, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![id.as_bytes(), user.as_bytes()])
            .map(drop),
        MemberChange::Unbanned(user) => connection
            .prepare_cached("DELETE FROM bans WHERE conversation = ?1 AND user = ?2")?
            .execute(params![id.as_bytes(), user.as_bytes()])
            .map(drop),
    }
}

fn set_role(connection: &Connection, id: ConversationId, user: UserId, role: Role) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE members SET role = ?3 WHERE user = ?1 AND conversation = ?2")?
        .execute(params![user.as_bytes(), id.as_bytes(), role.name()])
        .map(drop)
}

pub(super) fn lagging(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<ConversationId>> {
    connection
        .prepare_cached(
            "SELECT c.id FROM logs l CROSS JOIN conversations c ON c.id = l.conversation
             WHERE c.projected < (
                 SELECT max(key) FROM entries WHERE key > l.number << 32 AND key <= (l.number << 32) + 0xFFFFFFFF
             ) - (l.number << 32)
             LIMIT ?1",
        )?
        .query_map([sql_limit(limit)], |row| Ok(ConversationId::from_bytes(row.get(0)?)))?
        .collect()
}
