//! Who watches rooms on this node (S-074).

use std::sync::PoisonError;

use super::Deliveries;
use crate::hub::{Channel, Link};
use crate::ids::{ConversationId, UserId};

impl Deliveries {
    /// A connection of this node watches the room.
    pub fn note_room(&self, room: ConversationId) {
        self.rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(room);
    }

    /// Who watches the rooms of this node.
    pub(crate) fn people_in_rooms(&self) -> Vec<(ConversationId, Vec<UserId>)> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::with_capacity(rooms.len());
        rooms.retain(|room| {
            let people = self.people_in(*room);
            let is_watched = !people.is_empty();
            if is_watched {
                found.push((*room, people));
            }
            is_watched
        });
        found
    }

    /// Who watches a conversation on this node, each once.
    pub(super) fn people_in(&self, conversation: ConversationId) -> Vec<UserId> {
        let topic = Channel::Conversation(conversation);
        let mut people: Vec<UserId> = self.hub.with_topic(&topic, |topic| {
            topic.links().iter().filter_map(Link::owner).collect()
        });
        people.sort_unstable();
        people.dedup();
        people
    }
}
