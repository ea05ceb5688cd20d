use serde::{Deserialize, Serialize};

use super::manage;
use crate::app::{App, Caller, Cost, Effect, Error, Outcome, Signal, UseCase, UserSignal};
use crate::domain::conversation::{Kind, RoomName};
use crate::ids::ConversationId;
use crate::ports::storage::JoinedRoom;
use crate::views::RoomView;

/// Makes the caller a member of a room; idempotent (S-084). Watching it is the socket's own affair.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRoom {
    /// Its name.
    pub room_name: String,
}

/// The caller is a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomJoined {
    /// The room.
    pub room: RoomView,
}

impl UseCase for JoinRoom {
    type Reply = RoomJoined;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoomJoined>, Error> {
        let user = by.actor.user()?.user;
        let id = app.rooms.id_of(&self.room_name).await?;
        let room = manage::view(app, id, Some(user)).await?;
        if room.joined {
            return Ok(Outcome::of(RoomJoined { room }));
        }
        let state = app.log.state(id).await?;
        if state.conversation().archived {
            return Err(Error::Gone("the room is closed"));
        }
        by.toll.pay().await?;
        let joined = app
            .stores
            .conversations
            .join_room(id, user, state.head, app.quotas.rooms_joined_max)
            .await?;
        let (first, members) = match joined {
            JoinedRoom::Joined { first, members } => (first, members),
            JoinedRoom::TooMany => return Err(Error::QuotaExceeded("you are in as many rooms as allowed")),
            JoinedRoom::Banned => return Err(Error::Forbidden("you are banned from this room")),
        };
        let mut effects = Vec::new();
        if first && let Some(room) = RoomName::look_up(&room.name) {
            effects.push(if members <= app.quotas.audience_large {
                let event = Signal::UserJoinedRoom { room, user, members };
                Effect::Publish {
                    conversation: id,
                    event,
                }
            } else {
                let event = UserSignal::JoinedRoom { room, members };
                Effect::Tell { user, event }
            });
        }
        let room = RoomView {
            member_count: members,
            joined: true,
            ..room
        };
        Ok(Outcome {
            reply: RoomJoined { room },
            effects,
        })
    }
}

/// Ends the caller's membership; not being a member is fine (S-085).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveRoom {
    /// Its name.
    pub room_name: String,
}

/// The caller is not a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomLeft {
    /// The room.
    #[serde(skip)]
    pub conversation: ConversationId,
    /// Its name.
    pub room_name: String,
    /// Members now.
    pub member_count: u64,
}

impl UseCase for LeaveRoom {
    type Reply = RoomLeft;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoomLeft>, Error> {
        let user = by.actor.user()?.user;
        let room = app.rooms.room(&self.room_name).await?;
        let id = room.id;
        // What the room is called now; the caller may know it by a former name.
        let Kind::Room(name) = room.kind else {
            return Err(Error::NotFound("room"));
        };
        if app.rooms.is_member(id, user).await? {
            by.toll.pay().await?;
        }
        let left = app.stores.conversations.leave_room(id, user).await?;
        app.rooms.forget_member(id, user);
        let mut effects = Vec::new();
        let members = left.members;
        if left.was_member {
            let room = name.clone();
            effects.push(if members <= app.quotas.audience_large {
                let event = Signal::UserLeftRoom { room, user, members };
                Effect::Publish {
                    conversation: id,
                    event,
                }
            } else {
                let event = UserSignal::LeftRoom { room, members };
                Effect::Tell { user, event }
            });
        }
        // The last thing that the user's devices hear of the room is that they have left.
        effects.push(Effect::PutOut {
            conversation: id,
            user,
        });
        let reply = RoomLeft {
            conversation: id,
            room_name: name.to_string(),
            member_count: left.members,
        };
        Ok(Outcome { reply, effects })
    }
}
