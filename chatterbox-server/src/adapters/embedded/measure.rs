//! Counts the rows that reads give, so that a benchmark can show what a reply costs. Only with the feature `measure`:
//! counting slows each row down.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

/// A static, since SQLite's hook is a plain function without a place for anything of ours.
static ROWS: AtomicU64 = AtomicU64::new(0);

/// Rows given so far by the readers of all stores of this process.
pub fn rows_read() -> u64 {
    ROWS.load(Ordering::Relaxed)
}

/// The connection, with its rows counted from here on.
pub(super) fn counted(mut connection: Connection) -> Connection {
    // Refused only by an SQLite built without traces; then nothing is counted.
    let _ = connection.trace_v2(TraceEventCodes::SQLITE_TRACE_ROW, Some(count));
    connection
}

fn count(_: TraceEvent<'_>) {
    ROWS.fetch_add(1, Ordering::Relaxed);
}
