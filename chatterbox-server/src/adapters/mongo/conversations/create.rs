//! How conversations come to be: their document first, which has everything that is unique and names the members who
//! are to be added. From then on they are there, whole (`begin`).

use chatterbox_core::domain::conversation::{
    Conversation, History, Kind, NewDirect, NewGroup, NewRoom, Role, Visibility,
};
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::{Created, CreatedRoom, RoomsMax, StoreError};
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use super::MongoConversations;
use super::intent::{Founder, Work};
use super::rows::ConversationRow;
use crate::adapters::mongo::error::{corrupt, unless_duplicate, unsettled};
use crate::adapters::mongo::ids::{Id as _, pair_key};
use crate::adapters::mongo::slots;

/// The slot of a room that a user made.
#[derive(Deserialize)]
struct SlotRow {
    slot: i64,
}

impl MongoConversations {
    /// Puts a new one in and adds its members; false if something that is unique about it is there already.
    async fn make(&self, row: &ConversationRow) -> Result<bool, StoreError> {
        let insert = self.conversations.insert_one(row);
        let is_new = unless_duplicate(self.shared.gate.call(insert.into_future()).await)?;
        if is_new {
            self.finish(row).await?;
        }
        Ok(is_new)
    }

    /// One that was there, once its first members are in.
    async fn made_before(
        &self,
        row: ConversationRow,
        id: chatterbox_core::ids::ConversationId,
    ) -> Result<Created, StoreError> {
        let row = self.whole(row).await?;
        Ok(Created {
            is_new: row.conversation_id() == id,
            conversation: row.conversation()?,
        })
    }

    /// 6 round trips: the name, the creator's rooms, their place in it (2), the room, its moderator; and 1 to end.
    pub(super) async fn make_room(
        &self,
        room: NewRoom,
        rooms_max: RoomsMax,
    ) -> Result<CreatedRoom, StoreError> {
        let (id, creator) = (room.id, room.creator);
        let made = self.try_make_room(room, rooms_max).await?;
        let is_mine = match &made {
            CreatedRoom::Created(_) => true,
            CreatedRoom::NameTaken(existing) => existing.id == id,
            CreatedRoom::MadeTooMany | CreatedRoom::JoinedTooMany => false,
        };
        if let Some(creator) = creator.filter(|_| !is_mine) {
            self.give_place_back(id, creator).await;
        }
        Ok(made)
    }

    async fn try_make_room(&self, room: NewRoom, rooms_max: RoomsMax) -> Result<CreatedRoom, StoreError> {
        let conversation = Conversation {
            id: room.id,
            kind: Kind::Room(room.name.clone()),
            title: None,
            description: room.description,
            visibility: Visibility::Public,
            history: History::All,
            creator: room.creator,
            created_at: room.created_at,
            archived: false,
        };
        let members: Vec<UserId> = room.creator.into_iter().collect();
        let founders = members.iter().map(|user| founder(*user, Role::Moderator));
        let intent = Work::Create {
            founders: founders.collect(),
        };
        let mut row = ConversationRow::new(&conversation, &members, intent);
        for _ in 0..slots::ATTEMPTS {
            if let Some(existing) = self.find_row(doc! { "names": room.name.as_str() }).await? {
                let existing = self.whole(existing).await?;
                return Ok(CreatedRoom::NameTaken(existing.conversation()?));
            }
            if let Some(creator) = room.creator {
                let taken = self.rooms_made_by(creator).await?;
                row.slot = slots::free(&taken, 0, rooms_max.made);
                if row.slot.is_none() {
                    return Ok(CreatedRoom::MadeTooMany);
                }
                if !self.take_place(room.id, creator, rooms_max.joined).await? {
                    return Ok(CreatedRoom::JoinedTooMany);
                }
            }
            if self.make(&row).await? {
                return Ok(CreatedRoom::Created(conversation));
            }
        }
        Err(unsettled())
    }

    async fn rooms_made_by(&self, creator: UserId) -> Result<Vec<i64>, StoreError> {
        let rows = self.conversations.clone_with_type::<SlotRow>();
        let find = rows
            .find(doc! { "creator": creator.oid(), "slot": { "$exists": true } })
            .projection(doc! { "_id": 0, "slot": 1 });
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(|row| row.slot).collect())
    }

    pub(super) async fn direct_row(
        &self,
        (low, high): (UserId, UserId),
    ) -> Result<Option<ConversationRow>, StoreError> {
        self.find_row(doc! { "pair": pair_key(low, high) }).await
    }

    /// 2 round trips if it is there, else 4.
    pub(super) async fn make_direct(&self, direct: NewDirect) -> Result<Created, StoreError> {
        let (low, high) = direct.pair();
        let conversation = Conversation {
            id: direct.id,
            kind: Kind::Direct,
            title: None,
            description: None,
            visibility: Visibility::Private,
            history: History::All,
            creator: Some(direct.creator),
            created_at: direct.created_at,
            archived: false,
        };
        let members = if low == high { vec![low] } else { vec![low, high] };
        let founders = members.iter().map(|user| Founder {
            // Nobody is their own partner.
            peer: members
                .iter()
                .find(|other| *other != user)
                .map(|other| other.oid()),
            ..founder(*user, Role::Member)
        });
        let intent = Work::Create {
            founders: founders.collect(),
        };
        let mut row = ConversationRow::new(&conversation, &members, intent);
        row.pair = Some(pair_key(low, high));
        for _ in 0..2 {
            if let Some(existing) = self.direct_row((low, high)).await? {
                let created = self.made_before(existing, direct.id).await?;
                self.hide(created.conversation.id, direct.creator, None).await?;
                return Ok(created);
            }
            if self.make(&row).await? {
                return Ok(Created {
                    conversation,
                    is_new: true,
                });
            }
        }
        Err(corrupt(format!("the id {} is taken", direct.id)))
    }

    /// 4 round trips.
    pub(super) async fn make_group(&self, group: NewGroup) -> Result<Created, StoreError> {
        let conversation = Conversation {
            id: group.id,
            kind: Kind::Group,
            title: Some(group.title),
            description: group.description,
            visibility: group.visibility,
            history: group.history,
            creator: Some(group.creator),
            created_at: group.created_at,
            archived: false,
        };
        let mut members = vec![group.creator];
        members.extend(group.members);
        let founders = members.iter().map(|user| {
            let role = if *user == group.creator {
                Role::Owner
            } else {
                Role::Member
            };
            founder(*user, role)
        });
        let intent = Work::Create {
            founders: founders.collect(),
        };
        let mut row = ConversationRow::new(&conversation, &members, intent);
        row.key.clone_from(&group.idempotency_key);
        let mut same: Vec<Document> = vec![doc! { "_id": group.id.oid() }];
        same.extend(
            group
                .idempotency_key
                .map(|key| doc! { "creator": group.creator.oid(), "key": key }),
        );
        for _ in 0..2 {
            for same in &same {
                if let Some(existing) = self.find_row(same.clone()).await? {
                    return self.made_before(existing, group.id).await;
                }
            }
            if self.make(&row).await? {
                return Ok(Created {
                    conversation,
                    is_new: true,
                });
            }
        }
        Err(unsettled())
    }
}

fn founder(user: UserId, role: Role) -> Founder {
    Founder {
        user: user.oid(),
        role,
        peer: None,
    }
}
