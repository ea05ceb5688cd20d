//! What entries of the log mean for messages: their states, and for those that were deleted the only change that an
//! entry ever sees.
//!
//! States come first: a deleted message's row still knows which entries edited it, so whoever carries this out again
//! redacts the same. Words of an entry are numbered like rows, so that nobody who is late brings an older text back.

use std::collections::BTreeMap;

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::current::{Edited, MessageState, redact};
use chatterbox_core::domain::entry::{Entry, EntryKind, Seq};
use chatterbox_core::domain::text;
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::{Bson, Document, doc};

use super::states::{self, StateRow};
use crate::adapters::mongo::Shared;
use crate::adapters::mongo::command::{update, update_all, upsert};
use crate::adapters::mongo::conversations::{MessageAt, MessageRow, MessageWord, Place};
use crate::adapters::mongo::error::corrupt;
use crate::adapters::mongo::ids::{self, seq, seq_key};
use crate::adapters::mongo::log::{entry_fields, words_of};

/// Entries that one command asks for.
const AT_ONCE: usize = 1_000;

/// Texts of entries that edit messages, by their numbers.
type Texts = BTreeMap<Seq, Entry>;

/// Takes in what entries changed. Round trips: 1 or 2 to read, 1 for states, 1 for words; 2 more if there are
/// deletions.
pub(in super::super) async fn follow(
    shared: &Shared,
    place: Place,
    steps: &[MessageRow],
) -> Result<(), StoreError> {
    if steps.is_empty() {
        return Ok(());
    }
    let steps: Vec<MessageAt<'_>> = steps.iter().map(MessageRow::read).collect::<Result<_, _>>()?;
    let mut by_message: BTreeMap<Seq, Vec<&MessageAt<'_>>> = BTreeMap::new();
    for step in &steps {
        by_message.entry(step.message_seq).or_default().push(step);
    }
    let edits = steps
        .iter()
        .filter(|step| matches!(step.change, MessageWord::Edited));
    let edits: Vec<Seq> = edits.map(|step| step.seq).collect();
    let keys = by_message.keys().map(|seq| seq_key(place.conversation, *seq));
    let (rows, texts) = tokio::try_join!(
        states::read(shared, keys.collect()),
        read_entries(shared, place, &edits),
    )?;
    let mut rows_by_seq = BTreeMap::new();
    for row in rows {
        rows_by_seq.insert(row.seq()?, row);
    }
    let (mut written, mut words, mut redacted) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (message, steps) in by_message {
        let row = rows_by_seq.remove(&message);
        let mut row = row.unwrap_or_else(|| StateRow::new(place.conversation, message));
        if row.rev < place.rev {
            take_in(&mut row, &steps, &texts)?;
            row.rev = place.rev;
            written.push(state_statement(place, message, &row)?);
        }
        if row.deleted {
            let deletion = steps
                .iter()
                .find(|step| matches!(step.change, MessageWord::Deleted));
            if let Some(deletion) = deletion {
                redacted.insert(message, deletion.at);
                for edit in &row.edits {
                    redacted.insert(seq(*edit)?, deletion.at);
                }
            }
        } else if steps
            .iter()
            .any(|step| matches!(step.change, MessageWord::Edited))
            && let Some(text) = row.text()
        {
            words.push(words_statement(place, message, text));
        }
    }
    update_all(&shared.database, &shared.gate, "states", written).await?;
    words.extend(redactions(shared, place, &redacted).await?);
    update_all(&shared.database, &shared.gate, "entries", words).await
}

fn take_in(row: &mut StateRow, steps: &[&MessageAt<'_>], texts: &Texts) -> Result<(), StoreError> {
    let mut state = row.state();
    for step in steps.iter().filter(|_| !row.deleted).collect::<Vec<_>>() {
        if row.deleted {
            break;
        }
        match step.change {
            MessageWord::Edited => {
                let Some(EntryKind::Edit(edit)) = texts.get(&step.seq).map(|entry| &entry.kind) else {
                    return Err(corrupt(format!("entry {} is no edit", step.seq)));
                };
                row.edits.push(i64::from(step.seq.0));
                state.edited = Some(Edited {
                    content: edit.content.clone(),
                    mentions: edit.mentions.clone(),
                    at: step.at,
                });
            }
            MessageWord::Deleted => {
                row.deleted = true;
                state = MessageState::default();
            }
            MessageWord::Reacted { .. } => {
                if let Some(reaction) = step.change.reaction(step.message_seq) {
                    state.reactions.apply(step.by, &reaction);
                }
            }
        }
    }
    row.set(&state);
    Ok(())
}

fn state_statement(place: Place, message: Seq, row: &StateRow) -> Result<Document, StoreError> {
    let replacement = mongodb::bson::serialize_to_document(row)
        .map_err(|error| corrupt(format!("a message's state can't be written: {error}")))?;
    let unseen = doc! { "_id": seq_key(place.conversation, message), "rev": { "$lt": place.rev } };
    Ok(upsert(unseen, replacement))
}

/// A message is found by another text from now on, unless it is redacted.
fn words_statement(place: Place, message: Seq, content: &str) -> Document {
    let unseen = doc! {
        "_id": seq_key(place.conversation, message),
        "wordsRev": { "$not": { "$gte": place.rev } },
        "body.redactedAt": null,
    };
    let words: Vec<String> = words_of(content).into_iter().collect();
    let mut set = doc! { "wordsRev": place.rev };
    let mut unset = Document::new();
    for (field, value) in [
        ("words", (!words.is_empty()).then(|| Bson::from(words))),
        ("link", text::has_link(content).then_some(Bson::Boolean(true))),
    ] {
        match value {
            Some(value) => set.insert(field, value),
            None => unset.insert(field, ""),
        };
    }
    let mut change = doc! { "$set": set };
    if !unset.is_empty() {
        change.insert("$unset", unset);
    }
    update(unseen, change)
}

/// What takes the content of these entries away.
async fn redactions(
    shared: &Shared,
    place: Place,
    redacted: &BTreeMap<Seq, Timestamp>,
) -> Result<Vec<Document>, StoreError> {
    let seqs: Vec<Seq> = redacted.keys().copied().collect();
    let mut statements = Vec::new();
    for (seq, mut entry) in read_entries(shared, place, &seqs).await? {
        let Some(at) = redacted.get(&seq) else {
            continue;
        };
        redact(&mut entry.kind, *at);
        let body = mongodb::bson::serialize_to_bson(&entry.kind)
            .map_err(|error| corrupt(format!("a redacted entry can't be written: {error}")))?;
        statements.push(update(
            doc! { "_id": seq_key(place.conversation, seq) },
            doc! {
                "$set": { "body": body, "wordsRev": place.rev },
                "$unset": { "words": "", "link": "" },
            },
        ));
    }
    Ok(statements)
}

async fn read_entries(shared: &Shared, place: Place, seqs: &[Seq]) -> Result<Texts, StoreError> {
    let mut entries = BTreeMap::new();
    for seqs in seqs.chunks(AT_ONCE) {
        let keys: Vec<_> = seqs.iter().map(|seq| seq_key(place.conversation, *seq)).collect();
        let find = shared
            .entries
            .find(doc! { "_id": { "$in": keys } })
            .batch_size(ids::batch(seqs.len()))
            .projection(entry_fields());
        for row in shared.gate.all(find).await? {
            let entry = Entry::try_from(row)?;
            entries.insert(entry.seq, entry);
        }
    }
    Ok(entries)
}
