//! What the driver's errors mean to whoever asked.

use chatterbox_core::ports::storage::StoreError;
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// The code of a violated unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// Why the store can't be opened. Each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum MongoOpenError {
    /// The address is none.
    #[error("MONGODB_URI is no address of a MongoDB server: {0}")]
    Address(String),
    /// It doesn't answer.
    #[error(
        "MongoDB doesn't answer at MONGODB_URI: {0}; check that it runs, that the address and the credentials are right"
    )]
    Unreachable(String),
    /// A newer version has written it.
    #[error(
        "the database {database} has schema {found}, but this version knows schemas up to {known}: run the newer version"
    )]
    Newer {
        /// The database.
        database: String,
        /// Its schema.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// What says which schema it has is unreadable.
    #[error("the database {database} is not one of ChatterBox: {why}")]
    Foreign {
        /// The database.
        database: String,
        /// What was found.
        why: String,
    },
    /// Another node is at it, or died over it.
    #[error("another node has been preparing the database {0} for a minute; start again when it is done")]
    Locked(String),
    /// An index is another one than is needed.
    #[error(
        "the index {index} of {database}.{collection} is another one than this version needs ({why}); drop it with \
         db.{collection}.dropIndex(\"{index}\") and start again, which makes the right one"
    )]
    Index {
        /// The database.
        database: String,
        /// The collection.
        collection: &'static str,
        /// Its name.
        index: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Indexes are missing, and what is there is in their way.
    #[error(
        "MongoDB doesn't make the indexes that {collection} lacks ({indexes}): {why}; take what is in their way out of \
         the collection, an index on the same fields or documents that are there twice, and start again"
    )]
    NotBuilt {
        /// The collection.
        collection: &'static str,
        /// Their names.
        indexes: String,
        /// What the server says.
        why: String,
    },
}

/// Why a call had no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver says so.
    Driver(Error),
    /// All connections were busy for too long.
    NoConnection,
    /// The server took too long.
    NoAnswer,
}

/// No answer in time.
#[derive(Debug, thiserror::Error)]
enum Late {
    #[error("no connection to the database was free in time")]
    Connection,
    #[error("the database did not answer in time")]
    Answer,
    #[error("what another node has written is not settled yet")]
    Settled,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Driver(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        match failure {
            Failure::Driver(error) => store_error(error),
            Failure::NoConnection => StoreError::Unavailable(Box::new(Late::Connection)),
            Failure::NoAnswer => StoreError::Unavailable(Box::new(Late::Answer)),
        }
    }
}

impl Failure {
    /// Whether a unique index was violated, in whichever of its shapes the answer came.
    pub(super) fn is_duplicate(&self) -> bool {
        let Failure::Driver(error) = self else {
            return false;
        };
        match error.kind.as_ref() {
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
            ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
            ErrorKind::InsertMany(error) => error
                .write_errors
                .iter()
                .flatten()
                .any(|error| error.code == DUPLICATE_KEY),
            _ => false,
        }
    }

    /// How many documents an ordered insert has put in before the one that was there already; `None` for every other
    /// failure. What was put in is as durable as was asked for.
    pub(super) fn inserted_before_duplicate(&self) -> Option<usize> {
        let Failure::Driver(error) = self else {
            return None;
        };
        match error.kind.as_ref() {
            ErrorKind::InsertMany(error) if error.write_concern_error.is_none() => {
                let first = error.write_errors.as_ref()?.first()?;
                (first.code == DUPLICATE_KEY).then_some(first.index)
            }
            // Of a single document.
            ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY => Some(0),
            ErrorKind::Command(error) if error.code == DUPLICATE_KEY => Some(0),
            _ => None,
        }
    }
}

fn store_error(error: Error) -> StoreError {
    match error.kind.as_ref() {
        // What is there is not what this version writes.
        ErrorKind::BsonDeserialization(_) | ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// What another node has begun takes too long to see.
pub(super) fn unsettled() -> StoreError {
    StoreError::Unavailable(Box::new(Late::Settled))
}

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt(what.into())
}

/// "It is there already" as `false`.
pub(super) fn unless_duplicate<T>(result: Result<T, Failure>) -> Result<bool, StoreError> {
    match result {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_duplicate() => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}

/// What a call that failed means to an operator who starts the server.
pub(super) fn unreachable(failure: Failure) -> MongoOpenError {
    MongoOpenError::Unreachable(why(failure))
}

/// Why a call failed, in words.
pub(super) fn why(failure: Failure) -> String {
    match failure {
        Failure::Driver(error) => error.to_string(),
        Failure::NoConnection => Late::Connection.to_string(),
        Failure::NoAnswer => Late::Answer.to_string(),
    }
}
