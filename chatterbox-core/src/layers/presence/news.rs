//! Telling those who may see it that somebody has come, gone, left their devices, or is not to be seen any more.
//!
//! ```text
//! Appeared, Vanished, WentAway, CameBack ─┐
//! showPresence on or off ─────────────────┼─▶ news of a user, the last counts ─▶ once a second: partners, onlookers
//! a block, or its end ────────────────────┴─▶ at once, the two of each other
//! ```

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::{CIRCLE_MAX, ESTRANGED_MAX, PARTNERS_AT_ONCE, Reporter, TOLD_AT_ONCE};
use crate::clock::Timestamp;
use crate::domain::conversation::Kind;
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;
use crate::engine::Packet;
use crate::engine::chat::encode;
use crate::error::Error;
use crate::ids::{ConversationId, UserId};
use crate::log::Subscribed;

/// What is to be told of a user.
pub(super) enum News {
    Online {
        at: Timestamp,
        circle: Option<Arc<Subscribed>>,
        /// Whether they have left all their devices meanwhile.
        away: bool,
    },
    Offline {
        last_seen: Timestamp,
    },
    /// Online, and at none of their devices, or at one again.
    Activity {
        away: bool,
        at: Timestamp,
    },
    /// They don't let others see it any more, and look offline.
    Hidden,
}

/// Puts news in the place of those that wait; nobody hears of what lasted less than a second.
pub(super) fn add(waiting: &mut HashMap<UserId, News>, user: UserId, news: News) {
    match waiting.entry(user) {
        Entry::Vacant(place) => {
            place.insert(news);
        }
        Entry::Occupied(mut place) => match (place.get_mut(), news) {
            (News::Online { away, .. }, News::Activity { away: now, .. }) => *away = now,
            // Those who believe them to be online have still to be told, and nothing else.
            (News::Hidden, News::Offline { .. } | News::Activity { .. }) => {}
            (_, news) => {
                place.insert(news);
            }
        },
    }
}

/// S-103.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceOnline {
    user_id: UserId,
    at: Timestamp,
}

/// S-104. Nobody is told when somebody was seen last who does not show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceOffline {
    user_id: UserId,
    last_seen: Option<Timestamp>,
}

/// S-092.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceAway {
    user_id: UserId,
    away: bool,
    at: Timestamp,
}

fn online(user_id: UserId, at: Timestamp) -> Packet {
    encode::event("presence:online", &PresenceOnline { user_id, at })
}

fn offline(user_id: UserId, last_seen: Option<Timestamp>) -> Packet {
    encode::event("presence:offline", &PresenceOffline { user_id, last_seen })
}

fn activity(user_id: UserId, away: bool, at: Timestamp) -> Packet {
    encode::event("presence:away", &PresenceAway { user_id, away, at })
}

/// Who hears of somebody.
struct Audience {
    /// In direct conversations.
    partners: Vec<UserId>,
    /// Onlookers of these,
    groups: Vec<ConversationId>,
    /// but not these users.
    except: Vec<UserId>,
}

