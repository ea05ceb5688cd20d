use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use smallvec::smallvec;

use super::Carry;
use crate::app::{Effect, EndReason, Signal, UserSignal};
use crate::clock::{Clock, Timestamp};
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::engine::chat::encode;
use crate::engine::{CloseReason, Packet};
use crate::error::Error;
use crate::hub::{Channel, Delivery, Farewell, Hub, Link};
use crate::ids::{ConversationId, SessionId, UserId};
use crate::log::{Deliveries, Fences, Reach};
use crate::views::event::MessageRef;
use crate::views::{Names, Notifications, PublicUser};

/// Tells sockets, here and on other nodes, what is not in a log, lets them hear what they have come into, and closes
/// those of ended sessions.
#[derive(Clone)]
pub struct Publisher {
    deliveries: Arc<Deliveries>,
    names: Names,
    clock: Arc<dyn Clock>,
    fences: Option<Arc<Fences>>,
}

impl Publisher {
    /// To the sockets that `deliveries` reaches, on this node and on others.
    pub fn new(deliveries: Arc<Deliveries>, names: Names, clock: Arc<dyn Clock>) -> Publisher {
        Publisher {
            deliveries,
            names,
            clock,
            fences: None,
        }
    }

    /// With a way to wait for other nodes.
    pub fn fenced_by(mut self, fences: Option<Arc<Fences>>) -> Publisher {
        self.fences = fences;
        self
    }

    async fn encode(&self, signal: &Signal) -> Result<Packet, Error> {
        match signal {
            Signal::UserJoinedRoom { room, user, members } => {
                self.membership("user-joined-room", room, *user, *members).await
            }
            Signal::UserLeftRoom { room, user, members } => {
                self.membership("user-left-room", room, *user, *members).await
            }
        }
    }

    async fn encode_for_user(&self, user: UserId, signal: &UserSignal) -> Result<Packet, Error> {
        match signal {
            UserSignal::JoinedRoom { room, members } => {
                self.membership("user-joined-room", room, user, *members).await
            }
            UserSignal::LeftRoom { room, members } => {
                self.membership("user-left-room", room, user, *members).await
            }
            UserSignal::MessageHidden {
                conversation,
                message,
            } => Ok(encode::event(
                "message-hidden",
                &MessageHidden {
                    conversation_id: *conversation,
                    message: *message,
                },
            )),
            UserSignal::ProfileUpdated(account) => Ok(encode::event("profile-updated", account)),
            UserSignal::UserBlocked(user_id) => Ok(encode::event("user-blocked", &Whom { user_id })),
            UserSignal::UserUnblocked(user_id) => Ok(encode::event("user-unblocked", &Whom { user_id })),
            UserSignal::ConversationCreated(created) => {
                Ok(encode::event("conversation-created", &created.view()))
            }
            UserSignal::ConversationHidden { conversation, hidden } => Ok(encode::event(
                "conversation-hidden",
                &Hidden {
                    conversation_id: *conversation,
                    hidden: *hidden,
                },
            )),
            UserSignal::NotificationsSet {
                conversation,
                notifications,
            } => Ok(encode::event(
                "conversation-notifications",
                &NotificationsSet {
                    conversation_id: *conversation,
                    notifications: *notifications,
                },
            )),
        }
    }

    /// S-099, S-100.
    async fn membership(
        &self,
        event: &str,
        room: &RoomName,
        user: UserId,
        member_count: u64,
    ) -> Result<Packet, Error> {
        let user = self.names.get(user).await?;
        let payload = RoomMembership {
            room_name: room.as_str(),
            user: &user,
            member_count,
            at: self.clock.now(),
        };
        Ok(encode::event(event, &payload))
    }

    async fn carry_one(&self, effect: &Effect) -> Result<(), Error> {
        let hub = self.deliveries.hub();
        let outgoing = self.deliveries.outgoing();
        match effect {
            Effect::Publish { conversation, event } => {
                let packet = self.encode(event).await?;
                for reach in reach(event) {
                    self.deliveries.signal(*conversation, reach, &packet);
                    if let Some(outgoing) = outgoing {
                        outgoing.signal(*conversation, reach, packet.clone());
                    }
                }
            }
            Effect::Tell { user, event } => {
                let packet = self.encode_for_user(*user, event).await?;
                hub.publish(&Channel::User(*user), &packet, Delivery::Reliable, None);
                if let Some(outgoing) = outgoing {
                    outgoing.tell(*user, packet);
                }
            }
            Effect::Opened {
                conversation,
                members,
            } => {
                if let Some(outgoing) = outgoing {
                    outgoing.enter(*conversation, members, Seq::ZERO);
                }
                self.deliveries.enter(*conversation, members, Seq::ZERO).await?;
            }
            Effect::PutOut { conversation, user } => {
                self.deliveries.exit(*conversation, *user);
                if let Some(outgoing) = outgoing {
                    outgoing.exit(*conversation, *user);
                }
            }
            Effect::Fence { conversation, up_to } => {
                if let Some(fences) = &self.fences {
                    fences.pass(&self.deliveries, *conversation, *up_to).await;
                }
            }
            Effect::Typing { typist, session } => self.deliveries.typists().began(typist.clone(), *session),
            Effect::StopTyping { conversation, user } => {
                self.deliveries.typists().stopped(*conversation, *user);
            }
            Effect::Left { session, .. } => self.deliveries.typists().disconnected(*session),
            Effect::ProfileChanged(user) => {
                self.deliveries.profile_changed(*user);
                if let Some(outgoing) = outgoing {
                    outgoing.profile_changed(*user);
                }
            }
            Effect::EndSessions { sessions, reason } => {
                end_sessions(hub, sessions, *reason);
                if let Some(outgoing) = outgoing {
                    outgoing.end_sessions(sessions.clone(), *reason);
                }
            }
            Effect::Read(_)
            | Effect::Activity { .. }
            | Effect::Arrived { .. }
            | Effect::PresenceShown { .. }
            | Effect::BlockChanged { .. }
            | Effect::Enqueue(_)
            | Effect::Audit { .. } => {}
        }
        Ok(())
    }
}

/// Who hears it.
fn reach(signal: &Signal) -> [Reach; 2] {
    match signal {
        Signal::UserJoinedRoom { user, .. } | Signal::UserLeftRoom { user, .. } => {
            [Reach::Watchers, Reach::Besides(*user)]
        }
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
            if let Err(error) = self.carry_one(effect).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "sockets could not be told of something; they read it after a reconnect"
                );
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
