//! Who hears that somebody came or went.

use std::sync::Arc;

use serde::Serialize;

use super::reporter::Reporter;
use crate::clock::Timestamp;
use crate::domain::conversation::Kind;
use crate::engine::chat::encode;
use crate::error::Error;
use crate::ids::UserId;
use crate::log::Subscribed;

/// Users told about in one turn, so that the lease is renewed in time.
const TOLD_AT_ONCE: usize = 256;
/// Conversations of a user whose members are told.
const CIRCLE_MAX: usize = 5_000;
/// People a user has direct conversations with, or blocks, as far as they are looked at.
const PEOPLE_MAX: usize = 1_000;

/// What is to be told of a user.
pub(super) enum News {
    Online {
        at: Timestamp,
        circle: Option<Arc<Subscribed>>,
    },
    Offline {
        last_seen: Timestamp,
    },
}

/// S-103.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceOnline {
    user_id: UserId,
    at: Timestamp,
}

/// S-104.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceOffline {
    user_id: UserId,
    last_seen: Timestamp,
}

impl Reporter {
    /// Tells of some.
    pub(super) async fn tell(&mut self) {
        let users: Vec<UserId> = self.news.keys().take(TOLD_AT_ONCE).copied().collect();
        for user in users {
            let Some(news) = self.news.remove(&user) else {
                continue;
            };
            if let Err(error) = self.tell_one(user, news).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the coming or going of user {user} could not be told"
                );
            }
        }
    }

    async fn tell_one(&self, user: UserId, news: News) -> Result<(), Error> {
        let (packet, circle) = match news {
            News::Online { at, circle } => {
                let event = PresenceOnline { user_id: user, at };
                (encode::event("presence:online", &event), circle)
            }
            News::Offline { last_seen } => {
                let event = PresenceOffline {
                    user_id: user,
                    last_seen,
                };
                (encode::event("presence:offline", &event), None)
            }
        };
        let circle = match circle {
            Some(circle) => circle,
            None => Arc::new(self.circle(user).await?),
        };
        let outgoing = self.deliveries.outgoing();
        if outgoing.is_none() && !self.deliveries.has_onlookers(user, &circle) {
            return Ok(());
        }
        let stores = self.deliveries.stores();
        let row = stores.users.get(user).await?;
        if !row.is_some_and(|row| row.settings.show_presence) {
            return Ok(());
        }
        let partners = stores.conversations.direct_partners(user, PEOPLE_MAX).await?;
        // Who blocks and who is blocked don't hear of each other (S-135).
        let mut except = stores.blocks.blockers_of(user, &partners).await?;
        let blocked = stores.blocks.list(user, None, PEOPLE_MAX).await?;
        except.extend(blocked.into_iter().map(|block| block.user));
        self.deliveries
            .tell_presence(user, &partners, &circle.groups, &except, &packet);
        if let Some(outgoing) = outgoing {
            outgoing.presence(user, partners, circle.groups.clone(), except, packet);
        }
        Ok(())
    }

    async fn circle(&self, user: UserId) -> Result<Subscribed, Error> {
        let conversations = &self.deliveries.stores().conversations;
        let mut circle = Subscribed::default();
        for one in conversations.overview(user, CIRCLE_MAX).await? {
            match one.conversation.kind {
                Kind::Direct => circle.directs.push(one.conversation.id),
                Kind::Group => circle.groups.push(one.conversation.id),
                Kind::Room(_) => {}
            }
        }
        Ok(circle)
    }
}
