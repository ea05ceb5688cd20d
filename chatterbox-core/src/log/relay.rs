//! Between this node and the others: what goes out over the bus, and what comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::announce::Announcement;
use super::delivery::Deliveries;
use super::envelope::{Envelope, Reach, Sign};
use super::fence::Fences;
use super::speaker::{Order, Speaker};
use crate::app::EndReason;
use crate::domain::entry::Seq;
use crate::engine::Packet;
use crate::hub::{Channel, Delivery, Hub};
use crate::ids::{ConversationId, NodeId, SessionId, UserId};
use crate::live::{StopReason, Typist};
use crate::ports::bus::{Bus, BusEvent};
use crate::tasks::Tasks;

/// The bus channel that every node listens to.
pub(super) const EVERY_NODE: &str = "nodes";
/// Publications and subscriptions that wait for the bus; above, they are dropped and the log heals.
const WAITING_MAX: usize = 4096;
/// So many new members are told where they are; more at once cost less in one envelope to every node.
const ENTERING_EACH_MAX: usize = 8;
/// Users told of in one envelope.
const USERS_PER_ENVELOPE: usize = 1_000;
/// How often heads are compared, and how often while the bus is away.
const COMPARE_EVERY: Duration = Duration::from_secs(30);
const COMPARE_ALONE_EVERY: Duration = Duration::from_secs(1);

/// What a node listens to for as long as somebody here needs it (S-145); on the bus, a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A conversation that a connection of this node watches.
    Conversation(ConversationId),
    /// A user who has a connection to this node.
    User(UserId),
}

impl Subject {
    pub(super) fn channel(self) -> String {
        match self {
            Subject::Conversation(id) => format!("c:{id}"),
            Subject::User(id) => format!("u:{id}"),
        }
    }
}

/// Hands envelopes to the bus, in order, without ever waiting for it.
#[derive(Clone)]
pub struct Outgoing {
    orders: mpsc::Sender<Order>,
    bus: Arc<dyn Bus>,
    /// Something did not get out.
    missed: Arc<AtomicBool>,
}

impl Outgoing {
    pub(super) fn entries(&self, announcement: &Announcement) {
        self.publish_on(
            Subject::Conversation(announcement.conversation),
            Envelope::Entries(announcement.clone()),
        );
    }

    /// An event about a conversation for connections of other nodes.
    pub fn signal(&self, conversation: ConversationId, reach: Reach, packet: Packet) {
        let to = match reach {
            Reach::Watchers | Reach::But(_) => Subject::Conversation(conversation),
            Reach::Besides(user) => Subject::User(user),
        };
        let envelope = Envelope::Signal {
            conversation,
            reach,
            packet,
        };
        self.publish_on(to, envelope);
    }

    /// Users have become members, which those of their devices have to know that are connected to nodes where nobody
    /// watches the conversation yet. They hear what comes behind the entry `behind`.
    pub fn enter(&self, conversation: ConversationId, users: &[UserId], behind: Seq) {
        let envelope = |users: &[UserId]| Envelope::Enter {
            conversation,
            behind,
            users: users.to_vec(),
        };
        if users.len() <= ENTERING_EACH_MAX {
            for user in users {
                self.publish_on(Subject::User(*user), envelope(&[*user]));
            }
            return;
        }
        for some in users.chunks(USERS_PER_ENVELOPE) {
            self.publish_to_all(envelope(some));
        }
    }

    /// A membership has ended that no entry ends.
    pub fn exit(&self, conversation: ConversationId, user: UserId) {
        self.publish_on(
            Subject::Conversation(conversation),
            Envelope::Exit { conversation, user },
        );
    }

    /// Somebody types on this node, or no longer.
    pub(crate) fn typing(&self, typist: Typist, ended: Option<StopReason>) {
        let subject = Subject::Conversation(typist.conversation);
        self.publish_on(subject, Envelope::Typing { typist, ended });
    }

