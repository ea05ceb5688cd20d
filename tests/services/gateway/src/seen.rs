//! What reached the server, for tests that assert it: `{gatewaySeen: 1, after: n}` on a database answers with its commands
//! that came later, oldest first, and the `n` to ask with next time.
//!
//! ```text
//! {entries: [{n: 17, command: "insert", collection: "entries", statements: 3, readConcern: "majority",
//!             writeConcern: {w: "majority", j: true}, readPreference: "primary", txnNumber: 4, transaction: false,
//!             code: 11000}], next: 18, ok: 1}
//! ```
//! What a command did not say is not there either. The last 20,000 of all databases are kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bson::raw::{RawArrayBuf, cstr};
use bson::{RawDocumentBuf, rawdoc};

use crate::command::Command;

const ENTRIES_MAX: usize = 20_000;

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    entries: VecDeque<(i64, String, RawDocumentBuf)>,
    next: i64,
}

impl Seen {
    /// Notes a command and the code of its error.
    pub(crate) fn note(&self, command: &Command, code: Option<i32>) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let n = record.next;
        record.next += 1;
        if record.entries.len() >= ENTRIES_MAX {
            record.entries.pop_front();
        }
        record
            .entries
            .push_back((n, command.db.clone(), entry(n, command, code)));
    }

    /// What came to `db` at `after` or later.
    pub(crate) fn answer(&self, db: &str, after: i64) -> RawDocumentBuf {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = RawArrayBuf::new();
        for (n, of, entry) in &record.entries {
            if of == db && *n >= after {
                entries.push(entry.clone());
            }
        }
        rawdoc! {"entries": entries, "next": record.next, "ok": 1.0}
    }
}

fn entry(n: i64, command: &Command, code: Option<i32>) -> RawDocumentBuf {
    let mut entry =
        rawdoc! {"n": n, "command": command.name.as_str(), "collection": command.collection.as_str()};
    if command.statements > 0 {
        entry.append(
            cstr!("statements"),
            i64::try_from(command.statements).unwrap_or(i64::MAX),
        );
    }
    if let Some(level) = &command.read_concern {
        entry.append(cstr!("readConcern"), level.as_str());
    }
    if let Some(concern) = &command.write_concern {
        let mut document = RawDocumentBuf::new();
        if let Some(w) = &concern.w {
            document.append(cstr!("w"), w.as_str());
        }
        if let Some(journal) = concern.journal {
            document.append(cstr!("j"), journal);
        }
        entry.append(cstr!("writeConcern"), document);
    }
    if let Some(mode) = &command.read_preference {
        entry.append(cstr!("readPreference"), mode.as_str());
    }
    if let Some(number) = command.session.txn_number {
        entry.append(cstr!("txnNumber"), number);
        entry.append(cstr!("transaction"), command.session.in_transaction);
    }
    if let Some(code) = code {
        entry.append(cstr!("code"), code);
    }
    entry
}
