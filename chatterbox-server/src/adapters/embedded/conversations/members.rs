//! Rows of members: one per user and conversation, with the counter of the conversation beside them.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::conversation::{Member, Notify, Role};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::ReadPointer;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{self, Named as _, member_columns};
use crate::adapters::embedded::sql_limit;

/// How somebody comes in.
#[derive(Clone, Copy)]
pub(super) struct Addition {
    pub(super) role: Role,
    pub(super) joined: Seq,
    /// Where their read pointer stands at least.
    pub(super) read: (Seq, u32),
}

/// Makes somebody a member who is none: with a new row, or with the one of an earlier membership.
pub(super) fn add(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    addition: Addition,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO members (user, conversation, role, joined_seq, read_seq, read_ordinal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (user, conversation) DO UPDATE SET
                 role = excluded.role, joined_seq = excluded.joined_seq, left_seq = NULL, hidden_at = NULL,
                 read_ordinal = CASE WHEN read_seq < excluded.read_seq THEN excluded.read_ordinal ELSE read_ordinal END,
                 read_seq = max(read_seq, excluded.read_seq)",
        )?
        .execute(params![
            user.as_bytes(),
            conversation.as_bytes(),
            addition.role.name(),
            addition.joined.0,
            addition.read.0.0,
            addition.read.1,
        ])?;
    change_count(connection, conversation, 1)
}

/// Ends a membership by an entry. The row stays, but not that of a room, of which nothing is kept.
pub(super) fn end(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    seq: Seq,
) -> rusqlite::Result<()> {
    let is_room = connection
        .prepare_cached("SELECT 1 FROM conversations WHERE id = ?1 AND kind = 'room'")?
        .exists([conversation.as_bytes()])?;
    let ended = if is_room {
        remove(connection, conversation, user)?
    } else {
        connection
            .prepare_cached(
                "UPDATE members SET left_seq = ?3 WHERE user = ?1 AND conversation = ?2 AND left_seq IS NULL",
            )?
            .execute(params![user.as_bytes(), conversation.as_bytes(), seq.0])?
            == 1
    };
    if ended {
        change_count(connection, conversation, -1)?;
    }
    Ok(())
}

/// Takes the row away; whether there was one.
pub(super) fn remove(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM members WHERE user = ?1 AND conversation = ?2")?
        .execute(params![user.as_bytes(), conversation.as_bytes()])
        .map(|rows| rows == 1)
}

pub(super) fn change_count(
    connection: &Connection,
    conversation: ConversationId,
    more: i32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE conversations SET members = members + ?2 WHERE id = ?1")?
        .execute(params![conversation.as_bytes(), more])
        .map(drop)
}

/// How many members there are; `None` if there is no such conversation.
pub(super) fn count(connection: &Connection, conversation: ConversationId) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT members FROM conversations WHERE id = ?1")?
        .query_row([conversation.as_bytes()], |row| {
            row.get::<_, u32>(0).map(u64::from)
        })
        .optional()
}

pub(super) fn is_member(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM members WHERE user = ?1 AND conversation = ?2 AND left_seq IS NULL")?
        .exists(params![user.as_bytes(), conversation.as_bytes()])
}

pub(super) fn one(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
) -> rusqlite::Result<Option<Member>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            member_columns!(),
            " FROM members m WHERE m.user = ?1 AND m.conversation = ?2"
        ))?
        .query_row(params![user.as_bytes(), conversation.as_bytes()], |row| {
            rows::member(row, 0)
        })
        .optional()
}

pub(super) fn page(
    connection: &Connection,
    conversation: ConversationId,
    after: Option<UserId>,
    limit: usize,
) -> rusqlite::Result<Vec<Member>> {
    // No id is empty, and every id is behind the empty one.
    let after = after.as_ref().map_or(&[][..], |user| user.as_bytes());
    connection
        .prepare_cached(concat!(
            "SELECT ",
            member_columns!(),
            " FROM members m WHERE m.conversation = ?1 AND m.user > ?2 AND m.left_seq IS NULL
              ORDER BY m.user LIMIT ?3"
        ))?
        .query_map(params![conversation.as_bytes(), after, sql_limit(limit)], |row| {
            rows::member(row, 0)
        })?
        .collect()
}

