use std::collections::HashMap;

use serde::{Deserialize, Serialize, Serializer};

use super::found::Found;
use crate::app::access::{conversation_id, member_of};
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::domain::conversation::Conversation;
use crate::domain::entry::{Entry, Seq};
use crate::domain::limits::{CONVERSATIONS_LISTED_MAX, CONVERSATIONS_SEARCHED_MAX, PAGE_ITEMS};
use crate::domain::query::{Terms, TermsError};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::SearchQuery;
use crate::views::MessageView;

/// Rounds that make up for messages which the caller has deleted for themselves.
const ROUNDS_MAX: usize = 20;

/// Finds messages in everything the caller can see now (S-133), newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchMessages {
    /// Words, each of which must occur; of the last one a beginning suffices.
    pub q: String,
    /// Only in this conversation.
    #[serde(default, rename = "in")]
    pub within: Option<String>,
    /// Only of this author.
    #[serde(default)]
    pub from: Option<String>,
    /// Only messages with a lower id: ids are in order of time.
    #[serde(default)]
    pub before: Option<EntryId>,
    /// Only messages that link somewhere.
    #[serde(default)]
    pub has_link: bool,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A page of messages, newest first.
#[derive(Debug, Clone)]
pub struct MessagesFound {
    found: HashMap<ConversationId, Found>,
    order: Vec<(ConversationId, Seq)>,
    terms: Terms,
    /// The limit that was used.
    pub limit: usize,
    /// The last message, if there are more behind it.
    pub next: Option<EntryId>,
}

impl UseCase for SearchMessages {
    type Reply = MessagesFound;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MessagesFound>, Error> {
        let user = by.actor.user()?.user;
        let terms = Terms::parse(&self.q).map_err(|error| match error {
            TermsError::Nothing | TermsError::TooLong => Error::invalid("q", error.to_string()),
            TermsError::TooMany | TermsError::TooShort => Error::QueryTooCostly,
        })?;
        let from = self.from.as_deref().map(str::parse::<UserId>).transpose();
        let from = from.map_err(|_| Error::InvalidId("from"))?;
        let limit = self.limit.clamp(*PAGE_ITEMS.start(), *PAGE_ITEMS.end());
        let places = self.places(app, user).await?;
        let mut query = SearchQuery {
            within: Vec::new(),
            terms: terms.words().to_vec(),
            from,
            has_link: self.has_link,
            before: self.before,
            // One more than asked tells.
            limit: limit + 1,
        };
        let mut within: Vec<(ConversationId, Seq)> =
            places.iter().map(|(id, (above, _))| (*id, *above)).collect();
        within.sort_unstable();
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let batch = search(app, &within, &mut query).await?;
            let is_last = batch.len() < query.limit;
            query.before = batch.last().map(|entry| entry.id).or(query.before);
            entries.extend(without_hidden(app, user, batch).await?);
            if is_last || entries.len() > limit {
                break;
            }
        }
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| has_more).map(|entry| entry.id);
        let order = entries
            .iter()
            .map(|entry| (entry.conversation, entry.seq))
            .collect();
        let mut found = HashMap::new();
        for (id, entries) in by_conversation(entries) {
            if let Some((_, conversation)) = places.get(&id) {
                found.insert(id, Found::of(app, conversation.clone(), entries).await?);
            }
        }
        Ok(Outcome::of(MessagesFound {
            found,
            order,
            terms,
            limit,
            next,
        }))
    }
}

impl SearchMessages {
    /// The conversations that are searched, and above which number.
    async fn places(
        &self,
        app: &App,
        user: UserId,
    ) -> Result<HashMap<ConversationId, (Seq, Conversation)>, Error> {
        if let Some(id) = &self.within {
            let id = conversation_id(id).map_err(|_| Error::InvalidId("in"))?;
            let access = member_of(app, id, user).await?;
            let above = access.member.sees_above(&access.conversation);
            return Ok(HashMap::from([(id, (above, access.conversation))]));
        }
        let all = app
            .stores
            .conversations
            .overview(user, CONVERSATIONS_LISTED_MAX)
            .await?;
        let places = all.into_iter().map(|one| {
            let above = one.member.sees_above(&one.conversation);
            (one.conversation.id, (above, one.conversation))
        });
        Ok(places.collect())
    }
}

/// The newest that match in all of these conversations, as many as the query asks for.
async fn search(
    app: &App,
    within: &[(ConversationId, Seq)],
    query: &mut SearchQuery,
) -> Result<Vec<Entry>, Error> {
    let mut found = Vec::new();
    for some in within.chunks(CONVERSATIONS_SEARCHED_MAX) {
        query.within = some.to_vec();
        found.extend(app.stores.messages.search(query.clone()).await?);
    }
    found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    found.truncate(query.limit);
    Ok(found)
}

/// The entries of each conversation, in order of seq.
fn by_conversation(entries: Vec<Entry>) -> HashMap<ConversationId, Vec<Entry>> {
    let mut groups: HashMap<ConversationId, Vec<Entry>> = HashMap::new();
    for entry in entries.into_iter().rev() {
        groups.entry(entry.conversation).or_default().push(entry);
    }
    groups
}

async fn without_hidden(app: &App, user: UserId, mut entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
    let mut seqs: HashMap<ConversationId, Vec<Seq>> = HashMap::new();
    for entry in &entries {
        seqs.entry(entry.conversation).or_default().push(entry.seq);
    }
    for (id, seqs) in seqs {
        let hidden = app.stores.messages.hidden_among(user, id, &seqs).await?;
        entries.retain(|entry| entry.conversation != id || !hidden.contains(&entry.seq));
    }
    Ok(entries)
}

/// A message that was found, and where the words are in its text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hit<'a> {
    /// The message.
    #[serde(flatten)]
    pub message: MessageView<'a>,
    /// The words that were looked for, as `[start, end)` in code points of `content`.
    #[schema(value_type = Vec<Vec<u32>>)]
    pub highlights: Vec<(usize, usize)>,
}

impl MessagesFound {
    /// As clients see them.
    pub fn items(&self) -> impl Iterator<Item = Hit<'_>> {
        self.order.iter().filter_map(|(id, seq)| {
            let found = self.found.get(id)?;
            let entry = found.entries.iter().find(|entry| entry.seq == *seq)?;
            let message = found.view(entry)?;
            Some(Hit {
                highlights: self.terms.highlights(&message.content),
                message,
            })
        })
    }
}

impl Serialize for MessagesFound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Items<'a> {
            items: Vec<Hit<'a>>,
            limit: usize,
        }
        let items = Items {
            items: self.items().collect(),
            limit: self.limit,
        };
        items.serialize(serializer)
    }
}
