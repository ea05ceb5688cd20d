//! What a user's list of conversations shows, with a fixed number of questions however long it is, but for the ends of
//! the logs: one command looks at 25 of them (`log::tails`).

use std::collections::HashMap;

use chatterbox_core::domain::conversation::Member;
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Glance, Overview, StoreError};
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;

use super::MongoConversations;
use super::rows::ConversationRow;
use crate::adapters::mongo::ids::{self, Id as _};
use crate::adapters::mongo::log::{heads_of, last_shown_of};
use crate::adapters::mongo::messages::deleted_above;

impl MongoConversations {
    /// 3 round trips, one after the other: where the user is, what these conversations stand at, and then the rows and
    /// the heads. The order matters: a row that is read behind what the rows stand at can't be older than that.
    pub(super) async fn read_overview(
        &self,
        user: UserId,
        limit: usize,
    ) -> Result<Vec<Overview>, StoreError> {
        let ids = self.memberships(user, limit).await?;
        let conversations = self.conversation_rows(&ids).await?;
        let (members, heads) = tokio::try_join!(
            self.current_rows(ids.iter().map(|id| (*id, user))),
            heads_of(&self.shared, &ids),
        )?;
        let mut members: HashMap<ObjectId, _> =
            members.into_iter().map(|row| (row.conversation, row)).collect();
        let mut overview = Vec::with_capacity(ids.len());
        for (id, head) in ids.iter().zip(heads) {
            // Somebody may have left meanwhile.
            if let (Some(row), Some(member)) = (conversations.get(id), members.remove(&id.oid())) {
                overview.push(Overview {
                    conversation: row.conversation()?,
                    member: Member::try_from(member)?,
                    head,
                    projected: row.projected()?,
                });
            }
        }
        Ok(overview)
    }

    /// 3 round trips: the conversations, which name their first members; then rows and last entries; then what was
    /// deleted.
    pub(super) async fn read_glances(
        &self,
        user: UserId,
        ids: &[ConversationId],
    ) -> Result<Vec<Glance>, StoreError> {
        let conversations = self.conversation_rows(ids).await?;
        let fronts = conversations.iter().flat_map(|(id, row)| {
            let front = row.front.iter().map(|user| (*id, UserId::from_oid(*user)));
            front.chain([(*id, user)])
        });
        let (rows, mut last) = tokio::try_join!(
            self.current_rows(fronts.collect::<std::collections::BTreeSet<_>>()),
            last_shown_of(&self.shared, ids),
        )?;
        let mut read = HashMap::new();
        let mut members: HashMap<ConversationId, Vec<Member>> = HashMap::new();
        for row in rows {
            let member = Member::try_from(row)?;
            if member.user == user {
                read.insert(member.conversation, member.read_seq);
            }
            members.entry(member.conversation).or_default().push(member);
        }
        let above = |id: &ConversationId| (*id, read.get(id).copied().unwrap_or(Seq::ZERO));
        let above: Vec<_> = conversations.keys().map(above).collect();
        let deleted = deleted_above(&self.shared, &above).await?;
        let mut deleted: HashMap<ConversationId, u32> = deleted.into_iter().collect();
        let mut glances = Vec::with_capacity(ids.len());
        for id in ids {
            let row = conversations.get(id);
            let mut members = members.get(id).cloned().unwrap_or_default();
            members.retain(|member| row.is_some_and(|row| row.front.contains(&member.user.oid())));
            members.sort_by_key(|member| member.user);
            glances.push(Glance {
                conversation: *id,
                member_count: row.map_or(Ok(0), ConversationRow::members)?,
                members,
                last: last.remove(id),
                deleted_unread: deleted.remove(id).unwrap_or(0),
            });
        }
        Ok(glances)
    }

    async fn conversation_rows(
        &self,
        ids: &[ConversationId],
    ) -> Result<HashMap<ConversationId, ConversationRow>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let find = self
            .conversations
            .find(doc! { "_id": { "$in": ids::oids(ids) } })
            .batch_size(ids::batch(ids.len()));
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(|row| (row.conversation_id(), row)).collect())
    }
}
