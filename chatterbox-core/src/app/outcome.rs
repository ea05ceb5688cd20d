//! What a use case answers: the reply to its caller, and what should happen besides, as data.

use std::sync::Arc;

use crate::app::accounts::AccountView;
use crate::app::jobs::Job;
use crate::clock::Timestamp;
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, SessionId, UserId};
use crate::live::Typist;
use crate::log::Subscribed;
use crate::views::event::MessageRef;
use crate::views::{ConversationCreated, Notifications};

/// The reply and the effects of a call. Layers carry the effects out (DESIGN.md section 2).
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<R> {
    /// For the caller.
    pub reply: R,
    /// For the layers.
    pub effects: Vec<Effect>,
}

impl<R> Outcome<R> {
    /// A reply without effects.
    pub fn of(reply: R) -> Outcome<R> {
        Outcome {
            reply,
            effects: Vec::new(),
        }
    }

    /// With one effect more.
    pub fn with(mut self, effect: Effect) -> Outcome<R> {
        self.effects.push(effect);
        self
    }

    /// The same effects with another reply.
    pub fn map<S>(self, change: impl FnOnce(R) -> S) -> Outcome<S> {
        Outcome {
            reply: change(self.reply),
            effects: self.effects,
        }
    }
}

/// Something that should happen because of a call and is not an entry of a log.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An event for everyone who watches a conversation, on every node.
    Publish {
        /// Whose watchers hear it.
        conversation: ConversationId,
        /// What they hear.
        event: Signal,
    },
    /// An event for all devices of one user, on every node (SPEC.md section 1, Multi-device).
    Tell {
        /// Whose devices hear it.
        user: UserId,
        /// What they hear.
        event: UserSignal,
    },
    /// A conversation has begun, with these members: their sockets hear it from now on, on every node. Later members
    /// come with an entry of the log.
    Opened {
        /// Which.
        conversation: ConversationId,
        /// Who is in it.
        members: Vec<UserId>,
    },
    /// Somebody has read up to an entry (S-108).
    Read(ReadReceipt),
    /// What everyone may see of this user has changed: nodes read it anew.
    ProfileChanged(UserId),
    /// These sessions have ended: their sockets close, on every node (S-054).
    EndSessions {
        /// Which.
        sessions: Vec<SessionId>,
        /// Told to the clients.
        reason: EndReason,
    },
    /// A user is no member of a room any more: none of their sockets hears it, on any node (S-085). Other memberships
    /// end with an entry of the log.
    PutOut {
        /// Which room.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// A membership has ended with an entry of the log: the reply waits until no node delivers anything above it to
    /// whom it puts out, 5 s at most (S-068).
    Fence {
        /// Of which conversation.
        conversation: ConversationId,
        /// With this entry.
        up_to: Seq,
    },
    /// Somebody types, for the next six seconds (S-089).
    Typing {
        /// Who, and where.
        typist: Typist,
        /// On which device.
        session: SessionId,
    },
    /// Somebody types no more (S-090).
    StopTyping {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// A connection of this user came up on this node.
    Arrived {
        /// Who.
        user: UserId,
        /// What the connection hears, if that was just read: those are told who hear it too.
        circle: Option<Arc<Subscribed>>,
    },
    /// A connection of this user on this node ended.
    Left {
        /// Who.
        user: UserId,
        /// Of which login.
        session: SessionId,
        /// Whether its user was not at the device.
        was_away: bool,
    },
    /// A user is at one device more of this node, or at one less (S-092).
    Activity {
        /// Who.
        user: UserId,
        /// Whether they have left it.
        away: bool,
    },
    /// A user lets others see whether they are online from now on, or no longer (S-134): those who may see it hear so.
    PresenceShown {
        /// Who.
        user: UserId,
        /// Whether.
        shown: bool,
    },
    /// A user blocks another from now on, or no longer: they look offline to each other, or as they are (S-135).
    BlockChanged {
        /// Who.
        by: UserId,
        /// Whom.
        user: UserId,
    },
    /// A job to be done.
    Enqueue(Job),
    /// Something the operator's audit log should hold.
    Audit {
        /// What happened, in a few words.
        what: &'static str,
        /// To whom.
        user: UserId,
    },
}

/// How far somebody has read a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReceipt {
    /// Which.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// Up to this entry.
    pub seq: Seq,
    /// Since when.
    pub at: Timestamp,
    /// Who hears of it.
    pub to: Recipients,
}

/// Whom a receipt is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients {
    /// Everyone who watches the conversation.
    pub watchers: bool,
    /// All devices of these users, besides.
    pub users: Vec<UserId>,
}

/// Events that are not entries of a log: nobody misses them after a reconnect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// S-099.
    UserJoinedRoom {
        /// Which room.
        room: RoomName,
        /// Who.
        user: UserId,
        /// Members now.
        members: u64,
    },
    /// S-100.
    UserLeftRoom {
        /// Which room.
        room: RoomName,
        /// Who.
        user: UserId,
        /// Members now.
        members: u64,
    },
}

/// Events for all devices of one user; after a reconnect they read by REST what has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSignal {
    /// The user has deleted a message for themselves (S-131, `scope=me`).
    MessageHidden {
        /// Where.
        conversation: ConversationId,
        /// The message, and its number.
        message: MessageRef,
    },
    /// The user's own account has changed (S-134).
    ProfileUpdated(Box<AccountView>),
    /// The user blocks somebody (S-135).
    UserBlocked(UserId),
    /// The user blocks somebody no longer (S-135).
    UserUnblocked(UserId),
    /// The user has joined a room; those in a large room are not told (S-084, S-099).
    JoinedRoom {
        /// Which.
        room: RoomName,
        /// Members now.
        members: u64,
    },
    /// The user has left a room; those in a large room are not told (S-085, S-100).
    LeftRoom {
        /// Which.
        room: RoomName,
        /// Members now.
        members: u64,
    },
    /// A conversation has begun with the user in it (S-064, S-128).
    ConversationCreated(Arc<ConversationCreated>),
    /// The user's list leaves a conversation out, or shows it again (S-063).
    ConversationHidden {
        /// Which.
        conversation: ConversationId,
        /// Left out, or not.
        hidden: bool,
    },
    /// Other messages of a conversation notify the user from now on (S-122).
    NotificationsSet {
        /// Of which.
        conversation: ConversationId,
        /// Which.
        notifications: Notifications,
    },
}

/// Why sessions were ended, as `session-ended` tells it (SPEC.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Logged out here or elsewhere.
    LoggedOut,
    /// Ended by the user, an administrator or the theft of a refresh token.
    Revoked,
    /// The access token passed its time without a new one.
    Expired,
    /// The account was suspended.
    Suspended,
    /// No valid token within the time for it.
    NotAuthenticated,
}

impl EndReason {
    /// As clients read it.
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::LoggedOut => "logged-out",
            EndReason::Revoked => "revoked",
            EndReason::Expired => "expired",
            EndReason::Suspended => "suspended",
            EndReason::NotAuthenticated => "not-authenticated",
        }
    }
}
