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
/// Users told of in one envelope.
const USERS_PER_ENVELOPE: usize = 1_000;
/// How often heads are compared, and how often while the bus is away.
const COMPARE_EVERY: Duration = Duration::from_secs(30);
const COMPARE_ALONE_EVERY: Duration = Duration::from_secs(1);

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
        self.publish(
            channel(announcement.conversation),
            Envelope::Entries(announcement.clone()),
        );
    }

    /// An event for the watchers of a conversation on other nodes.
    pub fn signal(&self, conversation: ConversationId, reach: Reach, packet: Packet) {
        let to = match reach {
            Reach::Watchers | Reach::But(_) => channel(conversation),
            // Their devices may be where nobody watches.
            Reach::With(_) => EVERY_NODE.to_owned(),
        };
        let envelope = Envelope::Signal {
            conversation,
            reach,
            packet,
        };
        self.publish(to, envelope);
    }

    /// Users have become members, which those of their devices have to know that are connected to nodes where nobody
    /// watches the conversation yet. They hear what comes behind the entry `behind`.
    pub fn enter(&self, conversation: ConversationId, users: &[UserId], behind: Seq) {
        for some in users.chunks(USERS_PER_ENVELOPE) {
            let envelope = Envelope::Enter {
                conversation,
                behind,
                users: some.to_vec(),
            };
            self.publish(EVERY_NODE.to_owned(), envelope);
        }
    }

    /// A membership has ended that no entry ends.
    pub fn exit(&self, conversation: ConversationId, user: UserId) {
        self.publish(channel(conversation), Envelope::Exit { conversation, user });
    }

    /// Somebody types on this node, or no longer.
    pub(crate) fn typing(&self, typist: Typist, ended: Option<StopReason>) {
        self.publish(channel(typist.conversation), Envelope::Typing { typist, ended });
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
        self.publish(EVERY_NODE.to_owned(), envelope);
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
        self.publish(EVERY_NODE.to_owned(), envelope);
    }

    /// An event for a user's devices, which may be on any node.
    pub fn tell(&self, user: UserId, packet: Packet) {
        self.publish(EVERY_NODE.to_owned(), Envelope::Tell { user, packet });
    }

    /// What everyone may see of a user has changed: other nodes read it anew.
    pub(crate) fn profile_changed(&self, user: UserId) {
        self.publish(EVERY_NODE.to_owned(), Envelope::ProfileChanged { user });
    }

    /// Asks all other nodes to say when they have delivered up to an entry.
    pub(super) fn fence(&self, node: NodeId, number: u64, conversation: ConversationId, up_to: Seq) {
        let envelope = Envelope::Fence {
            node,
            number,
            conversation,
            up_to,
        };
        self.publish(EVERY_NODE.to_owned(), envelope);
    }

    /// Tells a node that asked so.
    pub(super) fn passed(&self, to: NodeId, node: NodeId, number: u64) {
        self.publish(channel_of(to), Envelope::Passed { node, number });
    }

    /// Tells all other nodes of this one.
    pub(super) fn sign(&self, node: NodeId, sign: Sign) {
        self.publish(EVERY_NODE.to_owned(), Envelope::Sign { node, sign });
    }

    /// Tells a node that is new of this one.
    pub(super) fn sign_to(&self, to: NodeId, node: NodeId) {
        let sign = Sign::Here;
        self.publish(channel_of(to), Envelope::Sign { node, sign });
    }

    /// Sessions have ended; every node looks for their sockets.
    pub fn end_sessions(&self, sessions: Vec<SessionId>, reason: EndReason) {
        self.publish(EVERY_NODE.to_owned(), Envelope::EndSessions { reason, sessions });
    }

    /// Hears what happens in a conversation elsewhere, from when it returns.
    pub(super) async fn listen(&self, conversation: ConversationId) {
        if let Err(error) = self.bus.subscribe(&channel(conversation)).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the bus took no subscription; the conversation is followed by comparing heads"
            );
        }
    }

    /// [`listen`](Outgoing::listen) to several at once.
    pub(super) async fn listen_all(&self, conversations: impl IntoIterator<Item = ConversationId>) {
        join_all(conversations.into_iter().map(|one| self.listen(one))).await;
    }

    pub(super) fn stop_listening(&self, conversation: ConversationId) {
        self.order(Order::StopListening { conversation });
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
        compare(&deliveries).await;
        if asked {
            deliveries.resubscribe_later();
        }
    }
}

async fn compare(deliveries: &Arc<Deliveries>) {
    if let Err(error) = deliveries.compare_heads().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "heads could not be compared; tried again later"
        );
    }
}

/// The bus channel of a conversation.
pub(super) fn channel(conversation: ConversationId) -> String {
    format!("c:{conversation}")
}

/// What one node alone listens to.
fn channel_of(node: NodeId) -> String {
    format!("n:{node}")
}
