use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::leave::closed;
use super::{Manager, managed, not_direct};
use crate::app::access::conversation_id;
use crate::app::{App, Caller, Error, FieldError, Outcome, UseCase};
use crate::domain::change::SettingsChange;
use crate::domain::conversation::{self, Conversation, History, Kind, RoomName, Visibility};
use crate::domain::entry::EntryKind;
use crate::domain::rights::Right;
use crate::ids::{ConversationId, EntryId};
use crate::log::{Decided, Proposal, State};
use crate::views::SettingsView;

/// Changes the settings of a group or room; what is not given stays (S-066). In a room `name` is its unique name, and
/// the old one goes on leading to it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateConversation {
    /// Which.
    pub conversation_id: String,
    /// A title, or a room's name.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is about; an empty text takes it away.
    #[serde(default)]
    pub description: Option<String>,
    /// Who may join a group by themselves.
    #[serde(default)]
    pub visibility: Option<Visibility>,
    /// What later members of a group see of the time before them.
    #[serde(default)]
    pub history: Option<History>,
    /// Only if the settings are still of this version.
    #[serde(default)]
    pub if_version: Option<String>,
}

/// The settings as they are now.
#[derive(Debug, Clone)]
pub struct SettingsSaved {
    /// The conversation.
    pub conversation: Conversation,
}

impl SettingsSaved {
    /// As everyone sees them.
    pub fn view(&self) -> SettingsView<'_> {
        SettingsView::new(&self.conversation)
    }
}

impl Serialize for SettingsSaved {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view().serialize(serializer)
    }
}

/// Names the settings as they are: equal for equal settings, on every node.
pub fn settings_version(conversation: &Conversation) -> String {
    let json = serde_json::to_vec(&SettingsView::new(conversation)).expect("settings have texts for keys");
    crate::auth::hex(&digest::digest(&digest::SHA256, &json).as_ref()[..8])
}

impl UseCase for UpdateConversation {
    type Reply = SettingsSaved;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<SettingsSaved>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let (conversation, manager) = managed(app, id, user).await?;
        not_direct(&conversation)?;
        let change = self.check(&conversation)?;
        if let Some(name) = &change.name {
            // Whoever may not rename the room claims no name for it either.
            decide(
                &app.log.state(id).await?,
                manager,
                &change,
                self.if_version.as_deref(),
            )?;
            if !app.stores.conversations.claim_room_name(name, id).await? {
                return Err(Error::DuplicateRoom);
            }
        }
        let if_version = self.if_version;
        let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
            decide(state, manager, &change, if_version.as_deref())
        });
        app.log.submit(id, proposal)?.await?;
        let conversation = app.stores.conversations.get(id).await?;
        let conversation = conversation.ok_or(Error::NotFound("conversation"))?;
        Ok(Outcome::of(SettingsSaved { conversation }))
    }
}

impl UpdateConversation {
    /// The change if it keeps the rules.
    fn check(&self, of: &Conversation) -> Result<SettingsChange, Error> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, rule: String| {
            wrong.push(FieldError {
                field: field.to_owned(),
                rule,
            });
        };
        let mut change = SettingsChange::default();
        let is_room = matches!(of.kind, Kind::Room(_));
        match (&self.name, is_room) {
            (None, _) => {}
            (Some(name), true) => match RoomName::parse(name) {
                Ok(name) => change.name = Some(name),
                Err(error) => note("name", error.to_string()),
            },
            (Some(name), false) => match conversation::title(name) {
                Ok(title) => change.title = Some(title),
                Err(error) => note("name", error.to_string()),
            },
        }
        if let Some(text) = &self.description {
            match conversation::description(text) {
                Ok(text) => change.description = Some(text),
                Err(error) => note("description", error.to_string()),
            }
        }
        if is_room && self.visibility.is_some() {
            note("visibility", "a room is public".to_owned());
        }
        if is_room && self.history.is_some() {
            note("history", "a room shows all of it".to_owned());
        }
        if !wrong.is_empty() {
            return Err(Error::Validation(wrong));
        }
        change.visibility = self.visibility;
        change.history = self.history;
        Ok(change)
    }
}

/// What a change does where the conversation stands.
fn decide(
    state: &State,
    by: Manager,
    change: &SettingsChange,
    if_version: Option<&str>,
) -> Result<Decided, Error> {
    by.check(&state.standing, Right::Configure)?;
    let conversation = state.conversation();
    if if_version.is_some_and(|wanted| settings_version(conversation) != wanted) {
        return Err(Error::Outdated);
    }
    let change = news(change, conversation);
    if change == SettingsChange::default() {
        return Ok(Decided::new());
    }
    Ok(smallvec![EntryKind::Settings(change)])
}

/// The change without what is so already.
fn news(change: &SettingsChange, current: &Conversation) -> SettingsChange {
    let mut news = change.clone();
    if news.title == current.title {
        news.title = None;
    }
    if matches!((&news.name, &current.kind), (Some(name), Kind::Room(current)) if name == current) {
        news.name = None;
    }
    if news.description.as_deref() == Some(current.description.as_deref().unwrap_or_default()) {
        news.description = None;
    }
    if news.visibility == Some(current.visibility) {
        news.visibility = None;
    }
    if news.history == Some(current.history) {
        news.history = None;
    }
    news
}

/// Closes a group for good: readable for its members, but nothing is added (S-137). Being closed already is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloseConversation {
    /// Which.
    pub conversation_id: String,
}

/// It is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationClosed {
    /// Which.
    pub conversation_id: ConversationId,
}

impl UseCase for CloseConversation {
    type Reply = ConversationClosed;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationClosed>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let (conversation, manager) = managed(app, id, user).await?;
        not_direct(&conversation)?;
        let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
            match manager.check(&state.standing, Right::Close) {
                Ok(()) => Ok(smallvec![closed()]),
                // Closed already, by somebody who may.
                Err(Error::Gone(_)) => Ok(Decided::new()),
                Err(error) => Err(error),
            }
        });
        app.log.submit(id, proposal)?.await?;
        Ok(Outcome::of(ConversationClosed { conversation_id: id }))
    }
}
