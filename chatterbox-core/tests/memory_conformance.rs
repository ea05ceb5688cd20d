//! The in-memory twins behave as every adapter does.

use std::sync::Arc;

use chatterbox_core::memory::{
    MemoryBlobs, MemoryBlocks, MemoryBus, MemoryLog, MemoryPresence, MemoryQueue, MemoryRateLimiter,
    MemorySessions, MemoryStores, MemoryUsers,
};

const PLENTY: usize = 100_000;

chatterbox_core::user_store_conformance!(async || Arc::new(MemoryUsers::new(PLENTY)));
chatterbox_core::session_store_conformance!(async || Arc::new(MemorySessions::new(PLENTY)));
chatterbox_core::block_store_conformance!(async || Arc::new(MemoryBlocks::new(PLENTY)));
chatterbox_core::conversation_store_conformance!(async || MemoryStores::new(PLENTY).conversations);
chatterbox_core::private_conversations_conformance!(async || Arc::new(MemoryStores::new(PLENTY)));
chatterbox_core::projections_conformance!(async || Arc::new(MemoryStores::new(PLENTY)));
chatterbox_core::conversation_lists_conformance!(async || Arc::new(MemoryStores::new(PLENTY)));
chatterbox_core::message_store_conformance!(async || Arc::new(MemoryStores::new(PLENTY)));
chatterbox_core::conversation_log_conformance!(async || Arc::new(MemoryLog::new(PLENTY)));
chatterbox_core::rate_limiter_conformance!(async || Arc::new(MemoryRateLimiter::new(PLENTY)));
chatterbox_core::presence_conformance!(async || Arc::new(MemoryPresence::new(PLENTY)));
chatterbox_core::queue_conformance!(async || Arc::new(MemoryQueue::new(PLENTY)));
chatterbox_core::blobs_conformance!(async || Arc::new(MemoryBlobs::new(1 << 30)));
chatterbox_core::bus_conformance!(async || {
    let bus = MemoryBus::new();
    [bus.node(), bus.node()]
});

/// A store at its bound answers `Full` to what would add a row, and serves the rest.
mod bounds {
    use chatterbox_core::domain::entry::Seq;
    use chatterbox_core::ids::{ConversationId, JobId, UserId};
    use chatterbox_core::memory::{MemoryQueue, MemoryStores};
    use chatterbox_core::ports::queue::Queue;
    use chatterbox_core::ports::storage::{Appended, Head, InsertUserError, StoreError};
    use chatterbox_core::testkit::SeededIds;
    use chatterbox_core::testkit::samples::{ROOMS_MAX, message, new_room, new_user, now, session};

    #[tokio::test]
    async fn full_stores_say_so_and_go_on() {
        let ids = SeededIds::new(1);
        let stores = MemoryStores::new(2);
        let ann = new_user(&ids, "ann");
        stores.users.insert(ann.clone()).await.unwrap();
        stores.users.insert(new_user(&ids, "bob")).await.unwrap();
        let full = stores.users.insert(new_user(&ids, "cid")).await;
        assert!(
            matches!(full, Err(InsertUserError::Store(StoreError::Full))),
            "{full:?}"
        );
        let taken = stores.users.insert(new_user(&ids, "ann")).await;
        assert!(matches!(taken, Err(InsertUserError::UsernameTaken)), "{taken:?}");
        assert!(stores.users.set_admin(ann.id, true).await.unwrap());

        let first = session(&ids, ann.id);
        stores.sessions.insert(&first).await.unwrap();
        stores.sessions.insert(&session(&ids, ann.id)).await.unwrap();
        let full = stores.sessions.insert(&session(&ids, ann.id)).await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        assert!(stores.sessions.revoke(first.id, now()).await.unwrap());

        let (bob, cid, dan) = (UserId::new(&ids), UserId::new(&ids), UserId::new(&ids));
        for (other, expected) in [(bob, true), (cid, true), (dan, false), (bob, true)] {
            let answer = stores.blocks.block(ann.id, other, now(), 9).await;
            assert_eq!(answer.is_ok(), expected, "{answer:?}");
        }
        assert!(stores.blocks.unblock(ann.id, bob).await.unwrap());

        let room = new_room(&ids, "general", Some(ann.id));
        stores
            .conversations
            .create_room(room.clone(), ROOMS_MAX)
            .await
            .unwrap();
        let full = stores
            .conversations
            .create_room(new_room(&ids, "random", None), ROOMS_MAX)
            .await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        let full = stores
            .conversations
            .join_room(room.id, UserId::new(&ids), Head::EMPTY, 9)
            .await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        assert!(
            stores
                .conversations
                .leave_room(room.id, ann.id)
                .await
                .unwrap()
                .was_member
        );

        let here = ConversationId::new(&ids);
        let hello = message(&ids, ann.id, "hello");
        let batch = vec![hello.clone(), message(&ids, ann.id, "again")];
        stores.log.append(here, Seq::ZERO, batch).await.unwrap();
        let full = stores
            .log
            .append(here, Seq(2), vec![message(&ids, ann.id, "more")])
            .await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        let retry = stores.log.append(here, Seq(2), vec![hello]).await.unwrap();
        assert!(matches!(retry, Appended::Duplicate(_)), "{retry:?}");

        let queue = MemoryQueue::new(1);
        let job = chatterbox_core::app::jobs::Job::SweepSessions;
        let first = JobId::new(&ids);
        queue.push(first, &job, now()).await.unwrap();
        queue.push(JobId::new(&ids), &job, now()).await.unwrap_err();
        queue.done(first).await.unwrap();
        queue.push(JobId::new(&ids), &job, now()).await.unwrap();
    }
}
