//! Presence: appearing and vanishing exactly once, and no ghosts (I7).

use std::sync::Arc;
use std::time::Duration;

use super::{Port, at_once, count};
use crate::ids::{ConversationId, NodeId, UserId};
use crate::ports::presence::{Presence, Renewal, Transition};
use crate::testkit::SeededIds;
use crate::testkit::samples::{in_secs, now};

/// One test per behaviour of a [`Presence`]; the argument makes one that knows nobody.
#[macro_export]
macro_rules! presence_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            presence,
            real_time,
            $make,
            [
                a_user_appears_with_the_first_node_and_vanishes_with_the_last,
                arriving_and_leaving_again_change_nothing,
                of_twenty_racing_arrivals_one_makes_the_user_appear,
                of_twenty_racing_leaves_one_makes_the_user_vanish,
                a_user_was_last_seen_when_they_vanished,
                those_online_are_told_from_others,
                who_is_away_everywhere_is_away,
                leaving_the_last_device_and_coming_back_is_told_once,
                who_watches_a_room_counts_once_and_for_a_while,
                a_node_that_stops_renewing_is_claimed_with_its_users,
                of_twenty_racing_claims_one_gets_the_node,
                a_node_that_renews_is_not_claimed,
                a_node_that_never_renewed_is_claimed,
                a_node_that_was_claimed_is_told_so,
                nodes_are_claimed_one_by_one,
            ]
        );
    };
}

const LEASE: Duration = Duration::from_secs(30);

fn two_nodes(ids: &SeededIds) -> (NodeId, NodeId) {
    (NodeId::new(ids), NodeId::new(ids))
}

async fn is_online(presence: &impl Port<Target: Presence>, user: UserId) -> bool {
    !presence.online_among(&[user]).await.unwrap().is_empty()
}

/// S-103, S-104.
pub async fn a_user_appears_with_the_first_node_and_vanishes_with_the_last<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let (one, two) = two_nodes(&ids);
    for node in [one, two] {
        presence.renew(node, now(), LEASE).await.unwrap();
    }
    for (arrives, node, expected, online) in [
        (true, one, Transition::Appeared, true),
        (true, two, Transition::None, true),
        (false, one, Transition::None, true),
        (false, two, Transition::Vanished, false),
        (true, two, Transition::Appeared, true),
    ] {
        let transition = if arrives {
            presence.arrive(ann, node, now()).await.unwrap()
        } else {
            presence.leave(ann, node, now()).await.unwrap()
        };
        assert_eq!(transition, expected);
        assert_eq!(is_online(&presence, ann).await, online);
    }
}

/// And leaving without having come.
pub async fn arriving_and_leaving_again_change_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let (one, two) = two_nodes(&ids);
    assert_eq!(presence.leave(ann, one, now()).await.unwrap(), Transition::None);
    presence.arrive(ann, one, now()).await.unwrap();
    assert_eq!(presence.arrive(ann, one, now()).await.unwrap(), Transition::None);
    assert_eq!(presence.leave(ann, two, now()).await.unwrap(), Transition::None);
    assert!(is_online(&presence, ann).await);
    assert_eq!(
        presence.leave(ann, one, now()).await.unwrap(),
        Transition::Vanished
    );
    assert_eq!(presence.leave(ann, one, now()).await.unwrap(), Transition::None);
}

/// It is announced once.
pub async fn of_twenty_racing_arrivals_one_makes_the_user_appear<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let ann = UserId::new(&*ids);
    let transitions = at_once(&presence, 20, |presence, _| {
        let node = NodeId::new(&*ids);
        async move { presence.arrive(ann, node, now()).await.unwrap() }
    })
    .await;
    assert_eq!(count(&transitions, |it| *it == Transition::Appeared), 1);
    assert_eq!(count(&transitions, |it| *it == Transition::None), 19);
}

/// It is announced once.
pub async fn of_twenty_racing_leaves_one_makes_the_user_vanish<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let nodes: Vec<NodeId> = (0..20).map(|_| NodeId::new(&ids)).collect();
    for node in &nodes {
        presence.arrive(ann, *node, now()).await.unwrap();
    }
    let transitions = at_once(&presence, 20, |presence, index| {
        let node = nodes[index];
        async move { presence.leave(ann, node, now()).await.unwrap() }
    })
    .await;
    assert_eq!(count(&transitions, |it| *it == Transition::Vanished), 1);
    assert!(!is_online(&*presence, ann).await);
}

/// `None` while online, and for who never came.
pub async fn a_user_was_last_seen_when_they_vanished<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let (ann, node) = (UserId::new(&ids), NodeId::new(&ids));
    assert_eq!(presence.last_seen(&[ann]).await.unwrap(), [None]);
    presence.arrive(ann, node, in_secs(1)).await.unwrap();
    assert_eq!(presence.last_seen(&[ann]).await.unwrap(), [None]);
    presence.leave(ann, node, in_secs(2)).await.unwrap();
    assert_eq!(presence.last_seen(&[ann]).await.unwrap(), [Some(in_secs(2))]);
    presence.arrive(ann, node, in_secs(3)).await.unwrap();
    assert_eq!(presence.last_seen(&[ann]).await.unwrap(), [None]);
}

