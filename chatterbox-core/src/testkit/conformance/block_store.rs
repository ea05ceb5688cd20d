//! Blocks: one row per ordered pair, a bound per user, and both directions asked at once (S-135).

use std::sync::Arc;

use super::{Port, at_once, count};
use crate::ids::UserId;
use crate::ports::storage::{Between, Block, BlockStore, Blocked};
use crate::testkit::SeededIds;
use crate::testkit::samples::{in_secs, now};

/// One test per behaviour of a [`BlockStore`]; the argument makes an empty one.
#[macro_export]
macro_rules! block_store_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            block_store,
            real_time,
            $make,
            [
                a_block_has_a_direction,
                blocking_again_changes_nothing,
                unblocking_ends_it_once,
                of_many_those_concerned_are_found,
                the_bound_is_per_user_and_freed_by_unblocking,
                of_twenty_racing_blocks_of_one_pair_one_is_new,
                racing_blocks_never_exceed_the_bound,
                the_list_pages_in_order_of_id,
            ]
        );
    };
}

const PLENTY: u64 = 1000;

fn some_users<const N: usize>() -> [UserId; N] {
    let ids = SeededIds::new(1);
    std::array::from_fn(|_| UserId::new(&ids))
}

fn sorted(mut users: Vec<UserId>) -> Vec<UserId> {
    users.sort_unstable();
    users
}

/// Who blocks whom is told apart, whichever way it is asked; oneself and strangers are not blocked.
pub async fn a_block_has_a_direction<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = make().await;
    let [ann, bob, cid] = some_users();
    assert_eq!(store.block(ann, bob, now(), PLENTY).await.unwrap(), Blocked::Now);
    let between = |first_blocks, second_blocks| Between {
        first_blocks,
        second_blocks,
    };
    for (first, second, expected) in [
        (ann, bob, between(true, false)),
        (bob, ann, between(false, true)),
        (ann, cid, between(false, false)),
        (bob, cid, between(false, false)),
        (ann, ann, between(false, false)),
    ] {
        assert_eq!(store.between(first, second).await.unwrap(), expected);
    }
    store.block(bob, ann, now(), PLENTY).await.unwrap();
    assert_eq!(store.between(ann, bob).await.unwrap(), between(true, true));
    store.unblock(ann, bob).await.unwrap();
    assert_eq!(store.between(ann, bob).await.unwrap(), between(false, true));
}

/// The first stamp stays.
pub async fn blocking_again_changes_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = make().await;
    let [ann, bob] = some_users();
    assert_eq!(store.block(ann, bob, now(), PLENTY).await.unwrap(), Blocked::Now);
    // Also when the user may block nobody else any more.
    for blocks_max in [PLENTY, 1, 0] {
        let again = store.block(ann, bob, in_secs(5), blocks_max).await.unwrap();
        assert_eq!(again, Blocked::Already);
    }
    let block = Block {
        user: bob,
        since: now(),
    };
    assert_eq!(store.list(ann, None, 10).await.unwrap(), [block]);
}

/// Only the call that ended a block says so.
pub async fn unblocking_ends_it_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = make().await;
    let [ann, bob] = some_users();
    assert!(!store.unblock(ann, bob).await.unwrap());
    store.block(ann, bob, now(), PLENTY).await.unwrap();
    assert!(!store.unblock(bob, ann).await.unwrap(), "the other direction");
    assert!(store.unblock(ann, bob).await.unwrap());
    assert!(!store.unblock(ann, bob).await.unwrap());
    assert_eq!(store.between(ann, bob).await.unwrap(), Between::default());
    assert_eq!(
        store.block(ann, bob, in_secs(9), PLENTY).await.unwrap(),
        Blocked::Now
    );
    assert_eq!(store.list(ann, None, 10).await.unwrap()[0].since, in_secs(9));
}

