//! Commands as calls of the extension's SQL functions.

use std::fmt::Write;

use bson::raw::RawBsonRef;
use bson::{RawDocument, RawDocumentBuf, rawdoc};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::command::{Command, whole_of};
use crate::cursors::Cursors;
use crate::failure::{Code, Failure, refused, with_codes};
use crate::pool::Connection;

/// Runs a command on a connection. Errors within `writeErrors` are told beside the answer.
pub(crate) async fn execute(
    connection: &mut Connection,
    cursors: &Cursors,
    command: &Command,
) -> Result<(RawDocumentBuf, Vec<Code>), Failure> {
    let answer = match command.name.as_str() {
        "insert" => write(connection, command, INSERT).await?,
        "update" => write(connection, command, UPDATE).await?,
        "delete" => write(connection, command, DELETE).await?,
        "findandmodify" => find_and_modify(connection, command).await?,
        "find" => first_page(connection, cursors, command, FIND).await?,
        "aggregate" => first_page(connection, cursors, command, AGGREGATE).await?,
        "listcollections" => first_page(connection, cursors, command, LIST_COLLECTIONS).await?,
        "listindexes" => first_page(connection, cursors, command, LIST_INDEXES).await?,
        "getmore" => next_page(connection, cursors, command).await?,
        "killcursors" => kill_cursors(connection, cursors, command).await?,
        "count" => document(connection, command, COUNT).await?,
        "distinct" => document(connection, command, DISTINCT).await?,
        "create" => document(connection, command, CREATE).await?,
        "createindexes" => create_indexes(connection, command).await?,
        "dropindexes" => {
            connection
                .row(
                    DROP_INDEXES,
                    &[&command.db, &command.spec.as_bytes()],
                    command.time_max,
                )
                .await?;
            rawdoc! {"ok": 1.0}
        }
        "collmod" => {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&command.db, &command.collection, &command.spec.as_bytes()];
            answer_of(connection.row(COLL_MOD, &values, command.time_max).await?)?
        }
        "listdatabases" => answer_of(
            connection
                .row(LIST_DATABASES, &[&command.spec.as_bytes()], command.time_max)
                .await?,
        )?,
        "drop" => {
            connection
                .row(DROP, &[&command.db, &command.collection], command.time_max)
                .await?;
            rawdoc! {"ok": 1.0}
        }
        "dropdatabase" => {
            connection
                .row(DROP_DATABASE, &[&command.db], command.time_max)
                .await?;
            rawdoc! {"ok": 1.0, "dropped": command.db.as_str()}
        }
        other => {
            return Err(Failure::new(
                Code::CommandNotFound,
                format!("no such command: {other}"),
            ));
        }
    };
    with_codes(answer).map_err(|error| Failure::new(Code::InternalError, error.to_string()))
}

const INSERT: &str =
    "select p_result::bytea from documentdb_api.insert($1, $2::bytea::documentdb_core.bson, NULL, $3)";
const UPDATE: &str =
    "select p_result::bytea from documentdb_api.update($1, $2::bytea::documentdb_core.bson, NULL, $3)";
const DELETE: &str =
    "select p_result::bytea from documentdb_api.delete($1, $2::bytea::documentdb_core.bson, NULL, $3)";
const FIND_AND_MODIFY: &str =
    "select p_result::bytea from documentdb_api.find_and_modify($1, $2::bytea::documentdb_core.bson, $3)";
const FIND: &str = "select cursorpage::bytea, continuation::bytea, cursorid \
     from documentdb_api.find_cursor_first_page($1, $2::bytea::documentdb_core.bson, 0)";
const AGGREGATE: &str = "select cursorpage::bytea, continuation::bytea, cursorid \
     from documentdb_api.aggregate_cursor_first_page($1, $2::bytea::documentdb_core.bson, 0)";
const LIST_COLLECTIONS: &str = "select cursorpage::bytea, continuation::bytea, cursorid \
     from documentdb_api.list_collections_cursor_first_page($1, $2::bytea::documentdb_core.bson, 0)";