/// S-061.
pub async fn those_online_are_told_from_others<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let node = NodeId::new(&ids);
    let users: Vec<UserId> = (0..100).map(|_| UserId::new(&ids)).collect();
    for user in users.iter().step_by(3) {
        presence.arrive(*user, node, now()).await.unwrap();
    }
    let mut online = presence.online_among(&users).await.unwrap();
    online.sort();
    assert_eq!(online, users.iter().copied().step_by(3).collect::<Vec<_>>());
    assert_eq!(presence.online_among(&[]).await.unwrap(), []);
}

/// S-092.
pub async fn who_is_away_everywhere_is_away<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let (one, two) = two_nodes(&ids);
    let is_away = async || presence.away_among(&[ann]).await.unwrap() == [ann];
    presence.set_away(ann, one, true).await.unwrap();
    assert!(!is_away().await, "not online at all");
    presence.arrive(ann, one, now()).await.unwrap();
    assert!(!is_away().await);
    for _ in 0..2 {
        presence.set_away(ann, one, true).await.unwrap();
        assert!(is_away().await);
    }
    assert!(is_online(&presence, ann).await);
    presence.arrive(ann, two, now()).await.unwrap();
    assert!(!is_away().await);
    presence.set_away(ann, two, true).await.unwrap();
    assert!(is_away().await);
    presence.set_away(ann, one, false).await.unwrap();
    assert!(!is_away().await);
    presence.leave(ann, one, now()).await.unwrap();
    assert!(is_away().await);
    presence.leave(ann, two, now()).await.unwrap();
    presence.arrive(ann, two, now()).await.unwrap();
    assert!(!is_away().await, "forgotten with the leave");
}

/// S-074: on however many nodes.
pub async fn who_watches_a_room_counts_once_and_for_a_while<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let [tea, jam, empty] = [(); 3].map(|()| ConversationId::new(&ids));
    let [ann, bob, cid] = [(); 3].map(|()| UserId::new(&ids));
    let counts = async |secs| {
        let rooms = [jam, empty, tea];
        presence.watchers_of(&rooms, in_secs(secs)).await.unwrap()
    };
    let names = async |rooms: &[(ConversationId, Vec<UserId>)], secs| {
        let (now, until) = (in_secs(secs), in_secs(secs + 10));
        presence.watch_rooms(rooms, now, until).await.unwrap();
    };
    assert_eq!(counts(0).await, [0, 0, 0]);
    names(&[(tea, vec![ann, bob]), (jam, vec![ann])], 0).await;
    names(&[(tea, vec![bob, cid])], 4).await;
    assert_eq!(counts(5).await, [1, 0, 3]);
    // Who is named later counts longer, also if the other node comes after with an earlier time.
    names(&[(tea, vec![cid])], 2).await;
    assert_eq!(counts(11).await, [0, 0, 2]);
    assert_eq!(counts(13).await, [0, 0, 2]);
    assert_eq!(counts(14).await, [0, 0, 0]);
    assert!(presence.watchers_of(&[], in_secs(0)).await.unwrap().is_empty());
    presence.watch_rooms(&[], in_secs(0), in_secs(9)).await.unwrap();
    let many: Vec<UserId> = (0..1_200).map(|_| UserId::new(&ids)).collect();
    names(&[(jam, many)], 20).await;
    assert_eq!(counts(21).await, [1_200, 0, 0]);
}

/// S-092: over all nodes.
pub async fn leaving_the_last_device_and_coming_back_is_told_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    enum Does {
        Arrives,
        Leaves,
        Rests,
        Wakes,
    }
    let presence = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let (one, two) = two_nodes(&ids);
    for (step, (does, node, expected)) in [
        (Does::Rests, one, Transition::None),
        (Does::Arrives, one, Transition::Appeared),
        (Does::Rests, one, Transition::WentAway),
        (Does::Rests, one, Transition::None),
        (Does::Wakes, one, Transition::CameBack),
        (Does::Wakes, one, Transition::None),
        (Does::Arrives, two, Transition::None),
        (Does::Rests, one, Transition::None),
        (Does::Rests, two, Transition::WentAway),
        (Does::Wakes, one, Transition::CameBack),
        (Does::Leaves, one, Transition::WentAway),
        (Does::Arrives, one, Transition::CameBack),
        (Does::Leaves, two, Transition::None),
        (Does::Leaves, one, Transition::Vanished),
    ]
    .into_iter()
    .enumerate()
    {
        let transition = match does {
            Does::Arrives => presence.arrive(ann, node, now()).await,
            Does::Leaves => presence.leave(ann, node, now()).await,
            Does::Rests => presence.set_away(ann, node, true).await,
            Does::Wakes => presence.set_away(ann, node, false).await,
        };
        assert_eq!(transition.unwrap(), expected, "step {step}");
    }
}

