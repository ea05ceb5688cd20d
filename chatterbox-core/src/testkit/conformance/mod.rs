//! For every port the behaviours that all its adapters share: each an `async fn` that says what it shows, and per port a
//! macro that makes one `#[tokio::test]` of each.
//!
//! ```ignore
//! chatterbox_core::user_store_conformance!(async || my_empty_store().await);
//! chatterbox_core::rate_limiter_conformance!(real_time, async || RedisRateLimiter::connect(test_redis()).await);
//! ```
//!
//! What the closure gives is anything that points to the port (an `Arc`, a `Box`, or a guard of your own that cleans
//! up when it is dropped), freshly made and empty; where ports work together (rows of conversations follow their
//! logs), to the [`Stores`](crate::ports::storage::Stores) of a backend. A bug found in one adapter becomes a behaviour here.

pub mod blobs;
pub mod block_store;
pub mod bus;
mod chat;
pub mod conversation_lists;
pub mod conversation_log;
pub mod conversation_store;
pub mod log_model;
pub mod message_store;
pub mod presence;
pub mod private_conversations;
pub mod projections;
pub mod queue;
pub mod rate_limiter;
pub mod session_store;
pub mod unknown_jobs;
pub mod user_store;

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use crate::tasks::Tasks;

/// Anything that points to a port and can be shared between tasks.
pub trait Port: Deref + Send + Sync + 'static {}

impl<P: Deref + Send + Sync + 'static> Port for P {}

/// Runs `count` calls at once, each in a task of its own, and gives their answers in order.
async fn at_once<P, T, F>(port: &Arc<P>, count: usize, call: impl Fn(Arc<P>, usize) -> F) -> Vec<T>
where
    P: Port,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks = Tasks::new();
    let calls: Vec<_> = (0..count)
        .map(|index| tasks.spawn(call(Arc::clone(port), index)))
        .collect();
    let mut answers = Vec::with_capacity(count);
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// How many of `items` are so.
fn count<T>(items: &[T], is_so: impl Fn(&T) -> bool) -> usize {
    items.iter().filter(|item| is_so(item)).count()
}

/// Makes one test of each behaviour of a suite; the suites' own macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($suite:ident, paused, $make:expr, [$($behaviour:ident),* $(,)?]) => {
        mod $suite {
            #[allow(unused_imports, reason = "the maker may name what stands around the call of the macro")]
            use super::*;
            $(
                #[tokio::test(start_paused = true)]
                async fn $behaviour() {
                    $crate::testkit::conformance::$suite::$behaviour($make).await;
                }
            )*
        }
    };
    ($suite:ident, real_time, $make:expr, [$($behaviour:ident),* $(,)?]) => {
        mod $suite {
            #[allow(unused_imports, reason = "the maker may name what stands around the call of the macro")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $behaviour() {
                    $crate::testkit::conformance::$suite::$behaviour($make).await;
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_behaviour_is_named_by_its_macro() {
        for (suite, source) in [
            ("blobs", include_str!("blobs.rs")),
            ("block_store", include_str!("block_store.rs")),
            ("bus", include_str!("bus.rs")),
            ("conversation_lists", include_str!("conversation_lists.rs")),
            ("conversation_log", include_str!("conversation_log.rs")),
            ("conversation_store", include_str!("conversation_store.rs")),
            ("message_store", include_str!("message_store.rs")),
            ("presence", include_str!("presence.rs")),
            ("private_conversations", include_str!("private_conversations.rs")),
            ("projections", include_str!("projections.rs")),
            ("queue", include_str!("queue.rs")),
            ("rate_limiter", include_str!("rate_limiter.rs")),
            ("session_store", include_str!("session_store.rs")),
            ("unknown_jobs", include_str!("unknown_jobs.rs")),
            ("user_store", include_str!("user_store.rs")),
        ] {
            let (_, after) = source.split_once("macro_rules!").unwrap();
            let (named, _) = after.split_once("\n}\n").unwrap();
            let behaviours: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .map(|line| line.split(['<', '(']).next().unwrap())
                .collect();
            assert!(!behaviours.is_empty(), "{suite}");
            for behaviour in behaviours {
                assert!(
                    [' ', '[']
                        .iter()
                        .any(|before| named.contains(&format!("{before}{behaviour},"))),
                    "{suite}: {behaviour} is never run"
                );
            }
        }
    }
}
