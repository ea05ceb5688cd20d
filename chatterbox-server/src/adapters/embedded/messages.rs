//! What became of messages, by their keys in the log.

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::current::{self, Edited, MessageState, Reacted, Reactions};
use chatterbox_core::domain::emoji::Emoji;
use chatterbox_core::domain::entry::{Entry, EntryKind, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{
    HiddenMessage, HiddenPlace, MessageChange, MessageStep, MessageStore, Reply, SearchQuery, StoreError,
};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::error::store_error;
use super::{EmbeddedStore, log, search, sql_limit};

pub(super) struct EmbeddedMessages(EmbeddedStore);

impl EmbeddedMessages {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedMessages {
        EmbeddedMessages(store.clone())
    }

    /// Reads about a conversation whose log has this number; nothing is known of messages where there is no log.
    async fn read_of<T: Default + Send + 'static>(
        &self,
        conversation: ConversationId,
        read: impl FnOnce(&Connection, u32) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                log::number_of(connection, conversation)
                    .and_then(|number| {
                        number.map_or_else(|| Ok(T::default()), |number| read(connection, number))
                    })
                    .map_err(store_error)
            })
            .await
    }
}

const STATE_COLUMNS: &str = "content, mentions, edited_at, reactions";

fn state(row: &Row<'_>) -> rusqlite::Result<MessageState> {
    let edited = match row.get(0)? {
        Some(content) => Some(Edited {
            content,
            mentions: log::json(row, 1)?,
            at: Timestamp::from_millis(row.get(2)?),
        }),
        None => None,
    };
    let reactions = match row.get_ref(3)?.as_str_or_null()? {
        Some(_) => log::json::<Vec<(Emoji, Vec<UserId>)>>(row, 3)?,
        None => Vec::new(),
    };
    let reacted = reactions
        .into_iter()
        .map(|(emoji, users)| Reacted { emoji, users });
    Ok(MessageState {
        edited,
        reactions: Reactions(reacted.collect()),
    })
}

/// What became of the message with this key, if anything did.
pub(super) fn state_at(connection: &Connection, key: i64) -> rusqlite::Result<Option<MessageState>> {
    connection
        .prepare_cached(&format!(
            "SELECT {STATE_COLUMNS} FROM message_states WHERE key = ?1"
        ))?
        .query_row([key], state)
        .optional()
}

fn write_state(connection: &Connection, key: i64, state: &MessageState) -> Result<(), StoreError> {
    if *state == MessageState::default() {
        return forget_state(connection, key).map_err(store_error);
    }
    let unwritable = |error| StoreError::Corrupt(format!("a message's state can't be written: {error}"));
    let edited = state.edited.as_ref();
    let mentions = edited.map(|edited| serde_json::to_string(&edited.mentions));
    let reactions: Vec<_> = state
        .reactions
        .0
        .iter()
        .map(|one| (&one.emoji, &one.users))
        .collect();
    let reactions = (!reactions.is_empty()).then(|| serde_json::to_string(&reactions));
    let values = named_params! {
        ":key": key,
        ":content": edited.map(|edited| &edited.content),
        ":mentions": mentions.transpose().map_err(unwritable)?,
        ":edited_at": edited.map(|edited| edited.at.as_millis()),
        ":reactions": reactions.transpose().map_err(unwritable)?,
    };
    connection
        .prepare_cached(
            "INSERT INTO message_states (key, content, mentions, edited_at, reactions)
             VALUES (:key, :content, :mentions, :edited_at, :reactions)
             ON CONFLICT (key) DO UPDATE SET content = excluded.content, mentions = excluded.mentions,
                 edited_at = excluded.edited_at, reactions = excluded.reactions",
        )
        .and_then(|mut write| write.execute(values))
        .map(drop)
        .map_err(store_error)
}

fn forget_state(connection: &Connection, key: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM message_states WHERE key = ?1")?
        .execute([key])
        .map(drop)
}