    /// Somebody came online or went offline.
    pub(crate) fn presence(
        &self,
        user: UserId,
        partners: Vec<UserId>,
        groups: Vec<ConversationId>,
        except: Vec<UserId>,
        packet: Packet,
    ) {
        let envelope = Envelope::Presence {
            user,
            partners,
            groups,
            except,
            packet,
        };
        self.publish_to_all(envelope);
    }

    /// How somebody's presence looks to one other user has changed.
    pub(crate) fn presence_to(
        &self,
        user: UserId,
        partner: bool,
        groups: Vec<ConversationId>,
        packet: Packet,
    ) {
        let envelope = Envelope::PresenceTo {
            user,
            partner,
            groups,
            packet,
        };
        self.publish_to_all(envelope);
    }

    /// An event for a user's devices, which may be on any node.
    pub fn tell(&self, user: UserId, packet: Packet) {
        self.publish_on(Subject::User(user), Envelope::Tell { user, packet });
    }

    /// What everyone may see of a user has changed: other nodes read it anew.
    pub(crate) fn profile_changed(&self, user: UserId) {
        self.publish_to_all(Envelope::ProfileChanged { user });
    }

    /// Asks all other nodes to say when they have delivered up to an entry.
    pub(super) fn fence(&self, node: NodeId, number: u64, conversation: ConversationId, up_to: Seq) {
        let envelope = Envelope::Fence {
            node,
            number,
            conversation,
            up_to,
        };
        self.publish_to_all(envelope);
    }

    /// Tells a node that asked so.
    pub(super) fn passed(&self, to: NodeId, node: NodeId, number: u64) {
        self.publish(channel_of(to), Envelope::Passed { node, number });
    }

    /// Tells all other nodes of this one.
    pub(super) fn sign(&self, node: NodeId, sign: Sign) {
        self.publish_to_all(Envelope::Sign { node, sign });
    }

    /// Tells a node that is new of this one.
    pub(super) fn sign_to(&self, to: NodeId, node: NodeId) {
        let sign = Sign::Here;
        self.publish(channel_of(to), Envelope::Sign { node, sign });
    }

    /// Sessions have ended; every node looks for their sockets.
    pub fn end_sessions(&self, sessions: Vec<SessionId>, reason: EndReason) {
        self.publish_to_all(Envelope::EndSessions { reason, sessions });
    }

    /// Hears what other nodes say of a subject, from when it returns.
    pub(super) async fn listen(&self, subject: Subject) {
        if let Err(error) = self.bus.subscribe(&subject.channel()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the bus took no subscription; conversations are followed by comparing heads"
            );
        }
    }

    /// [`listen`](Outgoing::listen) to several conversations at once.
    pub(super) async fn listen_all(&self, conversations: impl IntoIterator<Item = ConversationId>) {
        let subjects = conversations.into_iter().map(Subject::Conversation);
        join_all(subjects.map(|subject| self.listen(subject))).await;
    }

    /// Stops to listen, unless somebody here needs it again by then.
    pub(super) fn stop_listening(&self, subject: Subject) {
        self.order(Order::StopListening { subject });
    }

    fn publish_on(&self, subject: Subject, envelope: Envelope) {
        self.publish(subject.channel(), envelope);
    }

    fn publish_to_all(&self, envelope: Envelope) {
        self.publish(EVERY_NODE.to_owned(), envelope);
    }

    fn publish(&self, channel: String, envelope: Envelope) {
        self.order(Order::Publish { channel, envelope });
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            self.missed.store(true, Ordering::Release);
            tracing::debug!("the bus is slower than its queue; an envelope was dropped and will be healed");
        }
    }
}

/// The tasks that move envelopes, and the comparison of heads.
pub struct Relay {
    bus: Arc<dyn Bus>,
    orders: mpsc::Receiver<Order>,
    missed: Arc<AtomicBool>,
}

impl Relay {
    /// A relay and the handle that feeds it.
    pub fn new(bus: Arc<dyn Bus>) -> (Relay, Outgoing) {
        let (sender, orders) = mpsc::channel(WAITING_MAX);
        let missed = Arc::new(AtomicBool::new(false));
        (
            Relay {
                bus: bus.clone(),
                orders,
                missed: missed.clone(),
            },
            Outgoing {
                orders: sender,
                bus,
                missed,
            },
        )
    }

