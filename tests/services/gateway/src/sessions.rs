//! Sessions: one command of each at a time, as in MongoDB. A session has at most one transaction open, and remembers how its
//! last one ended and what its last retryable write was answered, so that a repetition gets the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::RawDocumentBuf;

use crate::failure::{Code, Failure};
use crate::pool::Connection;

/// A transaction that is left alone this long is rolled back, as in MongoDB.
const TRANSACTION_MAX: Duration = Duration::from_mins(1);
/// What `hello` promises.
const SESSION_MAX: Duration = Duration::from_mins(30);
/// Above this, new ones are refused.
const SESSIONS_MAX: usize = 20_000;
/// Larger answers are not remembered.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: Mutex<HashMap<Vec<u8>, Arc<tokio::sync::Mutex<Session>>>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) used: Instant,
    pub(crate) transaction: Option<Transaction>,
    /// How the last transaction ended.
    pub(crate) ended: Option<(i64, End)>,
    answered: Option<(i64, RawDocumentBuf)>,
}

/// An open transaction: it holds a connection.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) number: i64,
    pub(crate) connection: Connection,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Committed,
    RolledBack,
    /// The connection broke while it was being committed.
    Unknown,
}

impl Sessions {
    /// The session of this id.
    pub(crate) fn get(&self, id: &[u8]) -> Result<Arc<tokio::sync::Mutex<Session>>, Failure> {
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = by_id.get(id) {
            return Ok(Arc::clone(session));
        }
        if by_id.len() >= SESSIONS_MAX {
            return Err(Failure::new(Code::TooManyLogicalSessions, "too many sessions"));
        }
        let session = Arc::new(tokio::sync::Mutex::new(Session {
            used: Instant::now(),
            transaction: None,
            ended: None,
            answered: None,
        }));
        by_id.insert(id.to_owned(), Arc::clone(&session));
        Ok(session)
    }

    /// Forgets a session; dropped, an open transaction's connection closes, and PostgreSQL rolls back.
    pub(crate) fn end(&self, id: &[u8]) {
        self.by_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// Rolls back transactions and forgets sessions that were left alone. Those in use are not.
    pub(crate) fn expire(&self, now: Instant) {
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        by_id.retain(|_, session| {
            let Ok(mut session) = session.try_lock() else {
                return true;
            };
            let alone = now.saturating_duration_since(session.used);
            if alone >= TRANSACTION_MAX
                && let Some(transaction) = session.transaction.take()
            {
                session.ended = Some((transaction.number, End::RolledBack));
            }
            alone < SESSION_MAX
        });
    }
}

impl Session {
    /// What a retryable write of this number was answered before; an error if the number is of the past.
    pub(crate) fn answered(&self, number: i64) -> Result<Option<RawDocumentBuf>, Failure> {
        match &self.answered {
            Some((of, answer)) if *of == number => Ok(Some(answer.clone())),
            Some((of, _)) if *of > number => Err(Failure::new(
                Code::TransactionTooOld,
                format!("{number} is older than {of}"),
            )),
            Some(_) | None => Ok(None),
        }
    }

    /// Remembers the answer of a retryable write.
    pub(crate) fn remember(&mut self, number: i64, answer: &RawDocumentBuf) {
        if answer.as_bytes().len() <= ANSWER_BYTES_MAX {
            self.answered = Some((number, answer.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[tokio::test]
    async fn a_session_remembers_its_last_write_and_expires() {
        let sessions = Sessions::default();
        let session = sessions.get(b"a").unwrap();
        let mut held = session.lock().await;
        held.remember(2, &rawdoc! {"n": 1});
        assert_eq!(held.answered(2).unwrap(), Some(rawdoc! {"n": 1}));
        assert_eq!(held.answered(3).unwrap(), None);
        assert_eq!(held.answered(1).unwrap_err().code, Code::TransactionTooOld);
        sessions.expire(Instant::now() + SESSION_MAX);
        assert!(
            Arc::ptr_eq(&sessions.get(b"a").unwrap(), &session),
            "it was in use"
        );
        drop(held);
        sessions.expire(Instant::now() + SESSION_MAX);
        assert!(!Arc::ptr_eq(&sessions.get(b"a").unwrap(), &session));
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        for number in 0..SESSIONS_MAX {
            sessions.get(&number.to_le_bytes()).unwrap();
        }
        assert_eq!(
            sessions.get(b"one more").unwrap_err().code,
            Code::TooManyLogicalSessions
        );
        sessions.end(&7_usize.to_le_bytes());
        sessions.get(b"one more").unwrap();
    }
}
