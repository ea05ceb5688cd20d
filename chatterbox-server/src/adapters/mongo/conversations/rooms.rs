//! Rooms: their names, and joining and leaving them.
//!
//! Who joins or makes one takes a place first: a row marked `gone` with a number among the rooms the user may be in (`slots`). That
//! may fail, and says so. Coming in is an intent then, which can't fail any more but for a ban: those come by intents as
//! well, so it sees the bans as they are at its place in the order. A place of a node that died is free after a day, or
//! taken up when the user joins again.

use chatterbox_core::domain::conversation::{RoomName, RoomSummary};
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Head, JoinedRoom, LeftRoom, RoomPage, StoreError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, doc};
use serde::Deserialize;

use super::begin::Begun;
use super::intent::Work;
use super::joins::CameIn;
use super::rows::{ConversationRow, Sort};
use super::{MongoConversations, missing};
use crate::adapters::mongo::error::{corrupt, unless_duplicate, unsettled};
use crate::adapters::mongo::ids::{self, Id as _, pair_key};
use crate::adapters::mongo::slots;

#[derive(Deserialize)]
struct BanRow {
    user: ObjectId,
}

/// One of a user's rooms.
#[derive(Deserialize)]
struct PlaceRow {
    #[serde(default)]
    slot: Option<i64>,
}

