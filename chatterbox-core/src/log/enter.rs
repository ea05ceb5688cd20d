//! Who becomes a member while they are connected: their connections hear the conversation from then on.
//!
//! ```text
//! an entry brings somebody in ──▶ their connections, before it is delivered      (delivery.rs, publish)
//!                             ──▶ nodes that don't watch it hear `Enter`         (relay.rs) ──▶ enter()
//! made with members           ──▶ Effect::Enter on this node, `Enter` on others  ──▶ enter()
//! the bus was away            ──▶ rows and subscriptions are compared                       (resubscribe)
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Deliveries;
use super::journal::{Mark, Since};
use super::plan::REPLAYED_MAX;
use super::subscribe::delivered_unasked;
use super::watched::Watched;
use crate::domain::entry::Seq;
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;
use crate::error::Error;
use crate::hub::{Channel, Link};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::Overview;

/// Users looked up in one question to the store.
const USERS_AT_ONCE: usize = 1_000;

impl Deliveries {
    /// Lets the connections of new members hear the conversation, above the entry `behind`: before anybody tells them
    /// of it. On this node; see [`Outgoing::enter`](super::Outgoing::enter) for the others.
    pub async fn enter(
        self: &Arc<Self>,
        conversation: ConversationId,
        users: &[UserId],
        behind: Seq,
    ) -> Result<(), Error> {
        let topic = Channel::Conversation(conversation);
        let is_deaf = |user: &&UserId| {
            let mut links = self.links_of(**user).into_iter();
            links.any(|link| !self.hub.is_subscribed(&link, &topic))
        };
        let users: Vec<UserId> = users.iter().filter(is_deaf).copied().collect();
        for some in users.chunks(USERS_AT_ONCE) {
            let watched = loop {
                let mark = self.journal.mark();
                let conversations = &self.stores.conversations;
                let members = conversations.members_among(conversation, some).await?;
                let watched = self.begun(conversation, Some(behind)).await?;
                let links = members.iter().flat_map(|user| {
                    let links = self.links_of(*user).into_iter();
                    links.map(move |link| (*user, link))
                });
                // Its last watcher may leave in this moment, and much may have happened since the mark.
                if links.fold(true, |fine, (user, link)| {
                    self.enter_one(&watched, &link, user, behind, mark) && fine
                }) {
                    break watched;
                }
            };
            // What was appended before this node listened.
            for watched in self.behind(&[watched]).await? {
                self.heal(&watched).await?;
            }
            self.forget_unwatched(conversation);
        }
        Ok(())
    }

    /// False if it has to be tried again from the beginning.
    fn enter_one(
        self: &Arc<Self>,
        watched: &Watched,
        link: &Link,
        user: UserId,
        behind: Seq,
        mark: Mark,
    ) -> bool {
        let conversation = watched.conversation;
        let topic = Channel::Conversation(conversation);
        let progress = watched.lock();
        if progress.over {
            return false;
        }
        if self.hub.is_subscribed(link, &topic) {
            return true;
        }
        match self.journal.is_out(mark, conversation, user) {
            Since::No => {}
            Since::Yes => return true,
            Since::Unknown => return false,
        }
        match progress.last {
            Some(last) if last == behind => {
                self.hub.subscribe(link, &topic);
            }
            // Others have heard more already.
            Some(last) if last > behind => {
                let (deliveries, link) = (self.clone(), link.clone());
                self.tasks.spawn_until_stopped(async move {
                    let caught_up = deliveries
                        .catch_up_newcomer(&link, user, conversation, behind, mark)
                        .await;
                    if let Err(error) = caught_up {
                        tracing::warn!(error = &error as &dyn std::error::Error,
                            "a new member's connection could not be caught up with conversation {conversation}");
                    }
                });
            }
            // The entry that brings them in is still to come.
            Some(_) | None => {}
        }
        true
    }

    /// [`resubscribe`](Deliveries::resubscribe) in a task of its own, unless that is under way.
    pub(crate) fn resubscribe_later(self: &Arc<Self>) {
        if self.resubscribing.swap(true, Ordering::AcqRel) {
            return;
        }
        let deliveries = self.clone();
        self.tasks.spawn_until_stopped(async move {
            deliveries.resubscribe().await;
            deliveries.resubscribing.store(false, Ordering::Release);
        });
    }

    /// Subscribes all connections of this node to what they should hear and don't: calls to
    /// [`enter`](super::Outgoing::enter) may have got lost with the bus. Where that fails for one, the others have theirs.
    async fn resubscribe(self: &Arc<Self>) {
        let mut users = Vec::new();
        self.hub.each_key(|key| {
            if let Channel::User(user) = key {
                users.push(*user);
            }
        });
        for user in users {
            let conversations = &self.stores.conversations;
            match conversations.overview(user, CONVERSATIONS_LISTED_MAX).await {
                Ok(overview) => {
                    for one in delivered_unasked(&overview) {
                        if let Err(error) = self.resubscribe_one(one, user).await {
                            let id = one.conversation.id;
                            tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                                "whether user {user} hears conversation {id} could not be checked; what is missing is \
                                 found by the next resume");
                        }
                    }
                }
                Err(error) => tracing::warn!(user.id = %user, error = &error as &dyn std::error::Error,
                    "the subscriptions of user {user} could not be checked; what is missing is found by the next resume"),
            }
        }
    }

    async fn resubscribe_one(self: &Arc<Self>, one: &Overview, user: UserId) -> Result<(), Error> {
        let Some((head, joined)) = self.membership(one, user).await? else {
            return Ok(());
        };
        let behind = Seq(joined.0.saturating_sub(1));
        // What is too much to replay is found by the client's next resume.
        let is_near = head.0 - behind.0 <= REPLAYED_MAX;
        let behind = if is_near { behind } else { head };
        self.enter(one.conversation.id, &[user], behind).await
    }

    /// An entry that brings somebody in was announced behind the beginning of somebody else's watching.
    pub(super) fn enter_late(self: &Arc<Self>, conversation: ConversationId, user: UserId, seq: Seq) {
        let topic = Channel::Conversation(conversation);
        let links = self.links_of(user);
        if links.iter().all(|link| self.hub.is_subscribed(link, &topic)) {
            return;
        }
        self.enter_later(conversation, vec![user], Seq(seq.0.saturating_sub(1)));
    }

    /// [`enter`](Deliveries::enter) in a task of its own.
    pub(super) fn enter_later(
        self: &Arc<Self>,
        conversation: ConversationId,
        users: Vec<UserId>,
        behind: Seq,
    ) {
        let deliveries = self.clone();
        self.tasks.spawn_until_stopped(async move {
            if let Err(error) = deliveries.enter(conversation, &users, behind).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "new members of conversation {conversation} hear it only after their next login"
                );
            }
        });
    }

    /// Before entries are delivered that bring these users in: if they have connections here, the conversation is
    /// delivered from `behind` on.
    pub(super) async fn open_for(
        self: &Arc<Self>,
        conversation: ConversationId,
        users: &[UserId],
        behind: Seq,
    ) {
        if self.has_connections(users)
            && let Err(error) = self.begun(conversation, Some(behind)).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "new members of conversation {conversation} hear it only after their next login"
            );
        }
    }
}
