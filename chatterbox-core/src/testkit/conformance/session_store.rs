//! Logins: rotation and revocation under any race.

use std::sync::Arc;

use super::{Port, at_once, count};
use crate::domain::session::Session;
use crate::ids::{SessionId, UserId};
use crate::ports::storage::{Rotation, SessionStore};
use crate::testkit::SeededIds;
use crate::testkit::samples::{in_secs, now, session};

/// One test per behaviour of a [`SessionStore`]; the argument makes an empty one.
#[macro_export]
macro_rules! session_store_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            session_store,
            real_time,
            $make,
            [
                a_session_comes_back_as_it_was_given,
                the_same_session_again_changes_nothing,
                a_rotation_takes_the_family_to_its_next_generation,
                of_twenty_racing_rotations_one_wins,
                a_rotation_from_elsewhere_changes_nothing,
                a_revoked_session_does_not_rotate,
                a_session_is_ended_once,
                of_twenty_racing_revocations_one_ends_the_session,
                a_rotation_never_revives_a_session,
                all_living_sessions_of_a_user_end_but_one,
                racing_revocations_of_all_tell_each_session_once,
                living_sessions_are_listed_newest_first,
                revocations_are_told_since_a_moment,
                a_sweep_deletes_what_ended_long_ago_and_nothing_else,
            ]
        );
    };
}

/// Every field, absent and present.
pub async fn a_session_comes_back_as_it_was_given<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let plain = session(&ids, UserId::new(&ids));
    let full = Session {
        salt: std::array::from_fn(|index| u8::try_from(index * 8).unwrap()),
        generation: u32::MAX - 1,
        rotated_at: in_secs(1),
        expires_at: in_secs(2),
        revoked_at: Some(in_secs(3)),
        user_agent: Some("Mozilla/5.0 (\"ß\"; 🐈)".to_owned()),
        ..session(&ids, plain.user)
    };
    for given in [plain, full] {
        store.insert(&given).await.unwrap();
        assert_eq!(store.get(given.id).await.unwrap(), Some(given));
    }
    assert_eq!(store.get(SessionId::new(&ids)).await.unwrap(), None);
}

/// The answer to the first attempt was lost.
pub async fn the_same_session_again_changes_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let given = session(&ids, UserId::new(&ids));
    store.insert(&given).await.unwrap();
    store.revoke(given.id, in_secs(1)).await.unwrap();
    store.insert(&given).await.unwrap();
    let stored = store.get(given.id).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(in_secs(1)));
}

/// S-055.
pub async fn a_rotation_takes_the_family_to_its_next_generation<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let given = session(&ids, UserId::new(&ids));
    store.insert(&given).await.unwrap();
    let answer = store
        .rotate(given.id, 0, in_secs(5), in_secs(4000))
        .await
        .unwrap();
    assert_eq!(answer, Rotation::Rotated);
    let expected = Session {
        generation: 1,
        rotated_at: in_secs(5),
        expires_at: in_secs(4000),
        ..given
    };
    assert_eq!(store.get(given.id).await.unwrap(), Some(expected));
}

/// S-055: two devices that refresh with one token at the same moment.
pub async fn of_twenty_racing_rotations_one_wins<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let given = session(&ids, UserId::new(&ids));
    store.insert(&given).await.unwrap();
    for generation in 0..3 {
        let answers = at_once(&store, 20, |store, _| async move {
            store
                .rotate(given.id, generation, now(), in_secs(4000))
                .await
                .unwrap()
        })
        .await;
        assert_eq!(count(&answers, |answer| *answer == Rotation::Rotated), 1);
    }
    assert_eq!(store.get(given.id).await.unwrap().unwrap().generation, 3);
}

/// An older or a later generation, or no such session.
pub async fn a_rotation_from_elsewhere_changes_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let given = Session {
        generation: 4,
        ..session(&ids, UserId::new(&ids))
    };
    store.insert(&given).await.unwrap();
    for (id, from) in [
        (given.id, 3),
        (given.id, 5),
        (given.id, u32::MAX),
        (SessionId::new(&ids), 4),
    ] {
        let answer = store.rotate(id, from, in_secs(1), in_secs(9)).await.unwrap();
        assert_eq!(answer, Rotation::Lost);
    }
    assert_eq!(store.get(given.id).await.unwrap(), Some(given));
}

/// S-054.
pub async fn a_revoked_session_does_not_rotate<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let given = session(&ids, UserId::new(&ids));
    store.insert(&given).await.unwrap();
    store.revoke(given.id, in_secs(1)).await.unwrap();
    let answer = store.rotate(given.id, 0, in_secs(2), in_secs(9)).await.unwrap();
    assert_eq!(answer, Rotation::Lost);
    assert_eq!(store.get(given.id).await.unwrap().unwrap().generation, 0);
}

/// The first end counts.
pub async fn a_session_is_ended_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let given = session(&ids, UserId::new(&ids));
    store.insert(&given).await.unwrap();
    assert!(store.revoke(given.id, in_secs(1)).await.unwrap());
    assert!(!store.revoke(given.id, in_secs(2)).await.unwrap());
    assert!(!store.revoke(SessionId::new(&ids), in_secs(2)).await.unwrap());
    let stored = store.get(given.id).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(in_secs(1)));
}

