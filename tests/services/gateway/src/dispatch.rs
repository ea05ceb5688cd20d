//! From a message to its answer: what is answered here, what belongs to a session, what may be tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, RawBsonRef, RawDocumentBuf, rawdoc};
use tokio_postgres::Config;

use crate::command::{Command, whole_of};
use crate::cursors::Cursors;
use crate::execute::execute;
use crate::failure::{Code, Failure};
use crate::pool::Pool;
use crate::seen::Seen;
use crate::sessions::{End, Session, Sessions, Transaction};
use crate::wire::Message;

/// How often a write outside a transaction is tried again by itself when it collides with another, as MongoDB does.
const CONFLICTS_MAX: u32 = 20;
/// How often sessions and cursors are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Everything that connections share.
#[derive(Debug)]
pub(crate) struct Gateway {
    pool: Arc<Pool>,
    sessions: Sessions,
    cursors: Cursors,
    seen: Seen,
}

impl Gateway {
    /// Over a PostgreSQL that need not be there yet.
    pub(crate) fn new(postgres: Config, connections: usize) -> Gateway {
        Gateway {
            pool: Arc::new(Pool::new(postgres, connections)),
            sessions: Sessions::default(),
            cursors: Cursors::default(),
            seen: Seen::default(),
        }
    }

    /// Expires what was left alone, for ever.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.sessions.expire(Instant::now());
            self.cursors.expire(Instant::now());
        }
    }

    /// Answers a message.
    pub(crate) async fn answer(&self, message: Message) -> RawDocumentBuf {
        let command = match Command::parse(message) {
            Ok(command) => command,
            Err(failure) => return failure.answer(None),
        };
        if let Some(answer) = self.answer_here(&command) {
            return answer;
        }
        let (answer, code) = match self.run(&command).await {
            Ok((answer, codes)) => (answer, codes.first().copied()),
            Err(failure) => (failure.answer(Some(&command)), Some(failure.code)),
        };
        self.seen.note(&command, code.map(|code| code as i32));
        answer
    }

    /// What needs no database.
    fn answer_here(&self, command: &Command) -> Option<RawDocumentBuf> {
        match command.name.as_str() {
            "hello" | "ismaster" => Some(hello()),
            "buildinfo" => Some(rawdoc! {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "ok": 1.0}),
            "refreshsessions" => Some(rawdoc! {"ok": 1.0}),
            "endsessions" | "killsessions" => {
                if let Ok(Some(RawBsonRef::Array(sessions))) = command
                    .spec
                    .get("endSessions")
                    .or_else(|_| command.spec.get("killSessions"))
                {
                    for session in sessions.into_iter().flatten() {
                        if let Some(id) = session
                            .as_document()
                            .and_then(|session| session.get_binary("id").ok())
                        {
                            self.sessions.end(id.bytes);
                        }
                    }
                }
                Some(rawdoc! {"ok": 1.0})
            }
            "gatewayseen" => {
                let after = command.spec.get("after").ok().flatten().and_then(whole_of);
                Some(self.seen.answer(&command.db, after.unwrap_or(0)))
            }
            _ => None,
        }
    }

    async fn run(&self, command: &Command) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
        let session = &command.session;
        if let (Some(lsid), Some(number)) = (&session.lsid, session.txn_number)
            && (session.in_transaction || command.is_write())
        {
            let session = self.sessions.get(lsid)?;
            let mut session = session.lock().await;
            session.used = Instant::now();
            let result = if command.session.in_transaction {
                self.run_in_transaction(&mut session, command, number).await
            } else {
                self.run_once(&mut session, command, number).await
            };
            session.used = Instant::now();
            return result;
        }
        self.run_alone(command).await
    }

    /// A write that the driver may repeat: a repetition gets the answer of the first.
    async fn run_once(
        &self,
        session: &mut Session,
        command: &Command,
        number: i64,
    ) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
        if let Some(answer) = session.answered(number)? {
            return Ok((answer, Vec::new()));
        }
        let result = self.run_alone(command).await?;
        session.remember(number, &result.0);
        Ok(result)
    }

    /// A command on its own; a collision with another is tried again.
    async fn run_alone(&self, command: &Command) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
        let mut connection = self.pool.connection().await?;
        if command.name == "ping" {
            connection.row("select 1", &[], command.time_max).await?;
            return Ok((rawdoc! {"ok": 1.0}, Vec::new()));
        }
        for attempt in 1.. {
            let result = execute(&mut connection, &self.cursors, command).await;
            let collided = match &result {
                Ok((_, codes)) => command.statements <= 1 && codes.contains(&Code::WriteConflict),
                Err(failure) => failure.code == Code::WriteConflict,
            };
            if !collided || attempt == CONFLICTS_MAX {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(u64::from(attempt))).await;
        }
        unreachable!("the loop above ends by returning")
    }

    async fn run_in_transaction(
        &self,
        session: &mut Session,
        command: &Command,
        number: i64,
    ) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
        match command.name.as_str() {
            "committransaction" => return commit(session, number).await,
            "aborttransaction" => return roll_back(session, number).await,
            _ => {}
        }
        if command.session.starts {
            // A new transaction ends one that was forgotten: its connection closes.
            session.transaction = None;
            let mut connection = self.pool.connection().await?;
            connection.begin().await?;
            session.transaction = Some(Transaction { number, connection });
        }
        let transaction = session
            .transaction
            .as_mut()
            .filter(|transaction| transaction.number == number)
            .ok_or_else(|| no_such_transaction(number))?;
        let result = execute(&mut transaction.connection, &self.cursors, command).await;
        let result = match result {
            Ok((_, codes)) if codes.contains(&Code::WriteConflict) => Err(Failure::new(
                Code::WriteConflict,
                "another transaction was faster",
            )),
            other => other,
        };
        // Any error ends a transaction, in MongoDB and in PostgreSQL.
        if result.as_ref().map_or(true, |(_, codes)| !codes.is_empty()) {
            // If even this fails, the connection is closed and PostgreSQL does it by itself.
            let _ended = transaction.connection.roll_back().await;
            session.transaction = None;
            session.ended = Some((number, End::RolledBack));
        }
        result
    }
}

