//! The store on MongoDB behaves as every adapter does, on the server that MONGODB_URI names.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a failure is to end the test, or to be told"
)]

mod concerns;
mod cut;
#[cfg(feature = "redis")]
mod dispatched;
mod foreign;
mod load;
mod schema;

use std::ops::Deref;
use std::sync::Arc;

use chatterbox_core::app::jobs::Job;
use chatterbox_core::ids::JobId;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::storage::{
    BlockStore, ConversationLog, ConversationStore, SessionStore, Stores, UserStore,
};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::samples::now;
use chatterbox_server::adapters::mongo::{MongoOpenError, MongoOptions, MongoStore};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

/// Something of a store in a database of its own, which goes when it goes.
struct InDatabase<T> {
    it: T,
    database: Database,
}

impl<P: ?Sized> Deref for InDatabase<Arc<P>> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.it
    }
}

impl Deref for InDatabase<Stores> {
    type Target = Stores;

    fn deref(&self) -> &Stores {
        &self.it
    }
}

/// The address of a database that nobody else uses.
struct Database(String);

impl Database {
    fn new() -> Database {
        let uri = std::env::var("MONGODB_URI")
            .expect("MONGODB_URI names the MongoDB server of the tests; tests/services starts one");
        let (server, options) = uri.split_once('?').unwrap_or((&uri, ""));
        let (scheme, rest) = server.split_once("://").expect("MONGODB_URI is an address");
        let hosts = rest.split('/').next().unwrap_or_default();
        Database(format!("{scheme}://{hosts}/test_{}?{options}", ObjectId::new()))
    }

    fn address(&self) -> &str {
        &self.0
    }

    /// Besides the store.
    async fn client(&self) -> mongodb::Database {
        let client = mongodb::Client::with_uri_str(&self.0).await.unwrap();
        client.default_database().unwrap()
    }

    /// A node that does nothing of its own accord.
    async fn open_as(&self, options: MongoOptions) -> Result<MongoStore, MongoOpenError> {
        let tasks = Tasks::new();
        let opened = MongoStore::open(options, &tasks).await;
        tasks.stop().await;
        opened
    }

    async fn open(&self) -> MongoStore {
        self.open_as(MongoOptions::new(self.address())).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = async {
            let client = mongodb::Client::with_uri_str(&self.0).await?;
            client.default_database().unwrap().drop().await
        };
        let dropped = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(drop));
        if let Err(error) = dropped {
            eprintln!("a database of the tests stays behind: {error}");
        }
    }
}

async fn open<T>(of: impl FnOnce(MongoStore) -> T) -> InDatabase<T> {
    let database = Database::new();
    InDatabase {
        it: of(database.open().await),
        database,
    }
}

async fn stores() -> InDatabase<Stores> {
    open(|store| store.stores()).await
}

async fn users() -> InDatabase<Arc<dyn UserStore>> {
    open(|store| store.stores().users).await
}

async fn sessions() -> InDatabase<Arc<dyn SessionStore>> {
    open(|store| store.stores().sessions).await
}

async fn blocks() -> InDatabase<Arc<dyn BlockStore>> {
    open(|store| store.stores().blocks).await
}

async fn conversations() -> InDatabase<Arc<dyn ConversationStore>> {
    open(|store| store.stores().conversations).await
}

async fn log() -> InDatabase<Arc<dyn ConversationLog>> {
    open(|store| store.stores().log).await
}

async fn queue() -> InDatabase<Arc<dyn Queue>> {
    open(|store| store.queue()).await
}

chatterbox_core::user_store_conformance!(async || users().await);
chatterbox_core::session_store_conformance!(async || sessions().await);
chatterbox_core::block_store_conformance!(async || blocks().await);
chatterbox_core::conversation_store_conformance!(async || conversations().await);
chatterbox_core::private_conversations_conformance!(async || stores().await);
chatterbox_core::projections_conformance!(async || stores().await);
chatterbox_core::conversation_lists_conformance!(async || stores().await);
chatterbox_core::message_store_conformance!(async || stores().await);
chatterbox_core::conversation_log_conformance!(async || log().await);
chatterbox_core::queue_conformance!(async || queue().await);

/// What a node of a newer version has pushed.
async fn queue_with(id: JobId, job: &'static str) -> InDatabase<Arc<dyn Queue>> {
    let queue = queue().await;
    queue.push(id, &Job::SweepInvites, now()).await.unwrap();
    let jobs = queue.database.client().await.collection::<Document>("jobs");
    jobs.update_one(doc! {}, doc! { "$set": { "job": job } })
        .await
        .unwrap();
    queue
}

chatterbox_core::unknown_jobs_conformance!(queue_with);

/// The log where there is but one server: nothing is asked of a majority.
mod single {
    use super::{Arc, ConversationLog, Database, InDatabase, MongoOptions};

    async fn log() -> InDatabase<Arc<dyn ConversationLog>> {
        let database = Database::new();
        let options = MongoOptions {
            is_single: true,
            ..MongoOptions::new(database.address())
        };
        InDatabase {
            it: database.open_as(options).await.unwrap().stores().log,
            database,
        }
    }

    chatterbox_core::conversation_log_conformance!(async || log().await);
}

/// The suites in which calls race, with calls and answers held up at random: whatever comes in between comes in between.
mod late {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use chatterbox_core::clock::{Clock as _, SystemClock};
    use chatterbox_core::ports::storage::{ConversationLog, ConversationStore, Stores, UserStore};
    use chatterbox_server::adapters::mongo::{Lag, MongoOptions};

    use super::{Arc, Database, InDatabase};

    /// Most calls are not held up; some are for longer than others take.
    fn lag() -> Lag {
        let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| SystemClock.now().as_millis().unsigned_abs());
        println!("TEST_SEED={seed}");
        let state = AtomicU64::new(seed);
        Lag::of(move || {
            // splitmix64
            let mut bits = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bits ^= bits >> 31;
            Duration::from_millis(if bits.is_multiple_of(4) {
                (bits >> 8) % 12
            } else {
                0
            })
        })
    }

    async fn stores() -> InDatabase<Stores> {
        let database = Database::new();
        let options = MongoOptions {
            lag: Some(lag()),
            ..MongoOptions::new(database.address())
        };
        InDatabase {
            it: database.open_as(options).await.unwrap().stores(),
            database,
        }
    }

    async fn one<P: ?Sized>(port: impl FnOnce(&Stores) -> Arc<P>) -> InDatabase<Arc<P>> {
        let all = stores().await;
        InDatabase {
            it: port(&all.it),
            database: all.database,
        }
    }

    async fn users() -> InDatabase<Arc<dyn UserStore>> {
        one(|stores| stores.users.clone()).await
    }

    async fn conversations() -> InDatabase<Arc<dyn ConversationStore>> {
        one(|stores| stores.conversations.clone()).await
    }

    async fn log() -> InDatabase<Arc<dyn ConversationLog>> {
        one(|stores| stores.log.clone()).await
    }

    chatterbox_core::user_store_conformance!(async || users().await);
    chatterbox_core::conversation_store_conformance!(async || conversations().await);
    chatterbox_core::conversation_log_conformance!(async || log().await);
    chatterbox_core::private_conversations_conformance!(async || stores().await);
    chatterbox_core::projections_conformance!(async || stores().await);
    chatterbox_core::message_store_conformance!(async || stores().await);
}