/// One of them announces it.
pub async fn of_twenty_racing_revocations_one_ends_the_session<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let given = session(&ids, UserId::new(&ids));
    store.insert(&given).await.unwrap();
    let answers = at_once(&store, 20, |store, _| async move {
        store.revoke(given.id, in_secs(1)).await.unwrap()
    })
    .await;
    assert_eq!(count(&answers, |ended| *ended), 1);
}

/// I8: a logout that races with a refresh.
pub async fn a_rotation_never_revives_a_session<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    for _ in 0..10 {
        let given = session(&ids, UserId::new(&ids));
        store.insert(&given).await.unwrap();
        at_once(&store, 8, |store, index| async move {
            if index == 4 {
                store.revoke(given.id, in_secs(1)).await.unwrap();
            } else {
                store.rotate(given.id, 0, in_secs(2), in_secs(9)).await.unwrap();
            }
        })
        .await;
        let stored = store.get(given.id).await.unwrap().unwrap();
        assert_eq!(stored.revoked_at, Some(in_secs(1)));
    }
}

/// S-054 `?all=true`, S-056.
pub async fn all_living_sessions_of_a_user_end_but_one<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let [first, second, kept, ended, of_bob] = [ann, ann, ann, ann, bob].map(|user| session(&ids, user));
    let expired = Session {
        expires_at: in_secs(1),
        ..session(&ids, ann)
    };
    for given in [&first, &second, &kept, &ended, &of_bob, &expired] {
        store.insert(given).await.unwrap();
    }
    store.revoke(ended.id, in_secs(1)).await.unwrap();

    let mut told = store.revoke_all(ann, Some(kept.id), in_secs(2)).await.unwrap();
    told.sort();
    assert_eq!(told, [first.id, second.id]);
    for (id, expected) in [
        (first.id, Some(in_secs(2))),
        (second.id, Some(in_secs(2))),
        (kept.id, None),
        (ended.id, Some(in_secs(1))),
        (of_bob.id, None),
    ] {
        assert_eq!(store.get(id).await.unwrap().unwrap().revoked_at, expected);
    }
    assert_eq!(store.revoke_all(ann, None, in_secs(3)).await.unwrap(), [kept.id]);
    assert_eq!(store.revoke_all(ann, None, in_secs(4)).await.unwrap(), []);
}

/// Each is announced once.
pub async fn racing_revocations_of_all_tell_each_session_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let mut expected = Vec::new();
    for _ in 0..10 {
        let given = session(&ids, ann);
        expected.push(given.id);
        store.insert(&given).await.unwrap();
    }
    let answers = at_once(&store, 8, |store, _| async move {
        store.revoke_all(ann, None, in_secs(1)).await.unwrap()
    })
    .await;
    let mut told = answers.concat();
    told.sort();
    assert_eq!(told, expected);
}

/// S-056.
pub async fn living_sessions_are_listed_newest_first<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let made = |user, at, expires| Session {
        created_at: in_secs(at),
        expires_at: in_secs(expires),
        ..session(&ids, user)
    };
    let old = made(ann, 1, 900);
    let new = made(ann, 3, 900);
    let middle = made(ann, 2, 900);
    let expired = made(ann, 4, 10);
    let ended = made(ann, 5, 900);
    let of_bob = made(bob, 6, 900);
    for given in [&old, &new, &middle, &expired, &ended, &of_bob] {
        store.insert(given).await.unwrap();
    }
    store.revoke(ended.id, in_secs(6)).await.unwrap();
    assert_eq!(store.of_user(ann, in_secs(10)).await.unwrap(), [new, middle, old]);
}

/// I8: earliest first, those of the moment itself included, whoever's they are.
pub async fn revocations_are_told_since_a_moment<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let mut revoked = Vec::new();
    for at in [5, 3, 4, 2] {
        let given = session(&ids, UserId::new(&ids));
        store.insert(&given).await.unwrap();
        store.revoke(given.id, in_secs(at)).await.unwrap();
        revoked.push(given.id);
    }
    store.insert(&session(&ids, UserId::new(&ids))).await.unwrap();
    let [fifth, third, fourth, second] = revoked[..] else {
        unreachable!("four were made");
    };
    for (since, limit, expected) in [
        (0, 9, vec![second, third, fourth, fifth]),
        (0, 2, vec![second, third]),
        (4, 9, vec![fourth, fifth]),
        (6, 9, vec![]),
    ] {
        let told = store.revoked_since(in_secs(since), limit).await.unwrap();
        assert_eq!(told, expected, "since {since}");
    }
}

/// At most as many as asked for.
pub async fn a_sweep_deletes_what_ended_long_ago_and_nothing_else<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: SessionStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let until = |expires, revoked: Option<u64>| Session {
        expires_at: in_secs(expires),
        revoked_at: revoked.map(in_secs),
        ..session(&ids, ann)
    };
    let gone = [until(99, None), until(500, Some(99)), until(50, Some(60))];
    let kept = [until(100, None), until(500, Some(100)), until(500, None)];
    for given in gone.iter().chain(&kept) {
        store.insert(given).await.unwrap();
    }
    assert_eq!(store.sweep(in_secs(100), 2).await.unwrap(), 2);
    assert_eq!(store.sweep(in_secs(100), 2).await.unwrap(), 1);
    assert_eq!(store.sweep(in_secs(100), 2).await.unwrap(), 0);
    for given in gone {
        assert_eq!(store.get(given.id).await.unwrap(), None);
    }
    for given in kept {
        assert_eq!(store.get(given.id).await.unwrap(), Some(given));
    }
}
