//! More calls than connections.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::StoreError;
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_server::adapters::mongo::MongoOptions;
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use tokio::sync::Notify;

use super::Database;

/// A node that is busy is not broken: taken out of the balancer, its load would go to the others, which are as busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_finds_the_database_at_work_while_all_connections_are_busy() {
    let database = Database::new();
    let (release, released): (Sender<()>, Receiver<()>) = channel();
    let (released, busy) = (Mutex::new(released), Arc::new(Notify::new()));
    let says_so = Arc::clone(&busy);
    let options = MongoOptions {
        pool: 1,
        // Holds the only connection until the test lets it go.
        commands: Some(EventHandler::callback(move |event| {
            if let CommandEvent::Started(started) = event
                && started.command.get_str("find").is_ok_and(|name| name == "users")
            {
                says_so.notify_one();
                let _ = released.lock().unwrap().recv();
            }
        })),
        ..MongoOptions::new(database.address())
    };
    let store = database.open_as(options).await.unwrap();
    let (stores, checked) = (store.stores(), store.checked());
    let nobody = UserId::new(&SeededIds::new(1));
    let tasks = Tasks::new();
    let users = stores.users.clone();
    let slow = tasks.spawn(async move { users.get(nobody).await });
    busy.notified().await;
    let refused = stores.sessions.sweep(Timestamp::EPOCH, 1).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(checked.sweep(Timestamp::EPOCH, 1).await.unwrap(), 0);
    release.send(()).unwrap();
    assert!(slow.await.unwrap().unwrap().is_none());
}
