//! Documents that somebody else has written: an error that says so, never a panic, and everything else goes on.

use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::session::Session;
use chatterbox_core::ids::{ConversationId, SessionId, UserId};
use chatterbox_core::ports::storage::{Appended, StoreError};
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{message, new_group, new_user, now, session};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::Database;

fn assert_corrupt<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let error = answer.expect_err("what is no document of ours is refused");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

/// Each field of each document in turn becomes something else, or goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_of_ours_wrote_is_told() {
    let database = Database::new();
    let stores = database.open().await.stores();
    let client = database.client().await;
    let ids = SeededIds::new(1);
    let ann = new_user(&ids, "ann");
    let user = ann.id;
    stores.users.insert(ann).await.unwrap();
    let here = stores
        .conversations
        .create_group(new_group(&ids, user))
        .await
        .unwrap();
    let here: ConversationId = here.conversation.id;
    let said = stores
        .log
        .append(here, Seq::ZERO, vec![message(&ids, user, "hi")])
        .await
        .unwrap();
    assert!(matches!(said, Appended::At(_)));
    let login: Session = session(&ids, user);
    stores.sessions.insert(&login).await.unwrap();

    for (collection, field, value) in [
        ("conversations", "kind", Some("party")),
        ("conversations", "visibility", None),
        ("conversations", "projected", Some("soon")),
        ("entries", "body.kind", Some("shout")),
        ("entries", "seq", Some("one")),
        ("entries", "sender", None),
        ("members", "role", Some("king")),
        ("members", "rev", None),
        ("sessions", "salt", Some("pepper")),
        ("sessions", "generation", None),
        ("users", "username", None),
        ("users", "createdAt", Some("yesterday")),
    ] {
        let rows = client.collection::<Document>(collection);
        let before = rows.find_one(doc! {}).await.unwrap().unwrap();
        let change = if let Some(value) = value {
            doc! { "$set": { field: value } }
        } else {
            doc! { "$unset": { field: "" } }
        };
        rows.update_one(doc! {}, change).await.unwrap();
        match collection {
            "conversations" => {
                assert_corrupt(stores.conversations.get(here).await);
                assert_corrupt(stores.conversations.standing(here).await);
                assert_corrupt(stores.conversations.overview(user, 10).await);
            }
            "entries" => assert_corrupt(stores.log.read_after(here, Seq::ZERO, 10).await),
            "members" => assert_corrupt(stores.conversations.member(here, user).await),
            "sessions" => {
                assert_corrupt(stores.sessions.get(login.id).await);
                assert!(stores.sessions.revoked_since(now(), 9).await.is_ok());
            }
            _ => assert_corrupt(stores.users.get(user).await),
        }
        rows.replace_one(doc! { "_id": before.get("_id").cloned() }, before)
            .await
            .unwrap();
    }
    assert!(stores.conversations.member(here, user).await.unwrap().is_some());
    assert!(stores.sessions.get(login.id).await.unwrap().is_some());
    assert_eq!(stores.log.read_after(here, Seq::ZERO, 10).await.unwrap().len(), 1);
}

/// A number that none of ours has, where numbers are.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_out_of_range_are_told() {
    let database = Database::new();
    let stores = database.open().await.stores();
    let sessions = database.client().await.collection::<Document>("sessions");
    let ids = SeededIds::new(1);
    let login = session(&ids, UserId::new(&ids));
    stores.sessions.insert(&login).await.unwrap();
    for generation in [-1, 1 << 32, i64::MAX] {
        sessions
            .update_one(doc! {}, doc! { "$set": { "generation": generation } })
            .await
            .unwrap();
        assert_corrupt(stores.sessions.get(login.id).await);
    }
    let unknown = SessionId::from_bytes(ObjectId::new().bytes());
    assert_eq!(stores.sessions.get(unknown).await.unwrap(), None);
}