impl Reporter {
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
        let is_hidden = matches!(news, News::Hidden);
        let (packets, circle) = match news {
            News::Online { at, circle, away } => {
                let away = away.then(|| activity(user, true, at));
                (
                    [Some(online(user, at)), away]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>(),
                    circle,
                )
            }
            News::Offline { last_seen } => (vec![offline(user, Some(last_seen))], None),
            News::Activity { away, at } => (vec![activity(user, away, at)], None),
            News::Hidden => (vec![offline(user, None)], None),
        };
        let circle = match circle {
            Some(circle) => circle,
            None => Arc::new(self.circle(user).await?),
        };
        let outgoing = self.deliveries.outgoing();
        if outgoing.is_none() && !self.deliveries.has_onlookers(user, &circle) {
            return Ok(());
        }
        if !is_hidden && !self.shows(user).await? {
            return Ok(());
        }
        let Audience {
            partners,
            groups,
            except,
        } = self.audience(user, &circle).await?;
        for packet in packets {
            // Onlookers hear with the first partners, so that who is both hears it once.
            let (first, rest) = partners.split_at(partners.len().min(PARTNERS_AT_ONCE));
            let rest = rest.chunks(PARTNERS_AT_ONCE);
            let rest = rest.map(|partners| (partners, &[][..], &[][..]));
            for (partners, groups, except) in [(first, &groups[..], &except[..])].into_iter().chain(rest) {
                self.deliveries
                    .tell_presence(user, partners, groups, except, &packet);
                if let Some(outgoing) = outgoing {
                    let (partners, groups) = (partners.to_vec(), groups.to_vec());
                    outgoing.presence(user, partners, groups, except.to_vec(), packet.clone());
                }
            }
        }
        Ok(())
    }

    /// Who hears of the user: who blocks and who is blocked don't hear of each other (S-135), however many they are.
    async fn audience(&self, user: UserId, circle: &Subscribed) -> Result<Audience, Error> {
        let stores = self.deliveries.stores();
        let conversations = &stores.conversations;
        let mut partners = conversations
            .direct_partners(user, CONVERSATIONS_LISTED_MAX)
            .await?;
        let mut except = stores.blocks.blockers(user, ESTRANGED_MAX + 1).await?;
        let blocked = stores.blocks.list(user, None, ESTRANGED_MAX + 1).await?;
        except.extend(blocked.into_iter().map(|block| block.user));
        if except.len() <= ESTRANGED_MAX {
            let estranged: HashSet<UserId> = except.iter().copied().collect();
            partners.retain(|partner| !estranged.contains(partner));
            let groups = circle.groups.clone();
            return Ok(Audience {
                partners,
                groups,
                except,
            });
        }
        let mut told = Vec::new();
        for partners in partners.chunks(PARTNERS_AT_ONCE) {
            let mut estranged = stores.blocks.blockers_of(user, partners).await?;
            estranged.extend(stores.blocks.blocked_by(user, partners).await?);
            told.extend(partners.iter().filter(|partner| !estranged.contains(partner)));
        }
        Ok(Audience {
            partners: told,
            groups: Vec::new(),
            except: Vec::new(),
        })
    }

    /// The user lets others see whether they are online from now on, or no longer (S-134).
    pub(super) async fn show(&mut self, user: UserId, shown: bool) -> Result<(), Error> {
        if !shown {
            if self.is_online(user).await? {
                add(&mut self.news, user, News::Hidden);
            }
        } else if self.is_online(user).await? {
            let away = !self.port.away_among(&[user]).await?.is_empty();
            let news = News::Online {
                at: self.clock.now(),
                circle: None,
                away,
            };
            add(&mut self.news, user, news);
        }
        Ok(())
    }

    /// One of the two blocks the other from now on, or no longer: they look offline to each other, or as they are
    /// (S-135).
    pub(super) async fn tell_between(&self, one: UserId, other: UserId) -> Result<(), Error> {
        let blocks = self.deliveries.stores().blocks.between(one, other).await?;
        for (user, to) in [(one, other), (other, one)] {
            if !self.is_online(user).await? || !self.shows(user).await? {
                continue;
            }
            let at = self.clock.now();
            let mut packets = vec![if blocks.any() {
                offline(user, None)
            } else {
                online(user, at)
            }];
            if !blocks.any() && !self.port.away_among(&[user]).await?.is_empty() {
                packets.push(activity(user, true, at));
            }
            let conversations = &self.deliveries.stores().conversations;
            let is_partner = conversations.direct_of(user, to).await?.is_some();
            let groups = self.circle(user).await?.groups;
            for packet in packets {
                self.deliveries.tell_presence_to(to, is_partner, &groups, &packet);
                if let Some(outgoing) = self.deliveries.outgoing() {
                    outgoing.presence_to(to, is_partner, groups.clone(), packet);
                }
            }
        }
        Ok(())
    }

    async fn is_online(&self, user: UserId) -> Result<bool, Error> {
        Ok(!self.port.online_among(&[user]).await?.is_empty())
    }

    /// Whether the user lets others see it.
    async fn shows(&self, user: UserId) -> Result<bool, Error> {
        let row = self.deliveries.stores().users.get(user).await?;
        Ok(row.is_some_and(|row| row.settings.show_presence))
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
