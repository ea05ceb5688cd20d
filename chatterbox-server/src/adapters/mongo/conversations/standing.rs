//! How a conversation stands, as one snapshot.

use std::collections::{BTreeMap, BTreeSet};

use chatterbox_core::domain::conversation::Role;
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::standing::{Seat, Standing};
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::MongoConversations;
use super::begin::Patience;
use super::intent::Work;
use super::rows::ConversationRow;
use crate::adapters::mongo::error::corrupt;
use crate::adapters::mongo::ids::{Id as _, pairs_behind, seq};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeatRow {
    user: ObjectId,
    role: Role,
    #[serde(default)]
    joined_seq: i64,
}

#[derive(Deserialize)]
struct BanRow {
    user: ObjectId,
}

impl MongoConversations {
    /// One round trip: the conversation, its rows, and the conversation again, one after the other. If it stands at
    /// the same entry both times and nothing was half done, the rows between are of that entry.
    pub(super) async fn read_standing(
        &self,
        id: ConversationId,
    ) -> Result<Option<(Standing, Seq)>, StoreError> {
        let mut patience = Patience::new();
        loop {
            let pipeline = [
                doc! { "$match": { "_id": id.oid() } },
                look(
                    "members",
                    doc! { "conversation": id.oid(), "seat": true },
                    "seats",
                ),
                look(
                    "bans",
                    doc! { "_id": pairs_behind(id, None), "banned": true },
                    "bans",
                ),
                look("conversations", doc! { "_id": id.oid() }, "again"),
            ];
            let aggregate = self.conversations.aggregate(pipeline);
            let found: Vec<Document> = self.shared.gate.aggregated(aggregate).await?;
            let Some(mut found) = found.into_iter().next() else {
                return Ok(None);
            };
            let seats: Vec<SeatRow> = take(&mut found, "seats")?;
            let bans: Vec<BanRow> = take(&mut found, "bans")?;
            let again: Vec<ConversationRow> = take(&mut found, "again")?;
            let row: ConversationRow = mongodb::bson::deserialize_from_document(found)
                .map_err(|error| corrupt(error.to_string()))?;
            let is_half_done = |row: &ConversationRow| row.intent.as_ref().is_some_and(Work::is_half_done);
            let at = row.projected()?;
            let mut is_whole = !is_half_done(&row);
            for again in &again {
                is_whole &= !is_half_done(again) && again.projected()? == at;
            }
            if is_whole {
                return Ok(Some((standing(&row, seats, bans)?, at)));
            }
            if patience.wait(row.rev).await? && is_half_done(&row) {
                self.finish(&row).await?;
            }
        }
    }
}

fn look(collection: &str, filter: Document, into: &str) -> Document {
    doc! { "$lookup": { "from": collection, "pipeline": [{ "$match": filter }], "as": into } }
}

fn take<T: DeserializeOwned>(found: &mut Document, field: &str) -> Result<Vec<T>, StoreError> {
    let Some(Bson::Array(rows)) = found.remove(field) else {
        return Err(corrupt(format!("an aggregation has lost {field}")));
    };
    let read = |row| mongodb::bson::deserialize_from_bson(row).map_err(|error| corrupt(error.to_string()));
    rows.into_iter().map(read).collect()
}

fn standing(row: &ConversationRow, seats: Vec<SeatRow>, bans: Vec<BanRow>) -> Result<Standing, StoreError> {
    let mut members = BTreeMap::new();
    for row in seats {
        let seat = Seat {
            role: row.role,
            joined_seq: seq(row.joined_seq)?,
        };
        members.insert(UserId::from_oid(row.user), seat);
    }
    let bans: BTreeSet<UserId> = bans.into_iter().map(|row| UserId::from_oid(row.user)).collect();
    Ok(Standing {
        conversation: row.conversation()?,
        members,
        bans,
    })
}
