//! What a user's list of conversations shows: two queries for all of them, and two for a page, however long they are.

use std::collections::HashMap;
use std::sync::Arc;

use chatterbox_core::domain::conversation::Member;
use chatterbox_core::domain::entry::{Entry, Seq};
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Glance, Head, Overview};
use rusqlite::{Connection, params};

use super::rows::{self, CONVERSATION_COLUMNS, MEMBER_COLUMNS, conversation_columns, member_columns};
use crate::adapters::embedded::log::{self, entry_columns, shown};
use crate::adapters::embedded::{in_json, sql_limit};

/// The members that a glance names.
const MEMBERS_NAMED: i64 = 10;

pub(super) const IDS: &str = "SELECT conversation FROM members WHERE user = ?1 AND left_seq IS NULL LIMIT ?2";

pub(super) const OVERVIEW: &str = concat!(
    "SELECT ",
    conversation_columns!(),
    ", ",
    member_columns!(),
    ", c.projected, e.key & 0xFFFFFFFF, e.ordinal, e.gov, e.created_at
             FROM json_each(?2) asked
                 CROSS JOIN members m ON m.user = ?1 AND m.conversation = unhex(asked.value)
                 CROSS JOIN conversations c ON c.id = m.conversation
                 LEFT JOIN logs l ON l.conversation = c.id
                 LEFT JOIN entries e ON e.key = (
                     SELECT max(key) FROM entries
                     WHERE key > l.number << 32 AND key <= (l.number << 32) + 0xFFFFFFFF
                 )
             WHERE m.left_seq IS NULL"
);

pub(super) const GLANCES: &str = concat!(
    "SELECT c.id, c.members,
                 (SELECT count(*) FROM deleted d WHERE d.key > (l.number << 32) + ifnull(m.read_seq, 0)
                      AND d.key <= (l.number << 32) + 0xFFFFFFFF), ",
    entry_columns!(),
    " FROM json_each(?2) asked CROSS JOIN conversations c ON c.id = unhex(asked.value)
                 LEFT JOIN members m ON m.user = ?1 AND m.conversation = c.id
                 LEFT JOIN logs l ON l.conversation = c.id
                 LEFT JOIN entries e ON e.key = (
                     SELECT e.key FROM entries e
                     WHERE e.key > l.number << 32 AND e.key <= (l.number << 32) + 0xFFFFFFFF AND ",
    shown!(),
    " ORDER BY e.key DESC LIMIT 1)"
);

pub(super) const FIRST_MEMBERS: &str = concat!(
    "SELECT ",
    member_columns!(),
    " FROM json_each(?1) asked CROSS JOIN members m
          WHERE m.conversation = unhex(asked.value) AND m.user IN (
              SELECT user FROM members
              WHERE conversation = unhex(asked.value) AND left_seq IS NULL ORDER BY user LIMIT ?2
          )
          ORDER BY asked.key, m.user"
);

/// What the user is a member of.
pub(super) fn ids(
    connection: &Connection,
    user: UserId,
    limit: usize,
) -> rusqlite::Result<Vec<ConversationId>> {
    connection
        .prepare_cached(IDS)?
        .query_map(params![user.as_bytes(), sql_limit(limit)], |row| {
            Ok(ConversationId::from_bytes(row.get(0)?))
        })?
        .collect()
}

/// Of these conversations, with the heads of their unsettled ends.
pub(super) fn overview(
    connection: &Connection,
    user: UserId,
    ids: &[ConversationId],
    unsettled: &HashMap<ConversationId, Head>,
) -> rusqlite::Result<Vec<Overview>> {
    connection
        .prepare_cached(OVERVIEW)?
        .query_map(params![user.as_bytes(), in_json(ids)], |row| {
            let conversation = rows::conversation(row, 0)?;
            let projected = CONVERSATION_COLUMNS + MEMBER_COLUMNS;
            let head = projected + 1;
            let settled = match row.get::<_, Option<u32>>(head)? {
                Some(_) => log::head_of(row, head)?,
                None => Head::EMPTY,
            };
            let unsettled = unsettled.get(&conversation.id).copied();
            Ok(Overview {
                head: unsettled.filter(|head| head.seq > settled.seq).unwrap_or(settled),
                member: rows::member(row, CONVERSATION_COLUMNS)?,
                projected: Seq(row.get(projected)?),
                conversation,
            })
        })?
        .collect()
}

pub(super) fn glances(
    connection: &Connection,
    user: UserId,
    ids: &[ConversationId],
    unsettled: &HashMap<ConversationId, Arc<Entry>>,
) -> rusqlite::Result<Vec<Glance>> {
    let asked = in_json(ids);
    let mut members = first_members(connection, &asked)?;
    let found: HashMap<ConversationId, Glance> = connection
        .prepare_cached(GLANCES)?
        .query_map(params![user.as_bytes(), asked], |row| {
            let conversation = ConversationId::from_bytes(row.get(0)?);
            let settled = row.get::<_, Option<u32>>(3)?.map(Seq);
            let last = match (unsettled.get(&conversation), settled) {
                (Some(last), settled) if settled.is_none_or(|seq| seq < last.seq) => Some(Entry::clone(last)),
                (_, Some(_)) => Some(log::entry(conversation, row, 3)?),
                (_, None) => None,
            };
            let glance = Glance {
                conversation,
                member_count: u64::from(row.get::<_, u32>(1)?),
                members: members.remove(&conversation).unwrap_or_default(),
                last,
                deleted_unread: row.get(2)?,
            };
            Ok((conversation, glance))
        })?
        .collect::<Result<_, _>>()?;
    let of_nothing = |conversation| Glance {
        conversation,
        member_count: 0,
        members: Vec::new(),
        last: None,
        deleted_unread: 0,
    };
    let glance = |id: &ConversationId| found.get(id).cloned().unwrap_or_else(|| of_nothing(*id));
    Ok(ids.iter().map(glance).collect())
}

fn first_members(
    connection: &Connection,
    asked: &str,
) -> rusqlite::Result<HashMap<ConversationId, Vec<Member>>> {
    let mut members: HashMap<ConversationId, Vec<Member>> = HashMap::new();
    let mut query = connection.prepare_cached(FIRST_MEMBERS)?;
    let found = query.query_map(params![asked, MEMBERS_NAMED], |row| rows::member(row, 0))?;
    for member in found {
        let member = member?;
        members.entry(member.conversation).or_default().push(member);
    }
    Ok(members)
}