    /// Starts the relay's tasks. Ended sessions are handed to `end_sessions`.
    pub fn start(
        self,
        tasks: &Tasks,
        hub: Arc<Hub<Channel>>,
        deliveries: Arc<Deliveries>,
        fences: Arc<Fences>,
        end_sessions: impl Fn(&[SessionId], EndReason) + Send + 'static,
    ) {
        let Relay { bus, orders, missed } = self;
        let incoming = bus.events();
        let speaker = Speaker::new(bus.clone(), orders, missed, deliveries.clone());
        tasks.spawn_until_stopped(speaker.run());
        let Some(mut incoming) = incoming else { return };
        let signing = tasks.clone();
        tasks.spawn_until_stopped(async move {
            let _ = bus.subscribe(EVERY_NODE).await;
            let _ = bus.subscribe(&channel_of(fences.node())).await;
            // Others answer, which is heard by now.
            signing.spawn_until_stopped(fences.clone().keep_signing());
            while let Some(event) = incoming.recv().await {
                match event {
                    BusEvent::Disconnected => deliveries.set_alone(true),
                    BusEvent::Reconnected => {
                        deliveries.set_alone(false);
                        deliveries.ask_to_compare();
                    }
                    BusEvent::Message { payload, .. } => match Envelope::decode(payload) {
                        Ok(Envelope::Entries(announcement)) => deliveries.deliver(announcement),
                        Ok(Envelope::Signal {
                            conversation,
                            reach,
                            packet,
                        }) => deliveries.signal(conversation, reach, &packet),
                        Ok(Envelope::Enter {
                            conversation,
                            behind,
                            users,
                        }) => {
                            // Mostly nobody of them is here.
                            if deliveries.has_connections(&users) {
                                deliveries.enter_later(conversation, users, behind);
                            }
                        }
                        Ok(Envelope::Exit { conversation, user }) => deliveries.exit(conversation, user),
                        Ok(Envelope::Typing { typist, ended }) => deliveries.typists().heard(typist, ended),
                        Ok(Envelope::Presence {
                            user,
                            partners,
                            groups,
                            except,
                            packet,
                        }) => deliveries.tell_presence(user, &partners, &groups, &except, &packet),
                        Ok(Envelope::PresenceTo {
                            user,
                            partner,
                            groups,
                            packet,
                        }) => deliveries.tell_presence_to(user, partner, &groups, &packet),
                        Ok(Envelope::Tell { user, packet }) => {
                            hub.publish(&Channel::User(user), &packet, Delivery::Reliable, None);
                        }
                        Ok(Envelope::Missed) => deliveries.ask_to_compare(),
                        Ok(Envelope::ProfileChanged { user }) => deliveries.profile_changed(user),
                        Ok(Envelope::EndSessions { reason, sessions }) => end_sessions(&sessions, reason),
                        Ok(Envelope::Fence {
                            node,
                            number,
                            conversation,
                            up_to,
                        }) => fences.asked(&deliveries, node, number, conversation, up_to),
                        Ok(Envelope::Passed { node, number }) => fences.heard_passed(node, number),
                        Ok(Envelope::Sign { node, sign }) => fences.heard_sign(node, sign),
                        Err(unknown) => tracing::debug!("{unknown}"),
                    },
                }
            }
        });
    }
}

/// Compares heads for ever: the last safety net under announcements that got lost, and the only way to hear of others
/// while the bus is away.
pub(crate) async fn compare_regularly(deliveries: Arc<Deliveries>) {
    let mut alone = deliveries.alone();
    loop {
        let every = if *alone.borrow_and_update() {
            COMPARE_ALONE_EVERY
        } else {
            COMPARE_EVERY
        };
        let asked = tokio::select! {
            () = tokio::time::sleep(every) => false,
            () = deliveries.asked_to_compare() => true,
            changed = alone.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        deliveries.compare_heads().await;
        if asked {
            deliveries.resubscribe_later();
        }
    }
}

/// What one node alone listens to.
fn channel_of(node: NodeId) -> String {
    format!("n:{node}")
}
