use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use smallvec::smallvec;

use super::Carry;
use crate::app::{Effect, EndReason, Signal, UserSignal};
use crate::clock::{Clock, Timestamp};
use crate::engine::chat::encode;
use crate::engine::{CloseReason, Packet};
use crate::error::Error;
use crate::hub::{Channel, Delivery, Farewell, Hub, Link};
use crate::ids::{ConversationId, SessionId, UserId};
use crate::log::Outgoing;
use crate::views::event::MessageRef;
use crate::views::{Names, Notifications, PublicUser};

/// Tells sockets, here and on other nodes, what is not in a log, and closes those of ended sessions.
#[derive(Clone)]
pub struct Publisher {
    hub: Arc<Hub<Channel>>,
    names: Names,
    clock: Arc<dyn Clock>,
    outgoing: Option<Outgoing>,
}

impl Publisher {
    /// To the sockets in `hub` and to other nodes through `outgoing`.
    pub fn new(
        hub: Arc<Hub<Channel>>,
        names: Names,
        clock: Arc<dyn Clock>,
        outgoing: Option<Outgoing>,
    ) -> Publisher {
        Publisher {
            hub,
            names,
            clock,
            outgoing,
        }
    }

    async fn encode(&self, signal: &Signal) -> Result<Packet, Error> {
        let (event, room, user, member_count) = match signal {
            Signal::UserJoinedRoom { room, user, members } => ("user-joined-room", room, user, *members),
            Signal::UserLeftRoom { room, user, members } => ("user-left-room", room, user, *members),
        };
        let user = self.names.get(*user).await?;
        let payload = RoomMembership {
            room_name: room.as_str(),
            user: &user,
            member_count,
            at: self.clock.now(),
        };
        Ok(encode::event(event, &payload))
    }
}

/// A user's own event needs no look-up: it is told with what it carries.
fn encode_for_user(signal: &UserSignal) -> Packet {
    match signal {
        UserSignal::MessageHidden {
            conversation,
            message,
        } => encode::event(
            "message-hidden",
            &MessageHidden {
                conversation_id: *conversation,
                message: *message,
            },
        ),
        UserSignal::UserBlocked(user_id) => encode::event("user-blocked", &Whom { user_id }),
        UserSignal::UserUnblocked(user_id) => encode::event("user-unblocked", &Whom { user_id }),
        UserSignal::ConversationCreated(created) => encode::event("conversation-created", &created.view()),
        UserSignal::ConversationHidden { conversation, hidden } => encode::event(
            "conversation-hidden",
            &Hidden {
                conversation_id: *conversation,
                hidden: *hidden,
            },
        ),
        UserSignal::NotificationsSet {
            conversation,
            notifications,
        } => encode::event(
            "conversation-notifications",
            &NotificationsSet {
                conversation_id: *conversation,
                notifications: *notifications,
            },
        ),
    }
}

/// Whom a user's own event is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whom<'a> {
    user_id: &'a UserId,
}

/// S-131.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageHidden {
    conversation_id: ConversationId,
    message: MessageRef,
}

/// S-063.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hidden {
    conversation_id: ConversationId,
    hidden: bool,
}

/// S-122.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotificationsSet {
    conversation_id: ConversationId,
    #[serde(flatten)]
    notifications: Notifications,
}

/// S-099, S-100.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomMembership<'a> {
    room_name: &'a str,
    user: &'a PublicUser,
    member_count: u64,
    at: Timestamp,
}

#[async_trait]
impl Carry for Publisher {
    async fn carry(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Publish { conversation, event } => match self.encode(event).await {
                    Ok(packet) => {
                        let channel = Channel::Conversation(*conversation);
                        self.hub.publish(&channel, &packet, Delivery::Droppable, None);
                        if let Some(outgoing) = &self.outgoing {
                            outgoing.signal(*conversation, packet);
                        }
                    }
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an event could not be told to the watchers of conversation {conversation}"
                    ),
                },
                Effect::Tell { user, event } => {
                    let packet = encode_for_user(event);
                    self.hub
                        .publish(&Channel::User(*user), &packet, Delivery::Reliable, None);
                    if let Some(outgoing) = &self.outgoing {
                        outgoing.tell(*user, packet);
                    }
                }
                Effect::EndSessions { sessions, reason } => {
                    end_sessions(&self.hub, sessions, *reason);
                    if let Some(outgoing) = &self.outgoing {
                        outgoing.end_sessions(sessions.clone(), *reason);
                    }
                }
                Effect::Opened { .. }
                | Effect::Read(_)
                | Effect::Arrived(_)
                | Effect::Left(_)
                | Effect::Enqueue(_)
                | Effect::Audit { .. } => {}
            }
        }
    }
}

/// Closes the sockets of ended sessions on this node: `session-ended`, `41`, close (SPEC.md section 1).
pub(crate) fn end_sessions(hub: &Hub<Channel>, sessions: &[SessionId], reason: EndReason) {
    for session in sessions {
        let links = hub.with_topic(&Channel::Session(*session), |topic| topic.links().to_vec());
        for link in &links {
            end_session(link, reason);
        }
    }
}

/// How long a socket whose session has ended waits for the answers to what it had begun: it is dead within a second
/// (I8).
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// Tells one socket that its session has ended, behind the answers it waits for, and closes it so that stock clients
/// don't come back by themselves.
pub(crate) fn end_session(link: &Link, reason: EndReason) {
    link.finish(Farewell {
        packets: smallvec![encode::session_ended(reason), encode::disconnect()],
        reason: match reason {
            EndReason::Suspended => CloseReason::Forbidden,
            EndReason::LoggedOut | EndReason::Revoked | EndReason::Expired | EndReason::NotAuthenticated => {
                CloseReason::Unauthenticated
            }
        },
        patience: ANSWERED_WITHIN,
    });
}