/// Both questions about many users, with repetitions and up to 1,000 of them.
pub async fn of_many_those_concerned_are_found<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = make().await;
    let users: [UserId; 1001] = some_users();
    let (ann, others) = (users[0], &users[1..]);
    for (blocker, blocked) in [
        (others[0], ann),
        (others[999], ann),
        (ann, others[1]),
        (ann, others[999]),
        (others[2], others[3]),
    ] {
        store.block(blocker, blocked, now(), PLENTY).await.unwrap();
    }
    let blockers = store.blockers(ann, 1_000).await.unwrap();
    assert_eq!(sorted(blockers), sorted(vec![others[0], others[999]]));
    assert_eq!(store.blockers(ann, 1).await.unwrap().len(), 1);
    assert_eq!(store.blockers(others[5], 9).await.unwrap(), []);
    let blockers = store.blockers_of(ann, others).await.unwrap();
    assert_eq!(sorted(blockers), sorted(vec![others[0], others[999]]));
    let blocked = store.blocked_by(ann, others).await.unwrap();
    assert_eq!(sorted(blocked), sorted(vec![others[1], others[999]]));
    let again = [others[0], others[0], others[5]];
    assert_eq!(store.blockers_of(ann, &again).await.unwrap(), [others[0]]);
    assert_eq!(store.blockers_of(ann, &others[3..9]).await.unwrap(), []);
    assert_eq!(store.blocked_by(ann, &[]).await.unwrap(), []);
}

/// Others' blocks don't count, and a refusal changes nothing.
pub async fn the_bound_is_per_user_and_freed_by_unblocking<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = make().await;
    let [ann, bob, cid, dan] = some_users();
    for (user, other, expected) in [
        (ann, bob, Blocked::Now),
        (ann, cid, Blocked::Now),
        (ann, dan, Blocked::TooMany),
        (bob, ann, Blocked::Now),
        (cid, ann, Blocked::Now),
    ] {
        assert_eq!(store.block(user, other, now(), 2).await.unwrap(), expected);
    }
    assert!(!store.between(ann, dan).await.unwrap().any());
    store.unblock(ann, bob).await.unwrap();
    assert_eq!(store.block(ann, dan, now(), 2).await.unwrap(), Blocked::Now);
}

/// The others learn that it was so already.
pub async fn of_twenty_racing_blocks_of_one_pair_one_is_new<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = Arc::new(make().await);
    let [ann, bob] = some_users();
    let answers = at_once(&store, 20, move |store, _| async move {
        store.block(ann, bob, now(), 1).await.unwrap()
    })
    .await;
    assert_eq!(count(&answers, |answer| *answer == Blocked::Now), 1);
    assert_eq!(count(&answers, |answer| *answer == Blocked::Already), 19);
}

/// The bound holds under any race.
pub async fn racing_blocks_never_exceed_the_bound<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = Arc::new(make().await);
    let users: [UserId; 21] = some_users();
    let answers = at_once(&store, 20, move |store, index| async move {
        store.block(users[20], users[index], now(), 5).await.unwrap()
    })
    .await;
    assert_eq!(count(&answers, |answer| *answer == Blocked::Now), 5);
    assert_eq!(count(&answers, |answer| *answer == Blocked::TooMany), 15);
    assert_eq!(store.list(users[20], None, 100).await.unwrap().len(), 5);
}

/// One's own blocks only.
pub async fn the_list_pages_in_order_of_id<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: BlockStore>,
{
    let store = make().await;
    let users: [UserId; 8] = some_users();
    let (ann, bob) = (users[0], users[1]);
    for other in [users[4], users[2], users[3], users[5]] {
        store.block(ann, other, now(), PLENTY).await.unwrap();
    }
    store.block(bob, users[6], now(), PLENTY).await.unwrap();
    let list = async |after, limit| -> Vec<UserId> {
        let page = store.list(ann, after, limit).await.unwrap();
        page.into_iter().map(|block| block.user).collect()
    };
    let all = sorted(users[2..6].to_vec());
    assert_eq!(list(None, 10).await, all);
    assert_eq!(list(None, 2).await, all[..2]);
    assert_eq!(list(Some(all[1]), 2).await, all[2..]);
    assert_eq!(list(Some(all[3]), 2).await, []);
    assert_eq!(store.list(users[7], None, 10).await.unwrap(), []);
}
