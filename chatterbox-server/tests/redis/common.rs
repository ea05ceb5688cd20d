//! What the tests on a single Redis and on a cluster have in common.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chatterbox_core::clock::{Clock as _, SystemClock};
use chatterbox_core::ids::{IdSource, NodeId, SystemIds};
use chatterbox_core::tasks::Tasks;
use chatterbox_server::adapters::redis::{Redis, RedisOptions};

/// The address that the environment names.
pub(crate) fn address(variable: &str) -> String {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    url.unwrap_or_else(|| {
        panic!("{variable} is not set: start the services (tests/services) or run `./test quick`")
    })
}

/// Names of this run and this test only.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let started = SystemClock.now().as_millis();
    format!("test:{started}-{}-{number}", std::process::id())
}

/// Nodes on the same Redis.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) prefix: String,
    ids: SystemIds,
}

impl World {
    pub(crate) fn new(url: String) -> World {
        World {
            url,
            prefix: prefix(),
            ids: SystemIds::new(),
        }
    }

    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions {
            prefix: self.prefix.clone(),
            ..RedisOptions::new(self.url.as_str().into())
        }
    }

    /// A port of a new node.
    pub(crate) async fn node<P: ?Sized>(&self, port: impl FnOnce(&Redis) -> Arc<P>) -> On<P> {
        self.node_at(&self.url, port).await
    }

    /// A port of a new node that reaches Redis over another address.
    pub(crate) async fn node_at<P: ?Sized>(&self, url: &str, port: impl FnOnce(&Redis) -> Arc<P>) -> On<P> {
        let tasks = Tasks::new();
        let options = RedisOptions {
            url: url.into(),
            ..self.options()
        };
        let redis = Redis::connect(options, NodeId(self.ids.next()), &tasks)
            .await
            .unwrap();
        On {
            port: port(&redis),
            tasks,
        }
    }
}

/// A port and the node that it belongs to, which ends with it.
pub(crate) struct On<P: ?Sized> {
    port: Arc<P>,
    tasks: Tasks,
}

impl<P: ?Sized> Deref for On<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.port
    }
}

impl<P: ?Sized> Drop for On<P> {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}
