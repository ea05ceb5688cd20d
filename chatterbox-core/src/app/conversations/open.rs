use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::item;
use super::members::{Refused, blocked_with};
use crate::app::access::user_id;
use crate::app::messages::IdList;
use crate::app::{App, Caller, Cost, Effect, Error, FieldError, Outcome, UseCase, UserSignal};
use crate::domain::conversation::{
    self, Conversation, History, Member, NewDirect, NewGroup, Role, Visibility,
};
use crate::domain::entry::Seq;
use crate::domain::limits::{IDEMPOTENCY_KEY_BYTES_MAX, IDS_PER_CALL_MAX, PARTICIPANTS_SHOWN};
use crate::ids::{ConversationId, UserId};
use crate::views::{ConversationCreated, ConversationItem};

/// Unknown users named in a refusal.
const UNKNOWN_NAMED_MAX: usize = 10;

/// Opens the direct conversation with somebody: one per pair, also with oneself (S-003, S-063). Opening shows it again
/// if it was hidden.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenDirect {
    /// With whom.
    pub user_id: String,
}

/// It is open.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectOpened {
    /// The conversation.
    pub conversation: ConversationItem,
    /// Whether this call made it.
    pub created: bool,
}

impl UseCase for OpenDirect {
    type Reply = DirectOpened;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Contact;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<DirectOpened>, Error> {
        let user = by.actor.user()?.user;
        let peer = user_id(&self.user_id)?;
        if app.stores.users.get(peer).await?.is_none() {
            return Err(Error::NotFound("user"));
        }
        if peer != user && app.stores.blocks.between(user, peer).await?.any() {
            return Err(Error::Blocked);
        }
        let was_hidden = is_hidden(app, user, peer).await?;
        let direct = NewDirect {
            id: ConversationId::new(&*app.ids),
            creator: user,
            peer,
            created_at: app.clock.now(),
        };
        let opened = app.stores.conversations.open_direct(direct).await?;
        let id = opened.conversation.id;
        let mut effects = Vec::new();
        if opened.is_new {
            let mut members = vec![(user, Role::Member), (peer, Role::Member)];
            members.dedup();
            effects = tell_created(app, opened.conversation, user, members).await?;
        } else if was_hidden {
            let event = UserSignal::ConversationHidden {
                conversation: id,
                hidden: false,
            };
            effects.push(Effect::Tell { user, event });
        }
        let reply = DirectOpened {
            conversation: item::item(app, id, user).await?,
            created: opened.is_new,
        };
        Ok(Outcome { reply, effects })
    }
}

/// Whether the user has a direct conversation with the peer, and hides it.
async fn is_hidden(app: &App, user: UserId, peer: UserId) -> Result<bool, Error> {
    let conversations = &app.stores.conversations;
    let Some(direct) = conversations.direct_of(user, peer).await? else {
        return Ok(false);
    };
    let member = conversations.member(direct.id, user).await?;
    Ok(member.is_some_and(|member| member.hidden_at.is_some()))
}

/// Makes a group with its first members; the caller owns it (S-004, S-064).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateGroup {
    /// Its title.
    pub name: String,
    /// The other first members; who is named twice, or is the caller, is no matter.
    #[serde(default)]
    pub participant_ids: IdList<IDS_PER_CALL_MAX>,
    /// What it is about.
    #[serde(default)]
    pub description: Option<String>,
    /// Who may join by themselves.
    #[serde(default)]
    pub visibility: Visibility,
    /// What later members see of the time before them.
    #[serde(default)]
    pub history: History,
    /// A key of the caller's own: the same group isn't made twice.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// The group is there.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupCreated {
    /// The group.
    #[serde(flatten)]
    pub conversation: ConversationItem,
    /// Who is not in it although named, and why.
    pub not_added: Vec<Refused>,
    /// Whether this call made it.
    #[serde(skip)]
    pub created: bool,
}

impl UseCase for CreateGroup {
    type Reply = GroupCreated;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Contact;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<GroupCreated>, Error> {
        let creator = by.actor.user()?.user;
        let (mut group, named) = self.check(app, creator)?;
        refuse_unknown(app, &named).await?;
        let blocked = blocked_with(app, creator, &named).await?;
        group.members = named
            .iter()
            .copied()
            .filter(|user| !blocked.contains(user))
            .collect();
        let wanted = group.clone();
        let created = app.stores.conversations.create_group(group).await?;
        let conversation = created.conversation;
        if !created.is_new && !is_same(app, &conversation, &wanted).await? {
            return Err(Error::Conflict("this idempotency key was used for another group"));
        }
        let id = conversation.id;
        let mut effects = Vec::new();
        if created.is_new {
            let others = wanted.members.iter().map(|user| (*user, Role::Member));
            let members = std::iter::once((creator, Role::Owner)).chain(others).collect();
            effects = tell_created(app, conversation, creator, members).await?;
        }
        let reply = GroupCreated {
            conversation: item::item(app, id, creator).await?,
            not_added: blocked.into_iter().map(Refused::blocked).collect(),
            created: created.is_new,
        };
        Ok(Outcome { reply, effects })
    }
}