const LIST_INDEXES: &str = "select cursorpage::bytea, continuation::bytea, cursorid \
     from documentdb_api.list_indexes_cursor_first_page($1, $2::bytea::documentdb_core.bson, 0)";
const GET_MORE: &str = "select cursorpage::bytea, continuation::bytea from documentdb_api.cursor_get_more($1, \
     $2::bytea::documentdb_core.bson, $3::bytea::documentdb_core.bson)";
const DELETE_CURSORS: &str = "select documentdb_api_internal.delete_cursors($1)::bytea";
const COUNT: &str =
    "select document::bytea from documentdb_api.count_query($1, $2::bytea::documentdb_core.bson)";
const DISTINCT: &str =
    "select document::bytea from documentdb_api.distinct_query($1, $2::bytea::documentdb_core.bson)";
const CREATE: &str =
    "select documentdb_api.create_collection_view($1, $2::bytea::documentdb_core.bson)::bytea";
// The public function builds in the background: a unique index would not be in force when it returns.
const CREATE_INDEXES: &str = "select documentdb_api_internal.create_indexes_non_concurrently($1, \
     $2::bytea::documentdb_core.bson, true)::bytea";
const DROP_INDEXES: &str = "call documentdb_api.drop_indexes($1, $2::bytea::documentdb_core.bson, NULL)";
const COLL_MOD: &str = "select documentdb_api.coll_mod($1, $2, $3::bytea::documentdb_core.bson)::bytea";
const LIST_DATABASES: &str = "select documentdb_api.list_databases($1::bytea::documentdb_core.bson)::bytea";
const DROP: &str = "select documentdb_api.drop_collection($1, $2)";
const DROP_DATABASE: &str = "select documentdb_api.drop_database($1)::text";
/// The name of a unique index behind the constraint's.
const INDEX_OF: &str =
    "select (index_spec).index_name from documentdb_api_catalog.collection_indexes where index_id = $1";

/// What names a retryable write to the extension, which keeps it from doing a single statement twice.
fn write_id(command: &Command) -> Option<String> {
    let session = &command.session;
    let (Some(lsid), Some(number), false) = (&session.lsid, session.txn_number, session.in_transaction)
    else {
        return None;
    };
    let mut id = String::new();
    for byte in lsid {
        // Writing to a text can't fail.
        let _written = write!(id, "{byte:02x}");
    }
    let _written = write!(id, ":{number}");
    Some(id)
}

async fn write(
    connection: &mut Connection,
    command: &Command,
    sql: &'static str,
) -> Result<RawDocumentBuf, Failure> {
    let id = write_id(command);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&command.db, &command.spec.as_bytes(), &id];
    answer_of(connection.row(sql, &values, command.time_max).await?)
}

async fn find_and_modify(connection: &mut Connection, command: &Command) -> Result<RawDocumentBuf, Failure> {
    match write(connection, command, FIND_AND_MODIFY).await {
        Err(failure) if failure.code == Code::DuplicateKey && !command.session.in_transaction => {
            Err(with_index_name(connection, failure).await)
        }
        other => other,
    }
}

/// The same with the index's own name, where PostgreSQL knows only that of its constraint.
async fn with_index_name(connection: &mut Connection, failure: Failure) -> Failure {
    let text = failure.to_string();
    let number = text
        .split_once("documents_rum_index_")
        .and_then(|(_, rest)| rest.split(' ').next())
        .and_then(|digits| digits.parse::<i32>().ok());
    let Some(number) = number else { return failure };
    match connection.row(INDEX_OF, &[&number], None).await {
        Ok(Some(row)) => match row.try_get::<_, String>(0) {
            Ok(name) => Failure::new(Code::DuplicateKey, crate::failure::duplicate(&name)),
            Err(_) => failure,
        },
        Ok(None) | Err(_) => failure,
    }
}

async fn document(
    connection: &mut Connection,
    command: &Command,
    sql: &'static str,
) -> Result<RawDocumentBuf, Failure> {
    answer_of(
        connection
            .row(sql, &[&command.db, &command.spec.as_bytes()], command.time_max)
            .await?,
    )
}

