//! The fence of a removal (S-068): its reply waits until no node delivers anything more to the removed user, 5 s at most.
//!
//! ```text
//! A: removal durable and announced ─▶ Fence { A, number, conversation, seq } ─▶ all nodes
//! B: delivered up to seq, or watches it not at all ─▶ Passed { B, number } ─▶ A
//! A: all nodes that are there have passed, or time is up ─▶ reply
//! ```
//! Nodes with sockets say every 5 s that they are there, and at once to one that is new; one that was not heard for 15 s is
//! not waited for. None of it is needed for the rule itself: every node drops the user at the removal's place in the log
//! (I5), whenever it comes there. The fence makes the reply tell the truth about all nodes in all but the worst moments.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::delivery::Deliveries;
use super::envelope::Sign;
use super::relay::Outgoing;
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, NodeId};
use crate::role::Role;

/// How long a reply waits at most.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a node says that it is there, and for how long that is believed.
const SIGN_EVERY: Duration = Duration::from_secs(5);
const SIGN_GOOD_FOR: Duration = Duration::from_secs(15);
/// Nodes known at most; more are not waited for.
const NODES_MAX: usize = 1_000;

/// What a node knows of the others, and what it waits for.
pub struct Fences {
    node: NodeId,
    role: Role,
    outgoing: Outgoing,
    state: Mutex<State>,
    gone: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The others, and when they were heard last.
    nodes: HashMap<NodeId, Instant>,
    next: u64,
    waiting: HashMap<u64, Waiting>,
}

struct Waiting {
    missing: HashSet<NodeId>,
    /// Told when nobody is missing.
    passed: Option<oneshot::Sender<()>>,
}

impl Fences {
    /// Of this node, which talks to the others through `outgoing`.
    pub fn new(node: NodeId, role: Role, outgoing: Outgoing) -> Arc<Fences> {
        Arc::new(Fences {
            node,
            role,
            outgoing,
            state: Mutex::default(),
            gone: AtomicBool::new(false),
        })
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Says for ever that this node is there, if it has sockets that others may have to wait for.
    pub(super) async fn keep_signing(self: Arc<Fences>) {
        let mut sign = Sign::New;
        loop {
            if self.role.serves_sockets() && !self.gone.load(Ordering::Acquire) {
                self.outgoing.sign(self.node, sign);
            }
            sign = Sign::Here;
            sleep(SIGN_EVERY).await;
            let mut state = self.lock();
            state.nodes.retain(|_, heard| heard.elapsed() < SIGN_GOOD_FOR);
        }
    }

    /// This node has no sockets any more: nobody needs to wait for it.
    pub fn leave(&self) {
        if self.role.serves_sockets() && !self.gone.swap(true, Ordering::AcqRel) {
            self.outgoing.sign(self.node, Sign::Gone);
        }
    }

    /// Waits until this node and all others have delivered the conversation up to an entry, or watch it not at all; 5 s
    /// at most.
    pub async fn pass(&self, deliveries: &Arc<Deliveries>, conversation: ConversationId, up_to: Seq) {
        let began = Instant::now();
        let waiting = self.begin();
        if let Some((number, _)) = &waiting {
            self.outgoing.fence(self.node, *number, conversation, up_to);
        }
        let elsewhere = async {
            if let Some((_, passed)) = waiting {
                // The sender goes with the entry in `waiting`, which nobody takes out but below.
                passed.await;
            }
        };
        let here = deliveries.delivered(conversation, up_to);
        if timeout(WAIT_MAX, async { tokio::join!(here, elsewhere) })
            .await
            .is_err()
        {
            tracing::info!(
                conversation.id = %conversation,
                "not all nodes have said within {:?} that they delivered a removal; order keeps what follows it from the \
                 removed user all the same",
                began.elapsed()
            );
        }
    }

    /// Waits for the others, if there are any.
    fn begin(&self) -> Option<(u64, Passed<'_>)> {
        let mut state = self.lock();
        let there = |(node, heard): (&NodeId, &Instant)| (heard.elapsed() < SIGN_GOOD_FOR).then_some(*node);
        let missing: HashSet<NodeId> = state.nodes.iter().filter_map(there).collect();
        if missing.is_empty() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let waiting = Waiting {
            missing,
            passed: Some(sender),
        };
        state.waiting.insert(number, waiting);
        drop(state);
        let passed = Passed {
            fences: self,
            number,
            receiver,
        };
        Some((number, passed))
    }

    /// Another node asks.
    pub(super) fn asked(
        &self,
        deliveries: &Arc<Deliveries>,
        by: NodeId,
        number: u64,
        conversation: ConversationId,
        up_to: Seq,
    ) {
        if !self.role.serves_sockets() || self.gone.load(Ordering::Acquire) {
            return;
        }
        if deliveries.has_delivered(conversation, up_to) {
            self.outgoing.passed(by, self.node, number);
            return;
        }
        let (deliveries, outgoing, node) = (deliveries.clone(), self.outgoing.clone(), self.node);
        let tasks = deliveries.tasks.clone();
        tasks.spawn_until_stopped(async move {
            // Nobody waits for longer.
            let delivered = timeout(WAIT_MAX, deliveries.delivered(conversation, up_to)).await;
            if delivered.is_ok() {
                outgoing.passed(by, node, number);
            }
        });
    }

    /// Another node has passed.
    pub(super) fn heard_passed(&self, node: NodeId, number: u64) {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.get_mut(&number) {
            waiting.missing.remove(&node);
            waiting.look();
        }
    }

    /// Another node says that it is there, or no longer.
    pub(super) fn heard_sign(&self, node: NodeId, sign: Sign) {
        if node == self.node {
            return;
        }
        let mut state = self.lock();
        match sign {
            Sign::Here | Sign::New => {
                if state.nodes.contains_key(&node) || state.nodes.len() < NODES_MAX {
                    state.nodes.insert(node, Instant::now());
                }
            }
            Sign::Gone => {
                state.nodes.remove(&node);
                for waiting in state.waiting.values_mut() {
                    waiting.missing.remove(&node);
                    waiting.look();
                }
            }
        }
        drop(state);
        let is_here = self.role.serves_sockets() && !self.gone.load(Ordering::Acquire);
        if sign == Sign::New && is_here {
            self.outgoing.sign_to(node, self.node);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn look(&mut self) {
        if self.missing.is_empty()
            && let Some(passed) = self.passed.take()
        {
            // Whoever waited may have had enough.
            let _ = passed.send(());
        }
    }
}

/// The wait for others; forgotten when dropped.
struct Passed<'a> {
    fences: &'a Fences,
    number: u64,
    receiver: oneshot::Receiver<()>,
}

impl Future for Passed<'_> {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::pin::Pin::new(&mut self.receiver).poll(context).map(drop)
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.fences.lock().waiting.remove(&self.number);
    }
}
