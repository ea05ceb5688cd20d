//! From entries to what sockets hear: encoded once, to the local deliveries and to the other nodes.

use std::sync::Arc;

use crate::domain::change::{Ban, Change, Join, Leave};
use crate::domain::conversation::Conversation;
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::engine::Packet;
use crate::engine::chat::encode;
use crate::error::Error;
use crate::ids::{ConversationId, UserId};
use crate::views::event::{EventSink, entry_event};
use crate::views::{Names, People};

use super::delivery::Deliveries;
use super::relay::Outgoing;

/// Consecutive entries of one conversation, as packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Whose.
    pub conversation: ConversationId,
    /// Number of the first entry.
    pub first: Seq,
    /// One for each entry.
    pub entries: Vec<Announced>,
}

/// One entry as sockets hear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The event.
    pub packet: Packet,
    /// Who begins or ends to hear the conversation with this entry.
    pub crossing: Option<Crossing>,
    /// Who wrote it, if it is a message: they don't type any more.
    pub author: Option<UserId>,
}

/// Somebody's way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// They hear this entry first.
    In(UserId),
    /// They hear this entry last (I5).
    Out(UserId),
}

impl Crossing {
    /// Whom the entry brings in.
    fn comer(entry: &Entry) -> Option<UserId> {
        match Crossing::of(&entry.kind)? {
            Crossing::In(user) => Some(user),
            Crossing::Out(_) => None,
        }
    }

    fn of(kind: &EntryKind) -> Option<Crossing> {
        match kind {
            EntryKind::Join(Join { user, .. }) => Some(Crossing::In(*user)),
            EntryKind::Leave(Leave { user, .. })
            | EntryKind::Ban(Ban {
                user,
                change: Change::Added,
            }) => Some(Crossing::Out(*user)),
            EntryKind::Message(_)
            | EntryKind::Edit(_)
            | EntryKind::Delete(_)
            | EntryKind::Reaction(_)
            | EntryKind::Role(_)
            | EntryKind::Ban(Ban {
                change: Change::Removed,
                ..
            })
            | EntryKind::Settings(_) => None,
        }
    }
}

/// Makes packets of entries. What comes out depends on the entry alone, so that every node makes the same.
#[derive(Clone)]
pub struct Encoder {
    names: Names,
}

/// Encodes an event as the packet of all its recipients.
struct ToPacket;

impl EventSink for ToPacket {
    type Made = Packet;

    fn event(self, name: &str, payload: &impl serde::Serialize) -> Packet {
        encode::event(name, payload)
    }
}

impl Encoder {
    /// With people from `names`.
    pub fn new(names: Names) -> Encoder {
        Encoder { names }
    }

    /// The people that entries are told with.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The packets of consecutive entries.
    pub(super) async fn encode(
        &self,
        conversation: &Conversation,
        entries: &[Entry],
    ) -> Result<Announcement, Error> {
        let mut announced = Vec::with_capacity(entries.len());
        for entry in entries {
            let people = People::of(&self.names, [entry]).await?;
            let packet = entry_event(ToPacket, entry, conversation, &people);
            announced.push(Announced {
                packet: packet
                    .ok_or_else(|| Error::Internal("an entry names somebody without a name".into()))?,
                crossing: Crossing::of(&entry.kind),
                author: entry.kind.is_message().then_some(entry.sender),
            });
        }
        let first = entries.first().map_or(Seq::ZERO, |entry| entry.seq);
        Ok(Announcement {
            conversation: conversation.id,
            first,
            entries: announced,
        })
    }
}

/// Tells this node's sockets and the other nodes what was appended here.
#[derive(Clone)]
pub struct Announcer {
    encoder: Encoder,
    deliveries: Arc<Deliveries>,
    outgoing: Option<Outgoing>,
}

impl Announcer {
    /// To `deliveries`, and to other nodes through `outgoing` if there are any.
    pub fn new(encoder: Encoder, deliveries: Arc<Deliveries>, outgoing: Option<Outgoing>) -> Announcer {
        Announcer {
            encoder,
            deliveries,
            outgoing,
        }
    }

    /// Announces consecutive entries. They are durable: what fails here is healed from the log.
    pub(super) async fn announce(&self, conversation: &Conversation, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let comers: Vec<UserId> = entries.iter().filter_map(Crossing::comer).collect();
        let is_heard = self.outgoing.is_some() || self.deliveries.has_connections(&comers);
        if !is_heard && !self.deliveries.is_watched_or_note(conversation.id) {
            return;
        }
        let behind = Seq(first.seq.0.saturating_sub(1));
        match self.encoder.encode(conversation, entries).await {
            Ok(announcement) => {
                if let Some(outgoing) = &self.outgoing {
                    outgoing.entries(&announcement);
                    // For nodes that don't watch the conversation yet.
                    if !comers.is_empty() {
                        outgoing.enter(conversation.id, &comers, behind);
                    }
                }
                self.deliveries.open_for(conversation.id, &comers, behind).await;
                self.deliveries.deliver(announcement);
                for comer in &comers {
                    // Whoever was delivered in between others' leaving is looked after by rows.
                    self.deliveries.enter_late(conversation.id, *comer, first.seq);
                }
                if !comers.is_empty() {
                    self.deliveries.forget_unwatched(conversation.id);
                }
            }
            Err(error) => {
                let id = conversation.id;
                tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                    "entries of conversation {id} could not be announced; sockets get them when its log is compared");
            }
        }
    }
}
