//! Errors as drivers understand them: a code, a name, a message, and labels that say what may be tried again.
//!
//! The extension reports a code as a PostgreSQL sqlstate, within `writeErrors` packed into a number, six bits a character.

use bson::raw::{RawArrayBuf, cstr};
use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use tokio_postgres::error::DbError;

use crate::command::Command;

/// MongoDB's error codes, those that occur here, under MongoDB's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InternalError = 1,
    BadValue = 2,
    FailedToParse = 9,
    TypeMismatch = 14,
    InvalidBson = 22,
    NamespaceNotFound = 26,
    IndexNotFound = 27,
    PathNotViable = 28,
    ConflictingUpdateOperators = 40,
    CursorNotFound = 43,
    NamespaceExists = 48,
    MaxTimeMSExpired = 50,
    CommandNotFound = 59,
    ImmutableField = 66,
    CannotCreateIndex = 67,
    InvalidOptions = 72,
    UnknownWriteConcern = 79,
    IndexOptionsConflict = 85,
    IndexKeySpecsConflict = 86,
    ShutdownInProgress = 91,
    UnsatisfiableWriteConcern = 100,
    WriteConflict = 112,
    DocumentValidationFailure = 121,
    TransactionTooOld = 225,
    NoSuchTransaction = 251,
    TooManyLogicalSessions = 261,
    DuplicateKey = 11_000,
}

/// Why a command was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code:?}: {message}")]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Whether this says nothing about whether the transaction it ends was committed.
    pub(crate) unknown_outcome: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            unknown_outcome: false,
        }
    }

    /// What PostgreSQL said, or that it is gone.
    pub(crate) fn of_postgres(error: &tokio_postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(error) => Failure::new(code_of(error.code().code()), told(error)),
            None => Failure::new(Code::ShutdownInProgress, format!("PostgreSQL is gone: {error}")),
        }
    }

    /// The answer to the command, with the labels that fit it.
    pub(crate) fn answer(&self, command: Option<&Command>) -> RawDocumentBuf {
        let mut labels = RawArrayBuf::new();
        for label in command.map_or(&[][..], |command| self.labels(command)) {
            labels.push(*label);
        }
        let mut answer = RawDocumentBuf::new();
        answer.append(cstr!("ok"), 0.0);
        answer.append(cstr!("errmsg"), self.message.as_str());
        answer.append(cstr!("code"), self.code as i32);
        answer.append(cstr!("codeName"), format!("{:?}", self.code));
        if !labels.is_empty() {
            answer.append(cstr!("errorLabels"), labels);
        }
        answer
    }

    fn labels(&self, command: &Command) -> &'static [&'static str] {
        let session = &command.session;
        let ends = command.name == "committransaction" || command.name == "aborttransaction";
        match self.code {
            Code::WriteConflict if session.in_transaction => &["TransientTransactionError"],
            Code::NoSuchTransaction if !self.unknown_outcome => &["TransientTransactionError"],
            Code::ShutdownInProgress if session.in_transaction && !ends => &["TransientTransactionError"],
            Code::ShutdownInProgress if session.txn_number.is_some() => &["RetryableWriteError"],
            _ => &[],
        }
    }
}

/// The message; of a violated constraint, as MongoDB words it.
fn told(error: &DbError) -> String {
    match error.constraint() {
        Some(constraint) if code_of(error.code().code()) == Code::DuplicateKey => duplicate(constraint),
        _ => error.message().to_owned(),
    }
}

/// As a MongoDB server says it; clients find the index behind `index: `.
pub(crate) fn duplicate(index: &str) -> String {
    let index = if index.starts_with("collection_pk_") {
        "_id_"
    } else {
        index
    };
    format!("E11000 duplicate key error collection index: {index} dup key: {{}}")
}

/// MongoDB's code for a sqlstate of PostgreSQL or of the extension.
pub(crate) fn code_of(sqlstate: &str) -> Code {
    match sqlstate {
        "M0001" => Code::BadValue,
        "M0003" => Code::FailedToParse,
        "M0004" => Code::TypeMismatch,
        "M0008" => Code::NamespaceNotFound,
        "M0009" => Code::IndexNotFound,
        "M000A" => Code::PathNotViable,
        "M000D" => Code::ConflictingUpdateOperators,
        "M000E" => Code::CursorNotFound,
        "M000F" => Code::NamespaceExists,
        "M000M" => Code::ImmutableField,
        "M000N" => Code::CannotCreateIndex,
        "M000R" => Code::IndexOptionsConflict,
        "M000S" => Code::IndexKeySpecsConflict,
        "M00CO" => Code::DocumentValidationFailure,
        // A unique index is an exclusion constraint (23P01) to PostgreSQL, `_id` a primary key (23505).
        "M001C" | "23505" | "23P01" => Code::DuplicateKey,
        "40001" | "40P01" => Code::WriteConflict,
        "25P02" => Code::NoSuchTransaction,
        "57014" => Code::MaxTimeMSExpired,
        // Going down, coming up, out of connections, broken connections.
        "57P01" | "57P02" | "57P03" | "53300" => Code::ShutdownInProgress,
        class if class.starts_with("08") => Code::ShutdownInProgress,
        _ => Code::InternalError,
    }
}

/// XX000, packed: the one sqlstate that makes so small a number.
const INTERNAL_ERROR: u32 = 2600;

