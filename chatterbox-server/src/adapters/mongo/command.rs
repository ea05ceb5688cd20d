//! Many updates of one collection in one round trip.
//!
//! The driver offers one update a call, or `Client::bulk_write`, which needs a server of version 8. The command itself
//! takes many, and always has. What goes this way may be done twice: there is no retry of the driver behind it.

use chatterbox_core::ports::storage::StoreError;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::error::{Failure, corrupt};
use super::gate::Gate;
use super::options::durable;

/// Statements a command.
const AT_ONCE: usize = 500;

/// One update of one document.
pub(super) fn update(query: Document, update: Document) -> Document {
    doc! { "q": query, "u": update }
}

/// The same; the document is made if none is as `query` wants it.
pub(super) fn upsert(query: Document, update: Document) -> Document {
    doc! { "q": query, "u": update, "upsert": true }
}

/// Deletes one document.
pub(super) fn delete(query: Document) -> Document {
    doc! { "q": query, "limit": 1 }
}

/// Carries out all of them, in any order. One that finds its `_id` taken, because the document is further than its
/// query wants it, does nothing. Durable when it returns.
pub(super) async fn update_all(
    database: &Database,
    gate: &Gate,
    collection: &str,
    updates: Vec<Document>,
) -> Result<(), StoreError> {
    run(database, gate, ("update", "updates"), collection, updates).await
}

/// Carries out all deletions.
pub(super) async fn delete_all(
    database: &Database,
    gate: &Gate,
    collection: &str,
    deletes: Vec<Document>,
) -> Result<(), StoreError> {
    run(database, gate, ("delete", "deletes"), collection, deletes).await
}

async fn run(
    database: &Database,
    gate: &Gate,
    (command, statements): (&str, &str),
    collection: &str,
    mut all: Vec<Document>,
) -> Result<(), StoreError> {
    let concern = mongodb::bson::serialize_to_bson(&durable())
        .map_err(|error| corrupt(format!("the write concern can't be written: {error}")))?;
    while !all.is_empty() {
        let rest = all.split_off(all.len().min(AT_ONCE));
        let command = doc! {
            command: collection, "ordered": false, "writeConcern": concern.clone(), statements: all,
        };
        let answer = gate.call(database.run_command(command).into_future()).await?;
        check(&answer)?;
        all = rest;
    }
    Ok(())
}

fn check(answer: &Document) -> Result<(), StoreError> {
    if let Some(error) = answer.get("writeConcernError") {
        return Err(refused(error));
    }
    let errors = answer.get_array("writeErrors").map_or(&[][..], Vec::as_slice);
    let is_duplicate = |error: &&Bson| {
        let code = error.as_document().and_then(|error| error.get("code"));
        matches!(code, Some(Bson::Int32(11_000) | Bson::Int64(11_000)))
    };
    match errors.iter().find(|error| !is_duplicate(error)) {
        Some(error) => Err(refused(error)),
        None => Ok(()),
    }
}

fn refused(error: &Bson) -> StoreError {
    Failure::from(mongodb::error::Error::custom(error.to_string())).into()
}
