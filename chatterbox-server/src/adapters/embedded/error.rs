use chatterbox_core::ports::storage::StoreError;
use rusqlite::{Error, ErrorCode};

/// The thread that serves the store has ended: it was closed, or a call has panicked.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
pub(super) struct Closed;

/// What SQLite's errors mean to whoever asked.
pub(super) fn store_error(error: Error) -> StoreError {
    match &error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(Box::new(error)),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable(Box::new(Closed))
}