impl MongoConversations {
    /// 1 round trip.
    pub(super) async fn claim(&self, name: &RoomName, room: ConversationId) -> Result<bool, StoreError> {
        let claim = self.conversations.update_one(
            doc! { "_id": room.oid(), "kind": Sort::Room.name() },
            doc! { "$addToSet": { "names": name.as_str() } },
        );
        match self.shared.gate.call(claim.into_future()).await {
            Ok(claimed) => Ok(claimed.matched_count == 1),
            Err(failure) if failure.is_duplicate() => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// 2 round trips.
    pub(super) async fn room_page(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError> {
        let mut listed = doc! { "listed": true };
        if let Some(after) = after {
            listed.insert("name", doc! { "$gt": after.as_str() });
        }
        // One more tells whether there are more.
        let find = self
            .conversations
            .find(listed)
            .sort(doc! { "name": 1 })
            .limit(ids::limit(limit.saturating_add(1)))
            .batch_size(ids::batch(limit.saturating_add(1)));
        let mut rows = self.shared.gate.all(find).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        Ok(RoomPage {
            rooms: self.summaries(rows, viewer).await?,
            has_more,
        })
    }

    pub(super) async fn one_room(
        &self,
        id: ConversationId,
        viewer: Option<UserId>,
    ) -> Result<Option<RoomSummary>, StoreError> {
        let row = self
            .find_row(doc! { "_id": id.oid(), "kind": Sort::Room.name() })
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let mut summaries = self.summaries(vec![self.counted(row).await?], viewer).await?;
        Ok(summaries.pop())
    }

    async fn summaries(
        &self,
        rows: Vec<ConversationRow>,
        viewer: Option<UserId>,
    ) -> Result<Vec<RoomSummary>, StoreError> {
        let mut joined = Vec::new();
        if let Some(viewer) = viewer.filter(|_| !rows.is_empty()) {
            let places = rows.iter().map(|row| (row.conversation_id(), viewer));
            let members = self.current_rows(places).await?;
            joined.extend(members.into_iter().map(|member| member.conversation));
        }
        let summary = |row: ConversationRow| {
            Ok(RoomSummary {
                conversation: row.conversation()?,
                members: row.members()?,
                joined: joined.contains(&row.id),
            })
        };
        rows.into_iter().map(summary).collect()
    }

    /// 2 round trips if the user is in it, else 10 or so: a place, and the intent, which all share who come at once.
    pub(super) async fn join(
        &self,
        room: ConversationId,
        user: UserId,
        head: Head,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        for _ in 0..slots::ATTEMPTS {
            let (found, mine, is_banned) = tokio::try_join!(
                self.row(room),
                self.current_rows([(room, user)]),
                self.is_banned(room, user),
            )?;
            let Some(found) = found.filter(|row| row.kind == Sort::Room) else {
                return Err(corrupt(format!("there is no room {room} to join")));
            };
            if !mine.is_empty() {
                return Ok(JoinedRoom::Joined {
                    first: false,
                    members: found.members()?,
                });
            }
            if is_banned {
                return Ok(JoinedRoom::Banned);
            }
            if !self.take_place(room, user, rooms_max).await? {
                return Ok(JoinedRoom::TooMany);
            }
            match self.come_in(room, user, head).await? {
                CameIn::Yes { first } => {
                    return Ok(JoinedRoom::Joined {
                        first,
                        members: self.row(room).await?.map_or(Ok(0), |row| row.members())?,
                    });
                }
                // Look again why.
                CameIn::No => {}
            }
        }
        Err(unsettled())
    }

    /// Whether there is a place for the user now; also one that an earlier call took.
    pub(super) async fn take_place(
        &self,
        room: ConversationId,
        user: UserId,
        rooms_max: u64,
    ) -> Result<bool, StoreError> {
        let key = pair_key(room, user);
        let all_places = self.members.clone_with_type::<PlaceRow>();
        for _ in 0..slots::ATTEMPTS {
            let rooms = doc! {
                "user": user.oid(), "kind": Sort::Room.name(),
                "$or": [{ "in": true }, { "slot": { "$exists": true } }],
            };
            let find = all_places.find(rooms).projection(doc! { "slot": 1 });
            let mine = self
                .members
                .find_one(doc! { "_id": key.clone(), "slot": { "$exists": true } });
            let (places, mine) = tokio::join!(
                self.shared.gate.all(find),
                self.shared.gate.call(mine.into_future()),
            );
            if mine?.is_some() {
                return Ok(true);
            }
            let places = places?;
            let taken: Vec<i64> = places.iter().filter_map(|place| place.slot).collect();
            let Some(slot) = slots::free(&taken, places.len() - taken.len(), rooms_max) else {
                return Ok(false);
            };
            // A row that is there is of an earlier membership.
            let free = doc! { "_id": key.clone(), "gone": { "$exists": true }, "slot": { "$exists": false } };
            let update = doc! {
                "$set": { "slot": slot },
                "$currentDate": { "gone": true },
                "$setOnInsert": {
                    "conversation": room.oid(), "user": user.oid(), "kind": Sort::Room.name(),
                    "role": "member", "in": false, "was": false, "rev": 0_i64,
                },
            };
            let take = self.members.update_one(free, update).upsert(true);
            if unless_duplicate(self.shared.gate.call(take.into_future()).await)? {
                return Ok(true);
            }
            // Another call of the user has come in with this room, or taken the number: look again.
            if !self.current_rows([(room, user)]).await?.is_empty() {
                return Ok(true);
            }
        }
        Err(unsettled())
    }

    /// Of a room that has not come to be. Else it is free after a day.
    pub(super) async fn give_place_back(&self, room: ConversationId, user: UserId) {
        let unused = doc! { "_id": pair_key(room, user), "gone": { "$exists": true }, "rev": 0_i64 };
        let delete = self.members.delete_one(unused);
        if let Err(failure) = self.shared.gate.call(delete.into_future()).await {
            let error = StoreError::from(failure);
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a place in a room that was not made stays taken for a day"
            );
        }
    }

    pub(super) async fn is_banned(&self, room: ConversationId, user: UserId) -> Result<bool, StoreError> {
        Ok(!self.banned_among(room, &[user]).await?.is_empty())
    }

    pub(super) async fn banned_among(
        &self,
        room: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<ObjectId>, StoreError> {
        let keys: Vec<Binary> = users.iter().map(|user| pair_key(room, *user)).collect();
        let bans = self.shared.database.collection::<BanRow>("bans");
        let find = bans
            .find(doc! { "_id": { "$in": keys }, "banned": true })
            .batch_size(ids::batch(users.len()));
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(|row| row.user).collect())
    }

    /// 1 round trip if the user isn't in it, else 8 or so.
    pub(super) async fn leave(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError> {
        let mut was_member = false;
        let (found, mine) = tokio::try_join!(self.row(room), self.current_rows([(room, user)]))?;
        let Some(mut found) = found else {
            return Ok(LeftRoom {
                was_member,
                members: 0,
            });
        };
        if !mine.is_empty() && found.kind == Sort::Room {
            let leave = Work::Leave { user: user.oid() };
            let Begun::Done { rev, touched } = self.begin(room, &doc! {}, &leave).await? else {
                return Err(missing(room));
            };
            // A later one than this call's: they came in again since.
            was_member = touched.first().is_some_and(|row| row.rev >= rev);
            found = self.row(room).await?.ok_or_else(|| missing(room))?;
        }
        Ok(LeftRoom {
            was_member,
            members: self.counted(found).await?.members()?,
        })
    }
}
