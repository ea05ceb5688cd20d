use serde::{Deserialize, Serialize};

use crate::app::access::is_server_admin;
use crate::app::{Actor, App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::SettingsChange;
use crate::domain::conversation::{self, NewRoom, RoomName, RoomSummary};
use crate::domain::entry::EntryKind;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::Proposal;
use crate::ports::storage::{CreatedRoom, RoomsMax};
use crate::views::RoomView;

/// Makes a room (S-076). The caller becomes its moderator; the operator's rooms have none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateRoom {
    /// Its unique name.
    pub name: String,
    /// What it is about.
    #[serde(default)]
    pub description: Option<String>,
}

/// The room that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomCreated {
    /// The room.
    #[serde(flatten)]
    pub room: RoomView,
}

impl UseCase for CreateRoom {
    type Reply = RoomCreated;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Room;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoomCreated>, Error> {
        let creator = match by.actor {
            Actor::Operator => None,
            Actor::User(_) | Actor::Nobody => Some(by.actor.user()?.user),
        };
        let name = RoomName::parse(&self.name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let room = NewRoom {
            id: ConversationId::new(&*app.ids),
            name,
            description: description(self.description)?,
            creator,
            created_at: app.clock.now(),
        };
        let rooms_max = RoomsMax {
            made: app.quotas.rooms_made_max,
            joined: app.quotas.rooms_joined_max,
        };
        match app.stores.conversations.create_room(room, rooms_max).await? {
            CreatedRoom::Created(conversation) => {
                let members = u64::from(creator.is_some());
                let summary = RoomSummary {
                    conversation,
                    members,
                    joined: creator.is_some(),
                };
                let room = RoomView::new(&summary, 0).ok_or(Error::NotFound("room"))?;
                Ok(Outcome::of(RoomCreated { room }))
            }
            CreatedRoom::NameTaken(_) => Err(Error::DuplicateRoom),
            CreatedRoom::MadeTooMany => Err(Error::QuotaExceeded("you have made as many rooms as allowed")),
            CreatedRoom::JoinedTooMany => Err(Error::QuotaExceeded("you are in as many rooms as allowed")),
        }
    }
}

fn description(text: Option<String>) -> Result<Option<String>, Error> {
    let Some(text) = text else { return Ok(None) };
    let text =
        conversation::description(&text).map_err(|error| Error::invalid("description", error.to_string()))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Lists the rooms that are open, in order of name (S-074).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListRooms {
    /// Those behind this name.
    #[serde(default)]
    pub after: Option<RoomName>,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A page of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomList {
    /// The rooms.
    pub items: Vec<RoomView>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

impl UseCase for ListRooms {
    type Reply = RoomList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoomList>, Error> {
        let limit = self.limit.clamp(1, 100);
        let page = app
            .stores
            .conversations
            .rooms(viewer(&by.actor)?, self.after.as_ref(), limit)
            .await?;
        let ids: Vec<ConversationId> = page.rooms.iter().map(|room| room.conversation.id).collect();
        let people = people_in(app, &ids).await;
        let items = page.rooms.iter().zip(people);
        let items = items
            .filter_map(|(room, people)| RoomView::new(room, people))
            .collect();
        Ok(Outcome::of(RoomList {
            items,
            has_more: page.has_more,
        }))
    }
}

/// Looks at one room (S-075).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetRoom {
    /// Its name.
    pub name: String,
}

impl UseCase for GetRoom {
    type Reply = RoomView;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoomView>, Error> {
        let viewer = viewer(&by.actor)?;
        let id = app.rooms.id_of(&self.name).await?;
        view(app, id, viewer).await.map(Outcome::of)
    }
}

/// Closes a room for good: readable, but nothing is added (S-137). For operators and server admins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRoom {
    /// Its name.
    pub name: String,
}

/// It is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomArchived {
    /// False if it was closed before.
    pub changed: bool,
}

impl UseCase for ArchiveRoom {
    type Reply = RoomArchived;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoomArchived>, Error> {
        let by = match by.actor {
            Actor::User(principal) if is_server_admin(app, principal.user).await? => principal.user,
            Actor::User(_) => return Err(Error::Forbidden("only administrators of the server close rooms")),
            Actor::Operator => UserId::SERVER,
            Actor::Nobody => return Err(Error::Unauthenticated("log in first")),
        };
        let id = app.rooms.id_of(&self.name).await?;
        let posted = app.log.submit(
            id,
            Proposal::new(EntryId::new(&*app.ids), by, |state| {
                if state.conversation().archived {
                    return Err(Error::Gone("the room is closed"));
                }
                Ok(EntryKind::Settings(SettingsChange {
                    archived: Some(true),
                    ..SettingsChange::default()
                }))
            }),
        )?;
        match posted.await {
            Ok(_) => Ok(Outcome::of(RoomArchived { changed: true })),
            Err(Error::Gone(_)) => Ok(Outcome::of(RoomArchived { changed: false })),
            Err(error) => Err(error),
        }
    }
}

/// The room as `viewer` sees it.
pub(super) async fn view(app: &App, id: ConversationId, viewer: Option<UserId>) -> Result<RoomView, Error> {
    let summary = app
        .stores
        .conversations
        .room_summary(id, viewer)
        .await?
        .ok_or(Error::NotFound("room"))?;
    let people = people_in(app, &[id]).await.first().copied();
    RoomView::new(&summary, people.unwrap_or(0)).ok_or(Error::NotFound("room"))
}

/// How many people watch each of these rooms, on this node now or on all of them a moment ago. One question, however
/// many they are; those of this node alone when presence is away.
async fn people_in(app: &App, rooms: &[ConversationId]) -> Vec<u64> {
    let everywhere = app.presence.watchers_of(rooms, app.clock.now()).await;
    let everywhere = everywhere.unwrap_or_else(|error| {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "who watches rooms on other nodes is not known"
        );
        vec![0; rooms.len()]
    });
    let here = rooms.iter().map(|room| app.audience.people(*room));
    here.zip(everywhere)
        .map(|(here, everywhere)| here.max(everywhere))
        .collect()
}

fn viewer(actor: &Actor) -> Result<Option<UserId>, Error> {
    match actor {
        Actor::User(principal) => Ok(Some(principal.user)),
        Actor::Operator => Ok(None),
        Actor::Nobody => Err(Error::Unauthenticated("log in first")),
    }
}