/// Takes in what entries changed, each step once and in order.
pub(super) fn project(
    connection: &Connection,
    conversation: ConversationId,
    steps: &[MessageStep],
    replies: &[Reply],
) -> Result<(), StoreError> {
    if steps.is_empty() && replies.is_empty() {
        return Ok(());
    }
    let number = log::give_number(connection, conversation)?;
    for step in steps {
        take_in(connection, number, step)?;
    }
    for reply in replies {
        connection
            .prepare_cached("INSERT INTO replies (message, reply) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .and_then(|mut insert| insert.execute(params![reply.to.as_bytes(), log::key(number, reply.seq)]))
            .map_err(store_error)?;
    }
    Ok(())
}

fn take_in(connection: &Connection, number: u32, step: &MessageStep) -> Result<(), StoreError> {
    let key = log::key(number, step.message_seq);
    if is_deleted(connection, key).map_err(store_error)? {
        return Ok(());
    }
    let state = || {
        state_at(connection, key)
            .map(Option::unwrap_or_default)
            .map_err(store_error)
    };
    match &step.change {
        MessageChange::Edited(edit) => {
            let edited = Edited {
                content: edit.content.clone(),
                mentions: edit.mentions.clone(),
                at: step.at,
            };
            search::outdate(connection, number, key).map_err(store_error)?;
            connection
                .prepare_cached("INSERT INTO edits (key, edit) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                .and_then(|mut insert| insert.execute([key, log::key(number, step.seq)]))
                .map_err(store_error)?;
            let state = MessageState {
                edited: Some(edited),
                ..state()?
            };
            write_state(connection, key, &state)
        }
        MessageChange::Reacted(reaction) => {
            let mut state = state()?;
            state.reactions.apply(step.by, reaction);
            write_state(connection, key, &state)
        }
        MessageChange::Deleted => {
            search::outdate(connection, number, key).map_err(store_error)?;
            delete(connection, key, step.at)
        }
    }
}

fn is_deleted(connection: &Connection, key: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM deleted WHERE key = ?1")?
        .exists([key])
}

/// Redacts the message and its edits, and forgets what became of it.
fn delete(connection: &Connection, key: i64, at: Timestamp) -> Result<(), StoreError> {
    let edits: Vec<i64> = connection
        .prepare_cached("DELETE FROM edits WHERE key = ?1 RETURNING edit")
        .and_then(|mut edits| edits.query_map([key], |row| row.get(0))?.collect())
        .map_err(store_error)?;
    for redacted in std::iter::once(key).chain(edits) {
        redact(connection, redacted, at)?;
    }
    let forget = || {
        forget_state(connection, key)?;
        connection
            .prepare_cached("INSERT INTO deleted (key) VALUES (?1)")?
            .execute([key])
    };
    forget().map(drop).map_err(store_error)
}

fn redact(connection: &Connection, key: i64, at: Timestamp) -> Result<(), StoreError> {
    let kind: Option<EntryKind> = connection
        .prepare_cached("SELECT kind FROM entries WHERE key = ?1")
        .and_then(|mut find| find.query_row([key], |row| log::json(row, 0)).optional())
        .map_err(store_error)?;
    let Some(mut kind) = kind else {
        return Ok(());
    };
    current::redact(&mut kind, at);
    let kind = serde_json::to_string(&kind)
        .map_err(|error| StoreError::Corrupt(format!("a redacted entry can't be written: {error}")))?;
    connection
        .prepare_cached("UPDATE entries SET kind = ?2 WHERE key = ?1")
        .and_then(|mut update| update.execute(params![key, kind]))
        .map(drop)
        .map_err(store_error)
}

fn hide(
    connection: &Connection,
    user: UserId,
    message: HiddenMessage,
    hidden_max: u64,
) -> rusqlite::Result<bool> {
    let place = params![user.as_bytes(), message.conversation.as_bytes(), message.seq.0];
    let is_hidden = connection
        .prepare_cached("SELECT 1 FROM hidden WHERE user = ?1 AND conversation = ?2 AND seq = ?3")?
        .exists(place)?;
    if is_hidden {
        return Ok(true);
    }
    let hidden: u32 = connection
        .prepare_cached("SELECT count(*) FROM hidden WHERE user = ?1 AND conversation = ?2")?
        .query_row(params![user.as_bytes(), message.conversation.as_bytes()], |row| {
            row.get(0)
        })?;
    if u64::from(hidden) >= hidden_max {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO hidden (user, conversation, seq, message, hidden_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            user.as_bytes(),
            message.conversation.as_bytes(),
            message.seq.0,
            message.message.as_bytes(),
            message.at.as_millis(),
        ])?;
    Ok(true)
}

fn hidden_among(
    connection: &Connection,
    user: UserId,
    conversation: ConversationId,
    messages: Vec<Seq>,
) -> rusqlite::Result<Vec<Seq>> {
    let mut find = connection
        .prepare_cached("SELECT 1 FROM hidden WHERE user = ?1 AND conversation = ?2 AND seq = ?3")?;
    let mut hidden = Vec::new();
    for seq in messages {
        if find.exists(params![user.as_bytes(), conversation.as_bytes(), seq.0])? {
            hidden.push(seq);
        }
    }
    Ok(hidden)
}

fn deleted_above(connection: &Connection, number: u32, after: Seq, most: u32) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM deleted WHERE key > ?1 AND key <= ?2 LIMIT ?3)")?
        .query_row(
            params![log::key(number, after), log::key(number, Seq(u32::MAX)), most],
            |row| row.get(0),
        )
}