/// The sqlstate within a number; none if it is an ordinary code.
fn unpacked(number: i64) -> Option<String> {
    let number = u32::try_from(number)
        .ok()
        .filter(|number| *number > 1_000_000 || *number == INTERNAL_ERROR)?;
    let letter = |at: u32| char::from_u32(((number >> (6 * at)) & 0x3f) + u32::from(b'0'));
    (0..5).map(letter).collect()
}

/// An answer with `writeErrors`, with MongoDB's codes in them; all others as they are.
pub(crate) fn with_codes(answer: RawDocumentBuf) -> Result<(RawDocumentBuf, Vec<Code>), bson::error::Error> {
    if answer.get("writeErrors").ok().flatten().is_none() {
        return Ok((answer, Vec::new()));
    }
    let mut document = Document::from_reader(answer.as_bytes())?;
    let mut codes = Vec::new();
    for error in document.get_array_mut("writeErrors").into_iter().flatten() {
        let Some(error) = error.as_document_mut() else {
            continue;
        };
        let number = error
            .get("code")
            .and_then(|code| code.as_i64().or(code.as_i32().map(i64::from)));
        let Some(sqlstate) = number.and_then(unpacked) else {
            continue;
        };
        let code = code_of(&sqlstate);
        codes.push(code);
        error.insert("code", code as i32);
        if code == Code::DuplicateKey {
            let index = error.get_str("errmsg").ok().and_then(quoted).map(str::to_owned);
            error.insert("errmsg", duplicate(index.as_deref().unwrap_or("unknown")));
        } else if code == Code::InternalError
            && let Some(Bson::String(message)) = error.get_mut("errmsg")
        {
            message.push_str(" (");
            message.push_str(&sqlstate);
            message.push(')');
        }
    }
    Ok((RawDocumentBuf::try_from(document)?, codes))
}

/// The name between quotes, of an index or a constraint.
fn quoted(message: &str) -> Option<&str> {
    message
        .split_once(['\'', '"'])
        .and_then(|(_, rest)| rest.split_once(['\'', '"']))
        .map(|(name, _)| name)
}

/// The failure that an answer with `ok: 0` tells.
pub(crate) fn refused(answer: &RawDocument) -> Option<Failure> {
    let ok = answer.get("ok").ok().flatten()?;
    if crate::command::whole_of(ok) != Some(0) {
        return None;
    }
    let number = answer
        .get("code")
        .ok()
        .flatten()
        .and_then(crate::command::whole_of);
    let code = number
        .and_then(unpacked)
        .map_or(Code::InternalError, |sqlstate| code_of(&sqlstate));
    Some(Failure::new(code, answer.get_str("errmsg").unwrap_or("refused")))
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    /// As PostgreSQL packs it.
    fn packed(sqlstate: &str) -> i32 {
        let bits = |(at, byte): (usize, u8)| i32::from((byte - b'0') & 0x3f) << (6 * at);
        sqlstate.bytes().enumerate().map(bits).sum()
    }

    #[test]
    fn sqlstates_in_write_errors_become_mongodb_codes() {
        for (sqlstate, expected) in [
            ("M001C", 11_000),
            ("23505", 11_000),
            ("23P01", 11_000),
            ("40001", 112),
            ("40P01", 112),
            ("M0001", 2),
            ("XX000", 1),
        ] {
            let answer = rawdoc! {"n": 0, "ok": 1.0, "writeErrors": [{"index": 0, "code": packed(sqlstate), "errmsg": "x"}]};
            let (answer, codes) = with_codes(answer).unwrap();
            let answer = Document::try_from(answer).unwrap();
            let error = answer.get_array("writeErrors").unwrap()[0].as_document().unwrap();
            assert_eq!(error.get_i32("code").unwrap(), expected, "{sqlstate}");
            assert_eq!(codes[0] as i32, expected);
        }
    }

    #[test]
    fn a_duplicate_names_its_index_as_mongodb_does() {
        for (message, index) in [
            (
                "Duplicate key violation on the requested collection: Index 'a_1'",
                "index: a_1 ",
            ),
            (
                "duplicate key value violates unique constraint \"collection_pk_7\"",
                "index: _id_ ",
            ),
        ] {
            let answer = rawdoc! {"ok": 1.0, "writeErrors": [{"code": packed("M001C"), "errmsg": message}]};
            let answer = Document::try_from(with_codes(answer).unwrap().0).unwrap();
            let error = answer.get_array("writeErrors").unwrap()[0].as_document().unwrap();
            let told = error.get_str("errmsg").unwrap();
            assert!(told.starts_with("E11000 ") && told.contains(index), "{told}");
        }
    }

    #[test]
    fn answers_without_errors_are_left_alone() {
        let answer = rawdoc! {"n": 1, "ok": 1.0};
        assert_eq!(with_codes(answer.clone()).unwrap().0, answer);
        assert!(refused(&answer).is_none());
    }

    #[test]
    fn a_refusal_has_mongodbs_shape() {
        let refusal = rawdoc! {"ok": 0.0, "code": packed("M000N"), "errmsg": "no such type"};
        let failure = refused(&refusal).unwrap();
        assert_eq!(
            Document::try_from(failure.answer(None)).unwrap(),
            doc! {"ok": 0.0, "errmsg": "no such type", "code": 67, "codeName": "CannotCreateIndex"}
        );
    }
}