/// Those of `users` who are members.
pub(super) fn among(
    connection: &Connection,
    conversation: ConversationId,
    users: Vec<UserId>,
) -> rusqlite::Result<Vec<UserId>> {
    let mut members = Vec::new();
    for user in users {
        if is_member(connection, conversation, user)? {
            members.push(user);
        }
    }
    Ok(members)
}

pub(super) fn direct_partners(
    connection: &Connection,
    user: UserId,
    limit: usize,
) -> rusqlite::Result<Vec<UserId>> {
    connection
        .prepare_cached(
            "SELECT high FROM conversations WHERE kind = 'direct' AND low = ?1 AND high <> ?1
             UNION ALL
             SELECT low FROM conversations WHERE kind = 'direct' AND high = ?1 AND low <> ?1
             LIMIT ?2",
        )?
        .query_map(params![user.as_bytes(), sql_limit(limit)], |row| {
            rows::user(row, 0)
        })?
        .collect()
}

/// From the others' side: what the one who asks is a member of is looked at only where others are.
pub(super) fn acquainted(
    connection: &Connection,
    user: UserId,
    mut others: Vec<UserId>,
) -> rusqlite::Result<Vec<UserId>> {
    let mut shared = connection.prepare_cached(
        "SELECT 1 FROM members a CROSS JOIN members b ON b.user = ?2 AND b.conversation = a.conversation
         WHERE a.user = ?1 AND a.left_seq IS NULL AND b.left_seq IS NULL LIMIT 1",
    )?;
    let mut failed = None;
    others.retain(|other| {
        let knows = shared.exists(params![other.as_bytes(), user.as_bytes()]);
        knows.unwrap_or_else(|error| {
            failed = Some(error);
            false
        })
    });
    failed.map_or(Ok(others), Err)
}

/// Moves the pointer forward or leaves it; whether it moved.
pub(super) fn advance(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    (seq, ordinal): (Seq, u32),
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE members SET read_seq = ?3, read_ordinal = ?4
             WHERE user = ?1 AND conversation = ?2 AND read_seq < ?3",
        )?
        .execute(params![user.as_bytes(), conversation.as_bytes(), seq.0, ordinal])
        .map(|rows| rows == 1)
}

pub(super) fn advance_read(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    to: (Seq, u32),
) -> rusqlite::Result<Option<ReadPointer>> {
    let moved = advance(connection, conversation, user, to)?;
    connection
        .prepare_cached("SELECT read_seq, read_ordinal FROM members WHERE user = ?1 AND conversation = ?2")?
        .query_row(params![user.as_bytes(), conversation.as_bytes()], |row| {
            Ok(ReadPointer {
                moved,
                seq: Seq(row.get(0)?),
                ordinal: row.get(1)?,
            })
        })
        .optional()
}

pub(super) fn set_hidden(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    at: Option<u32>,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("UPDATE members SET hidden_at = ?3 WHERE user = ?1 AND conversation = ?2")?
        .execute(params![user.as_bytes(), conversation.as_bytes(), at])
        .map(|rows| rows == 1)
}

pub(super) fn set_notify(
    connection: &Connection,
    conversation: ConversationId,
    user: UserId,
    (notify, mute_until): (Notify, Option<Timestamp>),
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE members SET notify = ?3, mute_until = ?4 WHERE user = ?1 AND conversation = ?2",
        )?
        .execute(params![
            user.as_bytes(),
            conversation.as_bytes(),
            notify.name(),
            mute_until.map(Timestamp::as_millis),
        ])
        .map(|rows| rows == 1)
}
