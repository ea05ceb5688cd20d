//! Finding messages by their words (S-133).
//!
//! Every message carries its words, folded as every store folds them, in the document of its entry; the index is on
//! conversation and word. So what a search reads is of the conversations it looks into, a message is found as soon as it
//! is there, and what is redacted loses its words with its text, in one write. A server's own text index knows neither
//! conversations nor beginnings of words, and cuts texts its own way (docs/decisions/mongodb.md).

use std::cmp::Reverse;

use chatterbox_core::domain::entry::{Entry, Seq};
use chatterbox_core::domain::words::{self, Wanted};
use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::{SearchQuery, StoreError};
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use mongodb::bson::{Bson, Document, doc};

use crate::adapters::mongo::Shared;
use crate::adapters::mongo::ids::{self, Id as _, long};
use crate::adapters::mongo::log::entry_fields;

/// Conversations that one command looks into.
const AT_ONCE: usize = 250;
/// Commands of one search at the same time.
const ABREAST: usize = 4;

/// The newest that match. One round trip for 250 conversations.
pub(super) async fn search(shared: &Shared, query: &SearchQuery) -> Result<Vec<Entry>, StoreError> {
    let wanted = words::wanted(&query.terms);
    if wanted.is_empty() || query.within.is_empty() {
        return Ok(Vec::new());
    }
    let conditions = conditions(query, &wanted);
    let chunks = query.within.chunks(AT_ONCE);
    let looks = chunks.map(|places| look_into(shared, &conditions, places, query.limit));
    let found: Vec<Vec<Entry>> = stream::iter(looks.collect::<Vec<_>>())
        .buffer_unordered(ABREAST)
        .try_collect()
        .await?;
    let mut newest: Vec<Entry> = found.into_iter().flatten().collect();
    newest.sort_by_key(|entry| Reverse(entry.id));
    newest.truncate(query.limit);
    Ok(newest)
}

/// What a message must be, wherever it is.
fn conditions(query: &SearchQuery, wanted: &[Wanted]) -> Vec<Document> {
    let mut conditions = Vec::new();
    for Wanted { word, beginning } in wanted {
        // Words are letters, digits and marks: none of them means anything in a pattern.
        let word = if *beginning {
            Bson::from(doc! { "$regex": format!("^{word}") })
        } else {
            Bson::from(word.clone())
        };
        conditions.push(doc! { "words": word });
    }
    conditions.extend(query.from.map(|author| doc! { "sender": author.oid() }));
    conditions.extend(query.has_link.then(|| doc! { "link": true }));
    conditions.extend(query.before.map(|before| doc! { "id": { "$lt": before.oid() } }));
    conditions
}

async fn look_into(
    shared: &Shared,
    conditions: &[Document],
    places: &[(ConversationId, Seq)],
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let conversations: Vec<_> = places
        .iter()
        .map(|(conversation, _)| conversation.oid())
        .collect();
    let mut all = conditions.to_vec();
    // Of those who came later and don't see what was before them.
    let partly = places.iter().filter(|(_, above)| *above > Seq::ZERO);
    let unseen: Vec<Document> = partly
        .map(|(conversation, above)| doc! { "conversation": conversation.oid(), "seq": { "$lte": long(above.0) } })
        .collect();
    if !unseen.is_empty() {
        all.push(doc! { "$nor": unseen });
    }
    let find = shared
        .entries
        .find(doc! { "conversation": { "$in": conversations }, "$and": all })
        .sort(doc! { "id": -1 })
        .limit(ids::limit(limit))
        .batch_size(ids::batch(limit))
        .projection(entry_fields());
    let rows = shared.gate.all(find).await?;
    rows.into_iter().map(Entry::try_from).collect()
}