fn hidden_since(
    connection: &Connection,
    user: UserId,
    since: HiddenPlace,
    limit: usize,
) -> rusqlite::Result<Vec<HiddenMessage>> {
    connection
        .prepare_cached(
            "SELECT conversation, seq, message, hidden_at FROM hidden
             WHERE user = ?1 AND (hidden_at, conversation, seq) > (?2, ?3, ?4)
             ORDER BY hidden_at, conversation, seq LIMIT ?5",
        )?
        .query_map(
            params![
                user.as_bytes(),
                since.at.as_millis(),
                since.conversation.as_bytes(),
                since.seq.0,
                sql_limit(limit)
            ],
            |row| {
                Ok(HiddenMessage {
                    conversation: ConversationId::from_bytes(row.get(0)?),
                    seq: Seq(row.get(1)?),
                    message: EntryId::from_bytes(row.get(2)?),
                    at: Timestamp::from_millis(row.get(3)?),
                })
            },
        )?
        .collect()
}

#[async_trait]
impl MessageStore for EmbeddedMessages {
    async fn states(
        &self,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<(Seq, MessageState)>, StoreError> {
        let messages = messages.to_vec();
        self.read_of(conversation, move |connection, number| {
            let mut states = Vec::new();
            for seq in messages {
                if let Some(state) = state_at(connection, log::key(number, seq))? {
                    states.push((seq, state));
                }
            }
            Ok(states)
        })
        .await
    }

    async fn states_across(
        &self,
        messages: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, MessageState)>, StoreError> {
        let messages = messages.to_vec();
        let read = move |connection: &Connection| {
            let mut found = Vec::new();
            for (conversation, seq) in messages {
                if let Some(number) = log::number_of(connection, conversation)?
                    && let Some(state) = state_at(connection, log::key(number, seq))?
                {
                    found.push((conversation, state));
                }
            }
            Ok(found)
        };
        self.0
            .readers
            .read(move |connection| read(connection).map_err(store_error))
            .await
    }

    async fn replies(
        &self,
        conversation: ConversationId,
        to: EntryId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        self.read_of(conversation, move |connection, number| {
            connection
                .prepare_cached(
                    "SELECT reply & 0xFFFFFFFF FROM replies WHERE message = ?1 AND reply > ?2 AND reply <= ?3
                     ORDER BY reply LIMIT ?4",
                )?
                .query_map(
                    params![
                        to.as_bytes(),
                        log::key(number, after),
                        log::key(number, Seq(u32::MAX)),
                        sql_limit(limit)
                    ],
                    |row| row.get(0).map(Seq),
                )?
                .collect()
        })
        .await
    }

    async fn deleted_above(
        &self,
        conversation: ConversationId,
        after: Seq,
        most: u32,
    ) -> Result<u32, StoreError> {
        self.read_of(conversation, move |connection, number| {
            deleted_above(connection, number, after, most)
        })
        .await
    }

    async fn deleted_across(
        &self,
        above: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, u32)>, StoreError> {
        let above = above.to_vec();
        let read = move |connection: &Connection| {
            let mut found = Vec::new();
            for (conversation, after) in above {
                if let Some(number) = log::number_of(connection, conversation)? {
                    let count = deleted_above(connection, number, after, u32::MAX)?;
                    found.extend((count > 0).then_some((conversation, count)));
                }
            }
            Ok(found)
        };
        self.0
            .readers
            .read(move |connection| read(connection).map_err(store_error))
            .await
    }

    async fn hide(&self, user: UserId, message: HiddenMessage, hidden_max: u64) -> Result<bool, StoreError> {
        self.0
            .writer
            .write(move |writing| hide(&writing.connection, user, message, hidden_max).map_err(store_error))
            .await
    }

    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<Seq>, StoreError> {
        let messages = messages.to_vec();
        self.0
            .readers
            .read(move |connection| {
                hidden_among(connection, user, conversation, messages).map_err(store_error)
            })
            .await
    }

    async fn hidden_across(
        &self,
        user: UserId,
        messages: &[(ConversationId, Seq)],
    ) -> Result<Vec<ConversationId>, StoreError> {
        let messages = messages.to_vec();
        let read = move |connection: &Connection| {
            let mut found = Vec::new();
            for (conversation, seq) in messages {
                let hidden = hidden_among(connection, user, conversation, vec![seq])?;
                found.extend(hidden.first().map(|_| conversation));
            }
            Ok(found)
        };
        self.0
            .readers
            .read(move |connection| read(connection).map_err(store_error))
            .await
    }

    async fn hidden_since(
        &self,
        user: UserId,
        since: HiddenPlace,
        limit: usize,
    ) -> Result<Vec<HiddenMessage>, StoreError> {
        self.0
            .readers
            .read(move |connection| hidden_since(connection, user, since, limit).map_err(store_error))
            .await
    }

    async fn search(&self, query: SearchQuery) -> Result<Vec<Entry>, StoreError> {
        self.0
            .readers
            .read(move |connection| search::find(connection, &query))
            .await
    }
}
