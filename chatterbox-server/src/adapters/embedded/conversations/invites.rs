//! Invites into groups.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::Invite;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::adapters::embedded::sql_limit;

pub(super) fn add(connection: &Connection, invite: &Invite) -> rusqlite::Result<()> {
    // Those that are over go whenever one comes, so that they don't pile up.
    connection
        .prepare_cached("DELETE FROM invites WHERE conversation = ?1 AND expires_at <= ?2")?
        .execute(params![
            invite.conversation.as_bytes(),
            invite.created_at.as_millis()
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO invites (token_hash, conversation, created_by, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (token_hash) DO NOTHING",
        )?
        .execute(params![
            invite.token_hash,
            invite.conversation.as_bytes(),
            invite.created_by.as_bytes(),
            invite.created_at.as_millis(),
            invite.expires_at.as_millis(),
        ])
        .map(drop)
}

pub(super) fn get(
    connection: &Connection,
    token_hash: [u8; 32],
    now: Timestamp,
) -> rusqlite::Result<Option<Invite>> {
    connection
        .prepare_cached(
            "SELECT conversation, created_by, created_at, expires_at FROM invites
             WHERE token_hash = ?1 AND expires_at > ?2",
        )?
        .query_row(params![token_hash, now.as_millis()], |row| {
            Ok(Invite {
                token_hash,
                conversation: ConversationId::from_bytes(row.get(0)?),
                created_by: UserId::from_bytes(row.get(1)?),
                created_at: Timestamp::from_millis(row.get(2)?),
                expires_at: Timestamp::from_millis(row.get(3)?),
            })
        })
        .optional()
}

pub(super) fn sweep(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM invites WHERE token_hash IN
             (SELECT token_hash FROM invites WHERE expires_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before.as_millis(), sql_limit(limit)])
}

pub(super) fn revoke_all(connection: &Connection, conversation: ConversationId) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("DELETE FROM invites WHERE conversation = ?1")?
        .execute([conversation.as_bytes()])
        .map(|rows| rows as u64)
}
