//! The way to the database: so many calls at once as there are connections, and none for ever.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::Cursor;
use mongodb::action::{Aggregate, Find};
use mongodb::bson::Document;
use mongodb::error::Error;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::Failure;
use super::options::Lag;

/// How long a call waits for a connection (S-143).
const CONNECTION_MAX: Duration = Duration::from_secs(2);

/// How long a call may take once it has one. The driver itself waits for answers as long as it takes: its sockets have
/// no timeout. A call that is given up here gives up its connection.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// Lets calls through.
#[derive(Clone)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
    lag: Option<Lag>,
}

impl Gate {
    pub(super) fn new(connections: u32, lag: Option<Lag>) -> Gate {
        Gate {
            places: Arc::new(Semaphore::new(connections.max(1) as usize)),
            lag,
        }
    }

    /// Makes a call, which must hold no more than one connection at a time.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Failure> {
        if let Some(lag) = &self.lag {
            Box::pin(lag.pass()).await;
        }
        self.within(CONNECTION_MAX, ANSWER_MAX, call).await
    }

    /// Makes a call that nobody waits for but the operator, who sees it take its time.
    pub(super) async fn patiently<T>(
        &self,
        answer_max: Duration,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Failure> {
        self.within(answer_max, answer_max, call).await
    }

    async fn within<T>(
        &self,
        connection_max: Duration,
        answer_max: Duration,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Failure> {
        let waiting = timeout(connection_max, self.places.acquire());
        let Ok(Ok(_permit)) = waiting.await else {
            return Err(Failure::NoConnection);
        };
        match timeout(answer_max, call).await {
            Ok(answer) => answer.map_err(Failure::Driver),
            Err(_) => Err(Failure::NoAnswer),
        }
    }

    /// All that a query finds.
    pub(super) async fn all<T>(&self, find: Find<'_, T>) -> Result<Vec<T>, Failure>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        self.call(async { find.await?.try_collect().await }).await
    }

    /// All that an aggregation gives.
    pub(super) async fn aggregated<T>(&self, aggregate: Aggregate<'_>) -> Result<Vec<T>, Failure>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        self.call(async {
            let cursor: Cursor<Document> = aggregate.await?;
            cursor.with_type::<T>().try_collect().await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s_143_nobody_waits_for_ever() {
        let gate = Gate::new(1, None);
        let silent = || gate.call(std::future::pending::<Result<(), Error>>());
        let started = tokio::time::Instant::now();
        let (first, second) = tokio::join!(async { (silent().await, started.elapsed()) }, async {
            (silent().await, started.elapsed())
        },);
        assert!(matches!(first, (Err(Failure::NoAnswer), waited) if waited == ANSWER_MAX));
        assert!(matches!(second, (Err(Failure::NoConnection), waited) if waited == CONNECTION_MAX));
        assert!(
            gate.call(async { Ok(()) }).await.is_ok(),
            "the connection is free again"
        );
    }
}
