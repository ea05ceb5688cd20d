//! Events that are in no log: typing, receipts, who is online. Who reads slowly misses them.

use super::Deliveries;
use super::envelope::Reach;
use super::subscribe::Subscribed;
use crate::engine::Packet;
use crate::hub::{Channel, ConnectionId, Delivery, Link};
use crate::ids::{ConversationId, UserId};

impl Deliveries {
    /// An event about a conversation. A watcher who reads slowly misses it.
    pub fn signal(&self, conversation: ConversationId, reach: Reach, packet: &Packet) {
        let topic = Channel::Conversation(conversation);
        match reach {
            Reach::Watchers => {
                self.hub.publish(&topic, packet, Delivery::Droppable, None);
            }
            Reach::But(user) => {
                self.hub
                    .publish_except(&topic, packet, Delivery::Droppable, &self.connections_of(user));
            }
            Reach::Besides(user) => {
                for link in self.links_of(user) {
                    if !self.hub.is_subscribed(&link, &topic) {
                        link.send(packet.clone());
                    }
                }
            }
        }
    }

    /// Somebody came or went: told to those who have a direct conversation with them, and to those who have one of
    /// their groups before their eyes (S-103), each once, but not to `except`.
    pub(crate) fn tell_presence(
        &self,
        user: UserId,
        partners: &[UserId],
        groups: &[ConversationId],
        except: &[UserId],
        packet: &Packet,
    ) {
        let mut told = self.connections_of(user);
        for other in except {
            told.extend(self.connections_of(*other));
        }
        let partners = partners.iter().map(|user| Channel::User(*user));
        for topic in partners.chain(groups.iter().map(|id| Channel::Looking(*id))) {
            self.hub.with_topic(&topic, |topic| {
                topic.publish_except(packet, Delivery::Droppable, &told);
                told.extend(topic.links().iter().map(Link::id));
            });
        }
    }

    /// What [`tell_presence`](Deliveries::tell_presence) tells of somebody, to the devices of one user alone: of a
    /// partner all, else those that have one of these groups before their eyes.
    pub(crate) fn tell_presence_to(
        &self,
        user: UserId,
        partner: bool,
        groups: &[ConversationId],
        packet: &Packet,
    ) {
        for link in self.links_of(user) {
            let looks = |id: &ConversationId| self.hub.is_subscribed(&link, &Channel::Looking(*id));
            if partner || groups.iter().any(looks) {
                link.send_droppable(packet.clone());
            }
        }
    }

    /// Whether somebody else on this node could hear of the user's coming and going.
    pub(crate) fn has_onlookers(&self, user: UserId, circle: &Subscribed) -> bool {
        let own = self.connections_of(user);
        let directs = circle.directs.iter().map(|id| Channel::Conversation(*id));
        let mut topics = directs.chain(circle.groups.iter().map(|id| Channel::Looking(*id)));
        topics.any(|topic| {
            self.hub.with_topic(&topic, |topic| {
                topic.links().iter().any(|link| !own.contains(&link.id()))
            })
        })
    }

    fn connections_of(&self, user: UserId) -> Vec<ConnectionId> {
        self.hub.with_topic(&Channel::User(user), |topic| {
            topic.links().iter().map(Link::id).collect()
        })
    }
}
