//! What concerns one user reaches all devices of that user, on whichever node, and nobody else.

#![expect(
    clippy::unwrap_used,
    reason = "this is test code; a failure is to end the test"
)]

use std::sync::Arc;

use chatterbox_core::app::{Effect, EndReason, UserSignal};
use chatterbox_core::clock::SystemClock;
use chatterbox_core::engine::eio::QueueLimits;
use chatterbox_core::hub::{Channel, Detached, Hub};
use chatterbox_core::ids::{NodeId, SessionId, SystemIds, UserId};
use chatterbox_core::layers::{Carry, Publisher};
use chatterbox_core::log::{Deliveries, Encoder, Fences, Relay};
use chatterbox_core::memory::{MemoryBus, MemoryStores};
use chatterbox_core::ports::bus::Bus;
use chatterbox_core::ports::storage::Stores;
use chatterbox_core::role::Role;
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::views::Names;

struct Node {
    deliveries: Arc<Deliveries>,
    publisher: Publisher,
    _tasks: Tasks,
}

impl Node {
    fn new(bus: &MemoryBus, stores: &Stores) -> Node {
        let tasks = Tasks::new();
        let hub: Arc<Hub<Channel>> = Arc::new(Hub::new());
        let (relay, outgoing) = Relay::new(bus.node() as Arc<dyn Bus>);
        let names = Names::new(stores.users.clone());
        let deliveries = Deliveries::new(
            hub.clone(),
            stores.clone(),
            Encoder::new(names.clone()),
            Some(outgoing.clone()),
            tasks.clone(),
        );
        let fences = Fences::new(NodeId::new(&SystemIds::new()), Role::Api, outgoing);
        relay.start(&tasks, hub, deliveries.clone(), fences, |_, _| {});
        let publisher = Publisher::new(deliveries.clone(), names, Arc::new(SystemClock));
        Node {
            deliveries,
            publisher,
            _tasks: tasks,
        }
    }

    async fn device(&self, of: UserId) -> Detached {
        let device = Detached::new(QueueLimits::default());
        self.deliveries.attend(&device.link(), of).await;
        device
    }
}

fn heard(device: &Detached) -> Vec<String> {
    let frames = device.take_sent().into_iter();
    frames
        .map(|frame| String::from_utf8(frame.payload().to_vec()).unwrap())
        .collect()
}

/// Lets everything that can run without time passing run.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_135_all_devices_of_a_user_hear_of_a_block_on_every_node() {
    let (bus, stores, ids) = (MemoryBus::new(), MemoryStores::new(10), SeededIds::new(1));
    let [one, two] = [(); 2].map(|()| Node::new(&bus, &stores));
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let devices = [
        one.device(ann).await,
        one.device(ann).await,
        two.device(ann).await,
    ];
    let others = [one.device(bob).await, two.device(bob).await];
    settle().await;
    let tell = |event| Effect::Tell { user: ann, event };
    one.publisher
        .carry(&[
            tell(UserSignal::UserBlocked(bob)),
            Effect::EndSessions {
                sessions: vec![SessionId::new(&ids)],
                reason: EndReason::Revoked,
            },
            tell(UserSignal::UserUnblocked(bob)),
        ])
        .await;
    settle().await;
    let expected = [
        format!(r#"42["user-blocked",{{"userId":"{bob}"}}]"#),
        format!(r#"42["user-unblocked",{{"userId":"{bob}"}}]"#),
    ];
    for device in &devices {
        assert_eq!(heard(device), expected);
    }
    for device in &others {
        assert_eq!(heard(device), [""; 0]);
    }
}