impl CreateGroup {
    /// The group if it keeps the rules, without its members yet, and who is named.
    fn check(self, app: &App, creator: UserId) -> Result<(NewGroup, Vec<UserId>), Error> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, rule: String| {
            wrong.push(FieldError {
                field: field.to_owned(),
                rule,
            });
        };
        let title = conversation::title(&self.name).map_err(|error| note("name", error.to_string()));
        let description = conversation::description(self.description.as_deref().unwrap_or_default())
            .map_err(|error| note("description", error.to_string()));
        let key_fits = |key: &String| {
            (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control)
        };
        if self.idempotency_key.as_ref().is_some_and(|key| !key_fits(key)) {
            note(
                "Idempotency-Key",
                format!("1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes without control characters"),
            );
        }
        let (Ok(title), Ok(description), true) = (title, description, wrong.is_empty()) else {
            return Err(Error::Validation(wrong));
        };
        let mut named = self.participant_ids.parse::<UserId>("participantIds")?;
        named.retain(|user| *user != creator);
        if named.len() as u64 >= app.quotas.group_members_max {
            return Err(Error::GroupFull);
        }
        let group = NewGroup {
            id: ConversationId::new(&*app.ids),
            title,
            description: Some(description).filter(|text| !text.is_empty()),
            visibility: self.visibility,
            history: self.history,
            creator,
            members: Vec::new(),
            idempotency_key: self.idempotency_key,
            created_at: app.clock.now(),
        };
        Ok((group, named))
    }
}

/// All of them have an account; the others are named (S-004).
async fn refuse_unknown(app: &App, named: &[UserId]) -> Result<(), Error> {
    let known = app.stores.users.get_many(named).await?;
    let unknown: Vec<FieldError> = named
        .iter()
        .filter(|id| known.iter().all(|user| user.id != **id))
        .take(UNKNOWN_NAMED_MAX)
        .map(|id| FieldError {
            field: "participantIds".to_owned(),
            rule: format!("there is no user {id}"),
        })
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Error::Validation(unknown))
    }
}

/// Whether the group that the key was used for is the one wanted now. Once its members or settings have changed
/// nobody can tell any more: then it is.
async fn is_same(app: &App, made: &Conversation, wanted: &NewGroup) -> Result<bool, Error> {
    let members_max = usize::try_from(app.quotas.group_members_max)
        .unwrap_or(usize::MAX)
        .clamp(1, 1000);
    let members = app
        .stores
        .conversations
        .members(made.id, None, members_max)
        .await?;
    if app.stores.log.head(made.id).await?.gov > Seq::ZERO {
        return Ok(true);
    }
    let is_wanted = |member: &Member| member.user == wanted.creator || wanted.members.contains(&member.user);
    Ok(made.title.as_ref() == Some(&wanted.title)
        && made.description == wanted.description
        && made.visibility == wanted.visibility
        && made.history == wanted.history
        && members.len() == wanted.members.len() + 1
        && members.iter().all(is_wanted))
}

/// `conversation-created` to all devices of all its members, which hear the conversation from now on.
async fn tell_created(
    app: &App,
    conversation: Conversation,
    created_by: UserId,
    mut members: Vec<(UserId, Role)>,
) -> Result<Vec<Effect>, Error> {
    members.sort_unstable_by_key(|(user, _)| *user);
    let ids: Vec<UserId> = members.iter().map(|(user, _)| *user).collect();
    let known = app.names.get_many(ids.iter().copied()).await?;
    let shown = members.iter().take(PARTICIPANTS_SHOWN);
    let created = Arc::new(ConversationCreated {
        participants: shown
            .filter_map(|(user, role)| Some((known.get(user)?.clone(), *role)))
            .collect(),
        participant_count: members.len() as u64,
        created_by,
        conversation,
    });
    // First they hear the conversation, then of it: what is written from then on reaches them.
    let mut effects = vec![Effect::Opened {
        conversation: created.conversation.id,
        members: ids.clone(),
    }];
    effects.extend(ids.into_iter().map(|user| Effect::Tell {
        user,
        event: UserSignal::ConversationCreated(created.clone()),
    }));
    Ok(effects)
}
