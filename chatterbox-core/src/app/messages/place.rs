use crate::app::rooms::Shape;
use crate::app::{App, Error};
use crate::domain::conversation::{History, Kind};
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, UserId};
use crate::log::State;

/// Where somebody is about to write or to change something, and what those are told who are no members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) id: ConversationId,
    stranger: fn() -> Error,
}

impl Place {
    /// By id: to strangers it does not exist.
    pub(super) fn by_id(text: &str) -> Result<Place, Error> {
        Ok(Place {
            id: crate::app::access::conversation_id(text)?,
            stranger: || Error::NotFound("conversation"),
        })
    }

    /// By the name of a room: everybody may know of it.
    pub(super) async fn by_room_name(app: &App, name: &str) -> Result<Place, Error> {
        Ok(Place {
            id: app.rooms.id_of(name).await?,
            stranger: || Error::NotAMember,
        })
    }

    /// Lets members in, as far as stored rows tell; for plain members of rooms this is the decision.
    pub(super) async fn enter(self, app: &App, user: UserId) -> Result<Shape, Error> {
        if !app.rooms.is_member(self.id, user).await? {
            return Err((self.stranger)());
        }
        let shape = app.rooms.shape(self.id).await?;
        shape.ok_or(Error::NotFound("conversation"))
    }

    /// The rule, in the lane: who is in it and not banned writes, unless it is closed.
    pub(super) fn may_write(self, state: &State, user: UserId) -> Result<(), Error> {
        let standing = &state.standing;
        let is_in = match standing.conversation.kind {
            Kind::Direct | Kind::Group => standing.members.contains_key(&user),
            Kind::Room(_) => !standing.bans.contains(&user),
        };
        if !is_in {
            return Err((self.stranger)());
        }
        if standing.conversation.archived {
            return Err(Error::Gone("the conversation is closed"));
        }
        Ok(())
    }
}

/// Between two of whom one blocks the other nothing new is said in private (S-135).
pub(super) async fn refuse_blocked(app: &App, shape: Shape) -> Result<(), Error> {
    match shape {
        Shape::Direct(one, other) if one != other => {
            if app.stores.blocks.between(one, other).await?.any() {
                return Err(Error::Blocked);
            }
            Ok(())
        }
        Shape::Direct(..) | Shape::Group | Shape::Room => Ok(()),
    }
}

/// The number above which the user sees entries, in the lane.
pub(super) fn sees_above(state: &State, user: UserId) -> Seq {
    match (state.conversation().history, state.standing.members.get(&user)) {
        (History::SinceJoin, Some(seat)) => Seq(seat.joined_seq.0.saturating_sub(1)),
        (History::All, _) | (History::SinceJoin, None) => Seq::ZERO,
    }
}
