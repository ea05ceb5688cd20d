//! Jobs as a deployment of many nodes has them: rows in MongoDB, workers told of them by Redis, at MONGODB_URI and
//! REDIS_URL.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::ids::{JobId, NodeId, SystemIds};
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::tasks::Tasks;
use chatterbox_server::adapters::redis::{Redis, RedisOptions};
use mongodb::bson::oid::ObjectId;

use super::InDatabase;

/// A queue over rows in a database that goes with it.
struct Dispatched {
    queue: Arc<dyn Queue>,
    _rows: InDatabase<Arc<dyn Queue>>,
    tasks: Tasks,
}

impl Deref for Dispatched {
    type Target = dyn Queue;

    fn deref(&self) -> &(dyn Queue + 'static) {
        &*self.queue
    }
}

impl Drop for Dispatched {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

/// The suite's time does not pass by Redis' clock: rows are looked for at every claim.
async fn over(rows: InDatabase<Arc<dyn Queue>>) -> Dispatched {
    let url = std::env::var("REDIS_URL")
        .expect("REDIS_URL names the Redis server of the tests; tests/services starts one");
    let options = RedisOptions {
        prefix: format!("test:{}", ObjectId::new()),
        ..RedisOptions::new(url.into())
    };
    let tasks = Tasks::new();
    let node = NodeId::new(&SystemIds::new());
    let redis = Redis::connect(options, node, &tasks).await.unwrap();
    Dispatched {
        queue: redis.queue_swept(Arc::clone(&rows.it), Duration::ZERO),
        _rows: rows,
        tasks,
    }
}

async fn queue() -> Dispatched {
    over(super::queue().await).await
}

async fn queue_with(id: JobId, job: &'static str) -> Dispatched {
    over(super::queue_with(id, job).await).await
}

chatterbox_core::queue_conformance!(queue);
chatterbox_core::unknown_jobs_conformance!(queue_with);
