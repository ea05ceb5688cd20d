//! What nodes tell each other over the bus.

mod bytes;
mod fields;

#[cfg(test)]
mod tests;

use super::announce::Announcement;
use crate::app::EndReason;
use crate::domain::entry::Seq;
use crate::engine::Packet;
use crate::ids::{ConversationId, NodeId, SessionId, UserId};
use crate::live::{StopReason, Typist};

/// A message from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// Entries were appended.
    Entries(Announcement),
    /// An event about a conversation that is not in its log.
    Signal {
        /// Which.
        conversation: ConversationId,
        /// Who hears it.
        reach: Reach,
        /// The event.
        packet: Packet,
    },
    /// Users became members: those of them who are connected hear the conversation from now on.
    Enter {
        /// Which.
        conversation: ConversationId,
        /// They hear what comes behind this entry.
        behind: Seq,
        /// Who.
        users: Vec<UserId>,
    },
    /// A user's membership has ended without an entry: of a room.
    Exit {
        /// Which.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody types, or no longer, for this reason.
    Typing {
        /// Who, and where.
        typist: Typist,
        /// Why they have stopped, if they have.
        ended: Option<StopReason>,
    },
    /// Somebody came online or went offline.
    Presence {
        /// Who.
        user: UserId,
        /// Those who have a direct conversation with them.
        partners: Vec<UserId>,
        /// Their groups, whose onlookers hear it.
        groups: Vec<ConversationId>,
        /// Those who don't hear it.
        except: Vec<UserId>,
        /// The event.
        packet: Packet,
    },
    /// How somebody's presence looks to one other user has changed.
    PresenceTo {
        /// To whom.
        user: UserId,
        /// Whether they have a direct conversation with each other: all devices hear it.
        partner: bool,
        /// The groups whose onlookers hear it, as far as they are devices of this user.
        groups: Vec<ConversationId>,
        /// The event.
        packet: Packet,
    },
    /// What everyone may see of a user has changed.
    ProfileChanged {
        /// Whose.
        user: UserId,
    },
    /// A node asks to be told when the others have delivered up to an entry (S-068).
    Fence {
        /// Which node.
        node: NodeId,
        /// Its name for this.
        number: u64,
        /// Whose entry.
        conversation: ConversationId,
        /// Which.
        up_to: Seq,
    },
    /// A node has delivered what it was asked about.
    Passed {
        /// Which node.
        node: NodeId,
        /// The asker's name for it.
        number: u64,
    },
    /// A node with sockets is there, or no longer.
    Sign {
        /// Which.
        node: NodeId,
        /// What it says.
        sign: Sign,
    },
    /// The sender could not say everything: whoever watches something compares it with the log.
    Missed,
    /// An event for all devices of a user.
    Tell {
        /// Whose.
        user: UserId,
        /// The event.
        packet: Packet,
    },
    /// Sessions have ended.
    EndSessions {
        /// Why.
        reason: EndReason,
        /// Which.
        sessions: Vec<SessionId>,
    },
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It has just come, and knows of nobody yet.
    New,
    /// It is there.
    Here,
    /// It has no sockets any more.
    Gone,
}

/// Which connections an event reaches that is in no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All watchers.
    Watchers,
    /// All watchers but this user's.
    But(UserId),
    /// The devices of this user that don't watch.
    Besides(UserId),
}

/// Bytes that are no envelope this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope of another version, or none at all")]
pub struct UnknownEnvelope;
