//! Connections to PostgreSQL: bounded in number, made when needed, never used again after an error of the connection, so
//! that a database that was killed, restarted or paused is found again.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row, Statement};

use crate::failure::{Code, Failure};

/// How long a command waits for a connection. A paused database may come back, so this is long.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a cancelled command may take to end before its connection is given up.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// The connections.
#[derive(Debug)]
pub(crate) struct Pool {
    config: Config,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Client>>,
}

/// A connection with the statements that were prepared on it.
#[derive(Debug)]
struct Client {
    postgres: tokio_postgres::Client,
    statements: HashMap<&'static str, Statement>,
}

/// A connection in use; it goes back when dropped, if it can be used again.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Option<Client>,
    pool: Arc<Pool>,
    /// A command has begun and not ended, or a transaction is open.
    dirty: bool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// At most `connections` at once.
    pub(crate) fn new(mut config: Config, connections: usize) -> Pool {
        config
            .application_name("mongo-gateway")
            .connect_timeout(CONNECTION_WAIT_MAX)
            // Cursors live in files of the server and not in the connection that began them, for as long as in MongoDB.
            .options("-c documentdb.useFileBasedPersistedCursors=on -c documentdb.defaultCursorExpiryTimeLimitSeconds=600");
        Pool {
            config,
            permits: Arc::new(Semaphore::new(connections)),
            idle: Mutex::default(),
        }
    }

    /// A connection, waited for if all are in use.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<Connection, Failure> {
        let gone = |why: &str| {
            Failure::new(
                Code::ShutdownInProgress,
                format!("PostgreSQL can't be reached: {why}"),
            )
        };
        let permit = timeout(CONNECTION_WAIT_MAX, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| gone("all connections are busy"))?
            .map_err(|error| gone(&error.to_string()))?;
        let client = if let Some(client) = self.take_idle() {
            client
        } else {
            timeout(CONNECTION_WAIT_MAX, self.connect())
                .await
                .map_err(|_| gone("it does not answer"))??
        };
        Ok(Connection {
            client: Some(client),
            pool: Arc::clone(self),
            dirty: false,
            _permit: permit,
        })
    }

    fn take_idle(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|client| !client.postgres.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<Client, Failure> {
        let (postgres, connection) = self
            .config
            .connect(NoTls)
            .await
            .map_err(|error| Failure::of_postgres(&error))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with its client, or with PostgreSQL; the client then says that it is closed"
        )]
        tokio::spawn(connection);
        Ok(Client {
            postgres,
            statements: HashMap::new(),
        })
    }
}

impl Connection {
    /// The first row of a statement's answer.
    ///
    /// After `time_max` the statement is cancelled and the connection given up if even that gets no answer.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
        time_max: Option<Duration>,
    ) -> Result<Option<Row>, Failure> {
        let was_dirty = mem::replace(&mut self.dirty, true);
        let client = self.client.as_mut().ok_or_else(closed)?;
        let cancel = client.postgres.cancel_token();
        let answer = client.row(sql, values);
        tokio::pin!(answer);
        let result = if let Some(time_max) = time_max {
            if let Ok(result) = timeout(time_max, &mut answer).await {
                result
            } else {
                let cancelled = async {
                    // If this can't be asked for, the time runs out below.
                    let _asked = cancel.cancel_query(NoTls).await;
                    answer.await
                };
                timeout(CANCEL_MAX, cancelled)
                    .await
                    .map_err(|_| Failure::new(Code::MaxTimeMSExpired, "the time is up"))?
            }
        } else {
            answer.await
        };
        // An error that PostgreSQL told leaves the connection usable.
        if result
            .as_ref()
            .err()
            .is_none_or(|error| error.as_db_error().is_some())
        {
            self.dirty = was_dirty;
        }
        result.map_err(|error| Failure::of_postgres(&error))
    }

    /// Begins a transaction. The connection does not go back before its end.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        self.dirty = true;
        self.simple("BEGIN ISOLATION LEVEL REPEATABLE READ").await
    }

    /// Ends the transaction; true if it was committed, false if PostgreSQL rolled it back instead.
    pub(crate) async fn commit(&mut self) -> Result<(), Failure> {
        self.simple("COMMIT").await?;
        self.dirty = false;
        Ok(())
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn roll_back(&mut self) -> Result<(), Failure> {
        self.simple("ROLLBACK").await?;
        self.dirty = false;
        Ok(())
    }

    async fn simple(&mut self, sql: &str) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(closed)?;
        client
            .postgres
            .batch_execute(sql)
            .await
            .map_err(|error| Failure::of_postgres(&error))
    }
}

fn closed() -> Failure {
    Failure::new(Code::ShutdownInProgress, "the connection is gone")
}

impl Client {
    async fn row(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        let statement = if let Some(statement) = self.statements.get(sql) {
            statement.clone()
        } else {
            let statement = self.postgres.prepare(sql).await?;
            self.statements.insert(sql, statement.clone());
            statement
        };
        Ok(self.postgres.query(&statement, values).await?.into_iter().next())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take()
            && !self.dirty
            && !client.postgres.is_closed()
        {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(client);
        }
    }
}