async fn commit(session: &mut Session, number: i64) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
    let done = || Ok((rawdoc! {"ok": 1.0}, Vec::new()));
    let open = session
        .transaction
        .take_if(|transaction| transaction.number == number);
    let Some(mut transaction) = open else {
        // The first answer may have got lost.
        return match session.ended {
            Some((of, End::Committed)) if of == number => done(),
            Some((of, End::Unknown)) if of == number => Err(Failure {
                unknown_outcome: true,
                ..no_such_transaction(number)
            }),
            Some(_) | None => Err(no_such_transaction(number)),
        };
    };
    let result = transaction.connection.commit().await;
    session.ended = Some((
        number,
        match &result {
            Ok(()) => End::Committed,
            Err(failure) if failure.code == Code::ShutdownInProgress => End::Unknown,
            Err(_) => End::RolledBack,
        },
    ));
    result?;
    done()
}

async fn roll_back(session: &mut Session, number: i64) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
    let open = session
        .transaction
        .take_if(|transaction| transaction.number == number);
    let mut transaction = open.ok_or_else(|| no_such_transaction(number))?;
    session.ended = Some((number, End::RolledBack));
    transaction.connection.roll_back().await?;
    Ok((rawdoc! {"ok": 1.0}, Vec::new()))
}

fn no_such_transaction(number: i64) -> Failure {
    Failure::new(
        Code::NoSuchTransaction,
        format!("there is no transaction {number}"),
    )
}

/// A router of a sharded cluster, since such a one needs no list of members.
fn hello() -> RawDocumentBuf {
    rawdoc! {
        "ismaster": true, "isWritablePrimary": true, "helloOk": true, "msg": "isdbgrid",
        "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        "localTime": DateTime::now(), "logicalSessionTimeoutMinutes": 30, "connectionId": 1,
        "minWireVersion": 0, "maxWireVersion": 21, "readOnly": false, "ok": 1.0,
    }
}