async fn create_indexes(connection: &mut Connection, command: &Command) -> Result<RawDocumentBuf, Failure> {
    let answer = document(connection, command, CREATE_INDEXES).await?;
    // One server answers as a cluster of one shard.
    let of_shard = answer
        .get_document("raw")
        .and_then(|raw| raw.get_document("defaultShard"))
        .map(RawDocument::to_owned);
    let answer = of_shard.unwrap_or(answer);
    match refused(&answer) {
        Some(failure) => Err(failure),
        None => Ok(answer),
    }
}

async fn first_page(
    connection: &mut Connection,
    cursors: &Cursors,
    command: &Command,
    sql: &'static str,
) -> Result<RawDocumentBuf, Failure> {
    let row = connection
        .row(sql, &[&command.db, &command.spec.as_bytes()], command.time_max)
        .await?;
    if let Some(row) = &row
        && let Some(continuation) = column(row, 1)?
    {
        let id: i64 = row.try_get(2).map_err(|error| unreadable(&error))?;
        cursors.keep(id, &command.db, continuation);
    }
    answer_of(row)
}

async fn next_page(
    connection: &mut Connection,
    cursors: &Cursors,
    command: &Command,
) -> Result<RawDocumentBuf, Failure> {
    let id = command.spec.get_i64("getMore").unwrap_or_default();
    let gone = || Failure::new(Code::CursorNotFound, format!("cursor {id} is not there"));
    let cursor = cursors.take(id).ok_or_else(gone)?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&cursor.db, &command.spec.as_bytes(), &cursor.continuation];
    let row = connection.row(GET_MORE, &values, command.time_max).await?;
    if let Some(row) = &row
        && let Some(continuation) = column(row, 1)?
    {
        cursors.keep(id, &cursor.db, continuation);
    }
    answer_of(row)
}

async fn kill_cursors(
    connection: &mut Connection,
    cursors: &Cursors,
    command: &Command,
) -> Result<RawDocumentBuf, Failure> {
    let mut ids = Vec::new();
    if let Ok(Some(RawBsonRef::Array(array))) = command.spec.get("cursors") {
        for id in array {
            ids.extend(
                id.ok()
                    .and_then(whole_of)
                    .filter(|id| cursors.take(*id).is_some()),
            );
        }
    }
    if !ids.is_empty() {
        connection.row(DELETE_CURSORS, &[&ids], command.time_max).await?;
    }
    let killed: bson::RawArrayBuf = ids.into_iter().collect();
    let none = bson::RawArrayBuf::new;
    Ok(rawdoc! {
        "cursorsKilled": killed, "cursorsNotFound": none(), "cursorsAlive": none(), "cursorsUnknown": none(), "ok": 1.0,
    })
}

/// The document in the first column of the row.
fn answer_of(row: Option<Row>) -> Result<RawDocumentBuf, Failure> {
    let row = row.ok_or_else(|| Failure::new(Code::InternalError, "the extension answered with no row"))?;
    let bytes = column(&row, 0)?;
    let bytes =
        bytes.ok_or_else(|| Failure::new(Code::InternalError, "the extension answered with nothing"))?;
    RawDocumentBuf::from_bytes(bytes).map_err(|error| {
        Failure::new(
            Code::InternalError,
            format!("the extension answered with no document: {error}"),
        )
    })
}

/// The bytes of a column, of whatever type it is.
fn column(row: &Row, at: usize) -> Result<Option<Vec<u8>>, Failure> {
    let bytes: Option<Bytes> = row.try_get(at).map_err(|error| unreadable(&error))?;
    Ok(bytes.map(|bytes| bytes.0))
}

fn unreadable(error: &tokio_postgres::Error) -> Failure {
    Failure::new(
        Code::InternalError,
        format!("the extension's answer can't be read: {error}"),
    )
}

/// A value as PostgreSQL sends it.
struct Bytes(Vec<u8>);

impl<'a> FromSql<'a> for Bytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Bytes, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Bytes(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
