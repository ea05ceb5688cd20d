//! Opening a database: prepared once, checked every time, refused when it is another one's.

use std::time::{Duration, Instant};

use chatterbox_core::tasks::Tasks;
use chatterbox_server::adapters::mongo::{MongoOpenError, MongoOptions, MongoStore};
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use tokio::net::TcpListener;

use super::Database;

async fn refusal(database: &Database) -> MongoOpenError {
    match database.open_as(MongoOptions::new(database.address())).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

/// A rolling start of all nodes.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_prepare_a_database_together() {
    let database = Database::new();
    join_all((0..4).map(|_| database.open())).await;
    let meta = database.client().await.collection::<Document>("meta");
    let schema = meta.find_one(doc! { "_id": "schema" }).await.unwrap().unwrap();
    assert!(schema.contains_key("version"));
    assert_eq!(meta.find_one(doc! { "_id": "lock" }).await.unwrap(), None);
}

/// Edge case 24.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let database = Database::new();
    database.open().await;
    let meta = database.client().await.collection::<Document>("meta");
    meta.update_one(doc! { "_id": "schema" }, doc! { "$set": { "version": 99 } })
        .await
        .unwrap();
    let error = refusal(&database).await;
    assert!(
        matches!(error, MongoOpenError::Newer { found: 99, .. }),
        "{error}"
    );
    meta.update_one(doc! { "_id": "schema" }, doc! { "$set": { "version": "one" } })
        .await
        .unwrap();
    let error = refusal(&database).await;
    assert!(matches!(error, MongoOpenError::Foreign { .. }), "{error}");
}

/// One that is missing is made, whatever the schema's version says: an operator who drops one that is to be made anew, or
/// by mistake, starts again.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_missing_is_made() {
    let database = Database::new();
    database.open().await;
    let client = database.client().await;
    client
        .collection::<Document>("sessions")
        .drop_index("user")
        .await
        .unwrap();
    client.collection::<Document>("blocks").drop().await.unwrap();
    database.open().await;
    for (collection, index) in [("sessions", "user"), ("blocks", "slot"), ("blocks", "blocked")] {
        let names = client
            .collection::<Document>(collection)
            .list_index_names()
            .await
            .unwrap();
        assert!(names.iter().any(|name| name == index), "{collection}: {names:?}");
    }
}

/// One line that names it and says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_different_is_told() {
    let database = Database::new();
    database.open().await;
    let client = database.client().await;
    let sessions = client.collection::<Document>("sessions");
    let create = async |name: &str, unique: bool| {
        sessions.drop_index("user").await.unwrap();
        let index = doc! { "key": { "user": 1, "createdAt": 1 }, "name": name, "unique": unique };
        client
            .run_command(doc! { "createIndexes": "sessions", "indexes": [index] })
            .await
            .unwrap();
    };
    create("user", true).await;
    let error = refusal(&database).await.to_string();
    assert!(
        error.contains("unique") && error.contains(r#"db.sessions.dropIndex("user")"#),
        "{error}"
    );

    // The fields have one of another name already, which would make two of one.
    create("mine", false).await;
    match database.open_as(MongoOptions::new(database.address())).await {
        // Servers that take both.
        Ok(_) => {}
        Err(error) => {
            assert!(
                matches!(
                    error,
                    MongoOpenError::NotBuilt {
                        collection: "sessions",
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("user"), "{error}");
        }
    }
}

/// What a unique index is to be on is there twice: found at the start, with the remedy.
#[tokio::test(flavor = "multi_thread")]
async fn documents_in_the_way_of_an_index_are_told() {
    let database = Database::new();
    database.open().await;
    let users = database.client().await.collection::<Document>("users");
    users.drop_index("email").await.unwrap();
    let user = |number: i32| doc! { "nameKey": number, "skeleton": number, "emailKey": "ann@example.com" };
    users.insert_many([user(1), user(2)]).await.unwrap();
    let error = refusal(&database).await;
    assert!(
        matches!(&error, MongoOpenError::NotBuilt { indexes, .. } if indexes == "email"),
        "{error}"
    );
}

/// S-143: nobody listens, or somebody who never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_told_in_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for address in ["127.0.0.1:1".to_owned(), address.to_string()] {
        let started = Instant::now();
        let options = MongoOptions::new(format!("mongodb://ann:hunter2@{address}/chat"));
        let Err(error) = MongoStore::open(options, &Tasks::new()).await else {
            panic!("nobody is there");
        };
        assert!(matches!(error, MongoOpenError::Unreachable(_)), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{:?}",
            started.elapsed()
        );
    }
}
