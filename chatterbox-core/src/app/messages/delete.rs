use serde::{Deserialize, Serialize};

use super::MessageChanged;
use super::change::{message_for, message_id, shown, submit};
use super::place::Place;
use crate::app::access::{is_server_admin, member_of};
use crate::app::rooms::Shape;
use crate::app::{App, Caller, Cost, Effect, Error, Outcome, UseCase, UserSignal};
use crate::domain::change::Delete;
use crate::domain::entry::EntryKind;
use crate::domain::rights::{Acts, Right, may};
use crate::ids::{EntryId, UserId};
use crate::log::{Decided, Proposal, State};
use crate::ports::storage::HiddenMessage;
use crate::views::event::MessageRef;

/// Takes a message out, for everybody or for the caller alone; twice is once (S-131).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteMessage {
    /// Where.
    pub conversation_id: String,
    /// Which message.
    pub message_id: String,
    /// For whom.
    #[serde(default)]
    pub scope: Scope,
}

/// For whom a message is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// For everybody: its content is gone for good.
    #[default]
    All,
    /// For the caller, who doesn't see it any more.
    Me,
}

/// The message is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MessageDeleted(pub MessageChanged);

impl UseCase for DeleteMessage {
    type Reply = MessageDeleted;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Message;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessageDeleted>, Error> {
        let user = by.actor.user()?.user;
        let place = Place::by_id(&self.conversation_id)?;
        let id = message_id(&self.message_id)?;
        match self.scope {
            Scope::All => delete(app, place, id, user).await,
            Scope::Me => hide(app, place, id, user).await,
        }
    }
}

async fn delete(
    app: &App,
    place: Place,
    id: EntryId,
    user: UserId,
) -> Result<Outcome<MessageDeleted>, Error> {
    let is_server_admin = is_server_admin_of(app, place, user).await?;
    if !is_server_admin {
        place.enter(app, user).await?;
    }
    let entry = shown(app, place, id).await?;
    let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
        place.may_write(state, user)?;
        let message = message_for(state, id, user)?;
        if message.entry.sender != user && !manages(state, user, is_server_admin) {
            return Err(Error::Forbidden(
                "only its author and who manages the conversation delete a message",
            ));
        }
        if message.deleted_at().is_some() {
            return Ok(Decided::new());
        }
        Ok(Decided::from_iter([EntryKind::Delete(Delete {
            message: message.entry.id,
            message_seq: message.entry.seq,
            author: message.entry.sender,
        })]))
    });
    let changed = submit(app, place, &entry, proposal).await?;
    Ok(Outcome::of(MessageDeleted(changed)))
}

/// Whether the user may take out messages of a room as an administrator of the server, a member of it or not.
async fn is_server_admin_of(app: &App, place: Place, user: UserId) -> Result<bool, Error> {
    match app.rooms.shape(place.id).await? {
        Some(Shape::Room) => is_server_admin(app, user).await,
        Some(Shape::Direct(..) | Shape::Group) | None => Ok(false),
    }
}

fn manages(state: &State, user: UserId, is_server_admin: bool) -> bool {
    let kind = &state.conversation().kind;
    let by_role = state.standing.role(user);
    by_role.is_some_and(|role| may(kind, Acts::As(role), Right::DeleteMessages))
        || is_server_admin && may(kind, Acts::AsServerAdmin, Right::DeleteMessages)
}

/// No entry: nobody else learns of it but the user's other devices.
async fn hide(app: &App, place: Place, id: EntryId, user: UserId) -> Result<Outcome<MessageDeleted>, Error> {
    let access = member_of(app, place.id, user).await?;
    let entry = shown(app, place, id).await?;
    if entry.seq <= access.member.sees_above(&access.conversation) {
        return Err(Error::NotFound("message"));
    }
    let hidden = HiddenMessage {
        conversation: place.id,
        seq: entry.seq,
        message: id,
        at: app.clock.now(),
    };
    if !app
        .stores
        .messages
        .hide(user, hidden, app.quotas.hidden_messages_max)
        .await?
    {
        return Err(Error::QuotaExceeded(
            "you have deleted as many messages for yourself here as allowed",
        ));
    }
    let reply = MessageDeleted(MessageChanged {
        message: MessageRef::of(&entry),
        seq: None,
    });
    Ok(Outcome::of(reply).with(Effect::Tell {
        user,
        event: UserSignal::MessageHidden {
            conversation: place.id,
            message: MessageRef::of(&entry),
        },
    }))
}
