//! From entries to what sockets hear: encoded once, to the local deliveries and to the other nodes.

use std::sync::Arc;

use crate::domain::conversation::{Conversation, Kind};
use crate::domain::entry::{Entry, Seq};
use crate::engine::Packet;
use crate::engine::chat::encode;
use crate::error::Error;
use crate::ids::ConversationId;
use crate::views::{MessageView, Names};

use super::delivery::Deliveries;
use super::relay::Outgoing;

/// Consecutive entries of one conversation, as packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Whose.
    pub conversation: ConversationId,
    /// Number of the first entry.
    pub first: Seq,
    /// One packet per entry.
    pub packets: Vec<Packet>,
}

/// Makes packets of entries. What comes out depends on the entry alone, so that every node makes the same.
#[derive(Clone)]
pub struct Encoder {
    names: Names,
}

impl Encoder {
    /// With authors from `names`.
    pub fn new(names: Names) -> Encoder {
        Encoder { names }
    }

    /// The packets of consecutive entries.
    pub(super) async fn encode(
        &self,
        conversation: &Conversation,
        entries: &[Entry],
    ) -> Result<Announcement, Error> {
        let event = match conversation.kind {
            Kind::Room(_) => "room-message",
            Kind::Direct | Kind::Group => "new-message",
        };
        let mut packets = Vec::with_capacity(entries.len());
        for entry in entries {
            let author = self.names.get(entry.sender).await?;
            packets.push(encode::event(
                event,
                &MessageView::new(entry, conversation, &author).in_event(),
            ));
        }
        let first = entries.first().map_or(Seq::ZERO, |entry| entry.seq);
        Ok(Announcement {
            conversation: conversation.id,
            first,
            packets,
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
        if self.outgoing.is_none() && !self.deliveries.is_watched(conversation.id) {
            return;
        }
        match self.encoder.encode(conversation, entries).await {
            Ok(announcement) => {
                if let Some(outgoing) = &self.outgoing {
                    outgoing.entries(&announcement);
                }
                self.deliveries.deliver(announcement);
            }
            Err(error) => {
                let id = conversation.id;
                tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                    "entries of conversation {id} could not be announced; sockets get them when its log is compared");
            }
        }
    }
}
