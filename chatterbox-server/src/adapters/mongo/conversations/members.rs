//! Rows of members: one per user and conversation, by `_id` in order of user.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::conversation::{Member, Notify};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{ReadPointer, StoreError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Document, doc};
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use super::MongoConversations;
use super::rows::{MemberRow, Sort, bson, pointer, there};
use crate::adapters::mongo::ids::{self, Id as _, long, pair_key, pairs_behind, stamp};

/// What a user may be a member of when it is looked for what two share; more than anybody is.
const MEMBERSHIPS_MAX: usize = 5_000;
/// Rows that one command asks for.
const AT_ONCE: usize = 1_000;

#[derive(Deserialize)]
struct PartnerRow {
    peer: ObjectId,
}

#[derive(Deserialize)]
struct SharingRow {
    #[serde(rename = "_id")]
    user: ObjectId,
}

#[derive(Deserialize)]
struct MembershipRow {
    conversation: ObjectId,
}

impl MongoConversations {
    /// Rows of whatever state.
    pub(super) async fn member_rows(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<MemberRow>, StoreError> {
        let keys = users.iter().map(|user| pair_key(conversation, *user)).collect();
        self.rows_of(keys, doc! {}).await
    }

    /// Rows of those who are members now.
    pub(super) async fn current_rows(
        &self,
        places: impl IntoIterator<Item = (ConversationId, UserId)>,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let keys = places
            .into_iter()
            .map(|(conversation, user)| pair_key(conversation, user));
        self.rows_of(keys.collect(), doc! { "in": true }).await
    }

    async fn rows_of(&self, keys: Vec<Binary>, filter: Document) -> Result<Vec<MemberRow>, StoreError> {
        let mut rows = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            let mut filter = filter.clone();
            filter.insert("_id", doc! { "$in": keys.to_vec() });
            let find = self.members.find(filter).batch_size(ids::batch(keys.len()));
            rows.extend(self.shared.gate.all(find).await?);
        }
        Ok(rows)
    }

    fn place(conversation: ConversationId, user: UserId) -> Document {
        let mut place = there();
        place.insert("_id", pair_key(conversation, user));
        place
    }

    pub(super) async fn one_member(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<Member>, StoreError> {
        let find = self
            .members
            .find_one(MongoConversations::place(conversation, user));
        let row = self.shared.gate.call(find.into_future()).await?;
        row.map(Member::try_from).transpose()
    }

    pub(super) async fn member_page(
        &self,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let behind = pairs_behind(conversation, after.map(UserId::oid));
        let find = self
            .members
            .find(doc! { "_id": behind, "in": true })
            .sort(doc! { "_id": 1 })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        let rows = self.shared.gate.all(find).await?;
        rows.into_iter().map(Member::try_from).collect()
    }

    pub(super) async fn among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let rows = self
            .current_rows(users.iter().map(|user| (conversation, *user)))
            .await?;
        let members: std::collections::BTreeSet<ObjectId> = rows.into_iter().map(|row| row.user).collect();
        let is_member = |user: &&UserId| members.contains(&user.oid());
        Ok(users.iter().filter(is_member).copied().collect())
    }

    pub(super) async fn partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let partners = self.members.clone_with_type::<PartnerRow>();
        let find = partners
            .find(doc! {
                "user": user.oid(), "in": true, "kind": Sort::Direct.name(), "peer": { "$exists": true },
            })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit))
            .projection(doc! { "_id": 0, "peer": 1 });
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(|row| UserId::from_oid(row.peer)).collect())
    }

    /// The conversations that somebody is a member of.
    pub(super) async fn memberships(
        &self,
        user: UserId,
        limit: usize,
    ) -> Result<Vec<ConversationId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let memberships = self.members.clone_with_type::<MembershipRow>();
        let find = memberships
            .find(doc! { "user": user.oid(), "in": true })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit))
            .projection(doc! { "_id": 0, "conversation": 1 });
        let rows = self.shared.gate.all(find).await?;
        let conversation = |row: MembershipRow| ConversationId::from_oid(row.conversation);
        Ok(rows.into_iter().map(conversation).collect())
    }

    /// 2 round trips.
    pub(super) async fn who_shares(
        &self,
        user: UserId,
        others: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let mine = self.memberships(user, MEMBERSHIPS_MAX).await?;
        let mine: Vec<ObjectId> = mine.into_iter().map(ConversationId::oid).collect();
        let others_there = doc! {
            "user": { "$in": others.iter().map(|other| other.oid()).collect::<Vec<_>>() }, "in": true,
            "conversation": { "$in": mine },
        };
        // One row for each of them, however many conversations they share.
        let pipeline = [
            doc! { "$match": others_there },
            doc! { "$group": { "_id": "$user" } },
        ];
        let shared = self.members.aggregate(pipeline);
        let rows: Vec<SharingRow> = self.shared.gate.aggregated(shared).await?;
        let shares = |other: &&UserId| rows.iter().any(|row| row.user == other.oid());
        Ok(others.iter().filter(shares).copied().collect())
    }

    /// 1 round trip if it moves, else 2.
    pub(super) async fn advance(
        &self,
        conversation: ConversationId,
        user: UserId,
        read: (Seq, u32),
    ) -> Result<Option<ReadPointer>, StoreError> {
        let mut behind = MongoConversations::place(conversation, user);
        behind.insert("readSeq", doc! { "$lt": long(read.0.0) });
        let advance = self
            .members
            .find_one_and_update(behind, doc! { "$set": pointer(read) })
            .return_document(ReturnDocument::After);
        let moved = self.shared.gate.call(advance.into_future()).await?;
        let at = |member: Member, moved| ReadPointer {
            moved,
            seq: member.read_seq,
            ordinal: member.read_ordinal,
        };
        if let Some(row) = moved {
            return Ok(Some(at(Member::try_from(row)?, true)));
        }
        let stays = self.one_member(conversation, user).await?;
        Ok(stays.map(|member| at(member, false)))
    }

    pub(super) async fn hide(
        &self,
        conversation: ConversationId,
        user: UserId,
        hidden_at: Option<u32>,
    ) -> Result<bool, StoreError> {
        let change = if let Some(ordinal) = hidden_at {
            doc! { "$set": { "hiddenAt": long(ordinal) } }
        } else {
            doc! { "$unset": { "hiddenAt": "" } }
        };
        self.set(conversation, user, change).await
    }

    pub(super) async fn notify(
        &self,
        conversation: ConversationId,
        user: UserId,
        (notify, mute_until): (Notify, Option<Timestamp>),
    ) -> Result<bool, StoreError> {
        let mut set = doc! { "notify": bson(notify)? };
        let mut change = Document::new();
        match mute_until {
            Some(until) => {
                set.insert("muteUntil", stamp(until));
            }
            None => {
                change.insert("$unset", doc! { "muteUntil": "" });
            }
        }
        change.insert("$set", set);
        self.set(conversation, user, change).await
    }

    async fn set(
        &self,
        conversation: ConversationId,
        user: UserId,
        change: Document,
    ) -> Result<bool, StoreError> {
        let update = self
            .members
            .update_one(MongoConversations::place(conversation, user), change);
        let updated = self.shared.gate.call(update.into_future()).await?;
        Ok(updated.matched_count == 1)
    }
}