/// I7, edge case 14: a node that was killed. Who is elsewhere too does not vanish.
pub async fn a_node_that_stops_renewing_is_claimed_with_its_users<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let (dead, alive) = two_nodes(&ids);
    presence.renew(dead, now(), LEASE).await.unwrap();
    presence.renew(alive, in_secs(20), LEASE).await.unwrap();
    for (user, node) in [(ann, dead), (bob, dead), (bob, alive)] {
        presence.arrive(user, node, now()).await.unwrap();
    }
    assert_eq!(presence.claim_expired(in_secs(29)).await.unwrap(), None);
    assert_eq!(
        presence.claim_expired(in_secs(31)).await.unwrap(),
        Some(vec![ann])
    );
    assert_eq!(presence.claim_expired(in_secs(31)).await.unwrap(), None);
    assert!(!is_online(&presence, ann).await);
    assert!(is_online(&presence, bob).await);
    assert_eq!(presence.last_seen(&[ann]).await.unwrap(), [Some(in_secs(30))]);
    assert_eq!(
        presence.leave(bob, alive, in_secs(32)).await.unwrap(),
        Transition::Vanished
    );
}

/// Its users are announced once.
pub async fn of_twenty_racing_claims_one_gets_the_node<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let (ann, node) = (UserId::new(&ids), NodeId::new(&ids));
    presence.renew(node, now(), LEASE).await.unwrap();
    presence.arrive(ann, node, now()).await.unwrap();
    let claims = at_once(&presence, 20, |presence, _| async move {
        presence.claim_expired(in_secs(60)).await.unwrap()
    })
    .await;
    assert_eq!(count(&claims, |claim| claim.as_deref() == Some(&[ann][..])), 1);
    assert_eq!(count(&claims, Option::is_none), 19);
}

/// As long as it does.
pub async fn a_node_that_renews_is_not_claimed<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let (ann, node) = (UserId::new(&ids), NodeId::new(&ids));
    assert_eq!(presence.renew(node, now(), LEASE).await.unwrap(), Renewal::Fresh);
    presence.arrive(ann, node, now()).await.unwrap();
    for secs in [10, 20, 30, 59] {
        let renewal = presence.renew(node, in_secs(secs), LEASE).await.unwrap();
        assert_eq!(renewal, Renewal::Held);
        assert_eq!(presence.claim_expired(in_secs(secs + 29)).await.unwrap(), None);
    }
    assert!(is_online(&presence, ann).await);
}

/// No ghosts of a node that died between its first connection and its first renewal.
pub async fn a_node_that_never_renewed_is_claimed<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let (ann, node) = (UserId::new(&ids), NodeId::new(&ids));
    presence.arrive(ann, node, now()).await.unwrap();
    assert_eq!(presence.claim_expired(in_secs(1)).await.unwrap(), Some(vec![ann]));
}

/// A laptop's sleep, a long stop: the users of the node must arrive again.
pub async fn a_node_that_was_claimed_is_told_so<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let (ann, node) = (UserId::new(&ids), NodeId::new(&ids));
    presence.renew(node, now(), LEASE).await.unwrap();
    presence.arrive(ann, node, now()).await.unwrap();
    presence.claim_expired(in_secs(31)).await.unwrap();
    let renewal = presence.renew(node, in_secs(40), LEASE).await.unwrap();
    assert_eq!(renewal, Renewal::Fresh);
    assert!(!is_online(&presence, ann).await);
    let arrival = presence.arrive(ann, node, in_secs(40)).await.unwrap();
    assert_eq!(arrival, Transition::Appeared);
    let renewal = presence.renew(node, in_secs(41), LEASE).await.unwrap();
    assert_eq!(renewal, Renewal::Held);
}

/// Also those without users.
pub async fn nodes_are_claimed_one_by_one<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Presence>,
{
    let presence = make().await;
    let ids = SeededIds::new(1);
    let users: Vec<UserId> = (0..3).map(|_| UserId::new(&ids)).collect();
    for user in &users {
        let node = NodeId::new(&ids);
        presence.renew(node, now(), LEASE).await.unwrap();
        presence.arrive(*user, node, now()).await.unwrap();
    }
    presence.renew(NodeId::new(&ids), now(), LEASE).await.unwrap();
    let mut vanished = Vec::new();
    for _ in 0..4 {
        let claimed = presence.claim_expired(in_secs(31)).await.unwrap().unwrap();
        assert!(claimed.len() <= 1);
        vanished.extend(claimed);
    }
    assert_eq!(presence.claim_expired(in_secs(31)).await.unwrap(), None);
    vanished.sort();
    assert_eq!(vanished, users);
}
