//! Conversations with everything that is shown of them, for one member: a fixed number of questions to the store
//! however many they are (S-062).

use std::collections::HashMap;
use std::sync::Arc;

use crate::app::{App, Error};
use crate::domain::conversation::{Conversation, Member};
use crate::domain::current::CurrentMessage;
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{Glance, Head};
use crate::views::{ConversationItem, Participant, People, PublicUser};

/// A conversation, the member's row, and where its log ends.
pub(super) type Row = (Conversation, Member, Head);

/// What `user` is shown of these conversations (at most 100), in their order.
pub(super) async fn items(app: &App, user: UserId, rows: Vec<Row>) -> Result<Vec<ConversationItem>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<ConversationId> = rows.iter().map(|(conversation, ..)| conversation.id).collect();
    let glances = app.stores.conversations.glances(user, &ids).await?;
    let last: Vec<(ConversationId, Seq)> = glances
        .iter()
        .filter_map(|glance| glance.last.as_ref().map(|entry| (glance.conversation, entry.seq)))
        .collect();
    let messages = &app.stores.messages;
    let hidden = messages.hidden_across(user, &last).await?;
    let mut states: HashMap<_, _> = messages.states_across(&last).await?.into_iter().collect();
    let known = people(app, &glances).await?;
    let items = rows
        .into_iter()
        .zip(glances)
        .map(|((conversation, member, head), glance)| {
            let entry = glance.last.filter(|_| !hidden.contains(&conversation.id));
            let last = entry.map(|entry| CurrentMessage {
                entry,
                state: states.remove(&conversation.id).unwrap_or_default(),
            });
            ConversationItem {
                people: last
                    .as_ref()
                    .map_or_else(People::default, |last| People::among(&known, &last.entry)),
                last,
                unread: member.unread(head.ordinal, glance.deleted_unread),
                participants: participants(&known, &glance.members),
                participant_count: glance.member_count,
                conversation,
                member,
                head,
            }
        });
    Ok(items.collect())
}

/// One conversation as `user`, who is a member, is shown it.
pub(super) async fn item(app: &App, id: ConversationId, user: UserId) -> Result<ConversationItem, Error> {
    app.log.settle(&[id]).await?;
    let access = crate::app::access::member_of(app, id, user).await?;
    let head = app.stores.log.head(id).await?;
    let mut items = items(app, user, vec![(access.conversation, access.member, head)]).await?;
    items.pop().ok_or(Error::NotFound("conversation"))
}

/// Members and who they are. Whoever is not known is left out.
pub(super) fn participants(known: &HashMap<UserId, Arc<PublicUser>>, members: &[Member]) -> Vec<Participant> {
    let participant = |member: &Member| {
        known.get(&member.user).map(|user| Participant {
            user: user.clone(),
            role: member.role,
            joined_seq: member.joined_seq,
        })
    };
    members.iter().filter_map(participant).collect()
}

async fn people(app: &App, glances: &[Glance]) -> Result<HashMap<UserId, Arc<PublicUser>>, Error> {
    let mut ids: Vec<UserId> = Vec::new();
    for glance in glances {
        ids.extend(glance.members.iter().map(|member| member.user));
        ids.extend(glance.last.iter().flat_map(People::named_by));
    }
    Ok(app.names.get_many(ids).await?)
}
