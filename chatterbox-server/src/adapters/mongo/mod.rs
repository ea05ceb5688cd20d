//! The store of many nodes: MongoDB 4.4 and later, a replica set or, with a warning, a single server.
//!
//! ```text
//! users · sessions · blocks · conversations · messages · log · queue      one file or folder a port
//!      │ every call: a free connection within 2 s, an answer within 6 s (gate)
//!      ▼
//! mongodb::Client ── primary ── majority + journal for every write
//! ```
//!
//! Nothing here needs a transaction, a change stream or a capped collection: what must happen together is one document,
//! or is written down in one first and carried out by whoever comes by (`conversations`). Bounds and counters hold
//! under any race by unique numbers (`slots`) and by numbered intents (docs/decisions/mongodb.md).

mod blocks;
mod command;
mod conversations;
mod error;
mod gate;
mod ids;
mod log;
mod messages;
mod options;
mod queue;
mod replies;
mod schema;
mod sessions;
mod slots;
mod users;

use std::sync::Arc;

use mongodb::bson::{Document, doc};
use mongodb::options::{CollectionOptions, ReadConcern};
use mongodb::{Client, Collection, Database};

pub use error::MongoOpenError;
pub use options::{Lag, MongoOptions};

use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::storage::{SessionStore, Stores};
use chatterbox_core::tasks::Tasks;
use conversations::{InviteRow, Joins, Turns};
use gate::Gate;
use log::{EntryRow, Heads};
use messages::{HiddenRow, StateRow};
use replies::ReplyRow;

/// An open store. Clones, and the ports they give out, share its connections.
#[derive(Clone)]
pub struct MongoStore(Shared);

/// What all ports stand on.
#[derive(Clone)]
struct Shared {
    client: Client,
    database: Database,
    gate: Gate,
    heads: Heads,
    turns: Turns,
    joins: Joins,
    /// Whether there are several members: else what is written is there, and "majority" may not be known.
    has_majority: bool,
    meta: Collection<Document>,
    /// Entries of which a majority knows.
    entries: Collection<EntryRow>,
    /// The newest that the primary knows of.
    newest_entries: Collection<EntryRow>,
    states: Collection<StateRow>,
    hidden: Collection<HiddenRow>,
    replies: Collection<ReplyRow>,
    invites: Collection<InviteRow>,
}

impl MongoStore {
    /// Connects to the database, and makes its collections and indexes if they are missing. A newer schema is refused.
    /// Until `tasks` are stopped, what nodes have left behind that died is finished now and then.
    pub async fn open(options: MongoOptions, tasks: &Tasks) -> Result<MongoStore, MongoOpenError> {
        let (parsed, name) = options.parse().await?;
        let client =
            Client::with_options(parsed).map_err(|error| MongoOpenError::Unreachable(error.to_string()))?;
        let database = client.database(&name);
        let gate = Gate::new(options.pool, options.lag);
        let hello = gate.call(database.run_command(doc! { "hello": 1 }).into_future());
        let hello = hello.await.map_err(error::unreachable)?;
        let has_members =
            hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        let has_majority = has_members && !options.is_single;
        if !has_majority {
            tracing::warn!(
                "MongoDB runs as a single server: what it loses is lost; for production, make it a replica set"
            );
        }
        schema::prepare(&database, &gate).await?;
        let majority = if has_majority {
            ReadConcern::majority()
        } else {
            ReadConcern::local()
        };
        let reading = |concern| CollectionOptions::builder().read_concern(concern).build();
        let shared = Shared {
            entries: database.collection_with_options("entries", reading(majority)),
            newest_entries: database.collection_with_options("entries", reading(ReadConcern::local())),
            meta: database.collection(schema::META),
            states: database.collection("states"),
            hidden: database.collection("hidden"),
            replies: database.collection("replies"),
            invites: database.collection("invites"),
            heads: Heads::default(),
            turns: Turns::default(),
            joins: Joins::default(),
            has_majority,
            gate,
            database,
            client,
        };
        tasks.spawn_until_stopped(conversations::finish_regularly(shared.clone()));
        Ok(MongoStore(shared))
    }

    /// The storage ports.
    pub fn stores(&self) -> Stores {
        let shared = &self.0;
        Stores {
            users: Arc::new(users::MongoUsers::new(shared)),
            sessions: Arc::new(sessions::MongoSessions::new(shared)),
            blocks: Arc::new(blocks::MongoBlocks::new(shared)),
            conversations: Arc::new(conversations::MongoConversations::new(shared)),
            messages: Arc::new(messages::MongoMessages::new(shared)),
            log: Arc::new(log::MongoLog::new(shared)),
        }
    }

    /// Sessions by a way of their own, on which nobody waits for those who use the store: a check finds the database at work
    /// also while calls wait for each other.
    pub fn checked(&self) -> Arc<dyn SessionStore> {
        let aside = Shared {
            gate: Gate::new(options::RESERVED, None),
            ..self.0.clone()
        };
        Arc::new(sessions::MongoSessions::new(&aside))
    }

    /// The job queue's rows.
    pub fn queue(&self) -> Arc<dyn Queue> {
        Arc::new(queue::MongoQueue::new(&self.0))
    }

    /// Closes all connections; later calls answer `Unavailable`. Nothing is lost without it.
    pub async fn close(&self) {
        self.0.client.clone().shutdown().immediate(true).await;
    }
}
