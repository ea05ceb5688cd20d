//! What a member sets for themselves: nobody else hears of it, their other devices do.

use serde::{Deserialize, Serialize};

use crate::app::access::{conversation_id, member_of};
use crate::app::{App, Caller, Effect, Error, Outcome, UseCase, UserSignal};
use crate::clock::Timestamp;
use crate::domain::conversation::Notify;
use crate::ids::ConversationId;
use crate::views::Notifications;

/// Leaves a conversation out of the caller's list until something is written in it, or shows it again (S-063).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetHidden {
    /// Which.
    pub conversation_id: String,
    /// Leave out, or show.
    pub hidden: bool,
}

/// So it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenSet {
    /// Which.
    pub conversation_id: ConversationId,
    /// Left out, or shown.
    pub hidden: bool,
}

impl UseCase for SetHidden {
    type Reply = HiddenSet;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<HiddenSet>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        member_of(app, id, user).await?;
        let at = if self.hidden {
            Some(app.stores.log.head(id).await?.ordinal)
        } else {
            None
        };
        if !app.stores.conversations.set_hidden(id, user, at).await? {
            return Err(Error::NotFound("conversation"));
        }
        let event = UserSignal::ConversationHidden {
            conversation: id,
            hidden: self.hidden,
        };
        let reply = HiddenSet {
            conversation_id: id,
            hidden: self.hidden,
        };
        Ok(Outcome::of(reply).with(Effect::Tell { user, event }))
    }
}

/// Sets which messages of a conversation notify the caller (S-122).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetNotifications {
    /// Of which.
    pub conversation_id: String,
    /// Which.
    pub level: Notify,
    /// None before this moment.
    #[serde(default)]
    pub mute_until: Option<Timestamp>,
}

/// So it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationsSaved {
    /// Of which.
    pub conversation_id: ConversationId,
    /// Which.
    #[serde(flatten)]
    pub notifications: Notifications,
}

impl UseCase for SetNotifications {
    type Reply = NotificationsSaved;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<NotificationsSaved>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        member_of(app, id, user).await?;
        let notifications = Notifications {
            level: self.level,
            mute_until: self.mute_until,
        };
        let conversations = &app.stores.conversations;
        if !conversations
            .set_notify(id, user, self.level, self.mute_until)
            .await?
        {
            return Err(Error::NotFound("conversation"));
        }
        let event = UserSignal::NotificationsSet {
            conversation: id,
            notifications,
        };
        let reply = NotificationsSaved {
            conversation_id: id,
            notifications,
        };
        Ok(Outcome::of(reply).with(Effect::Tell { user, event }))
    }
}
