use serde::{Deserialize, Serialize};

use super::change::message_id;
use super::found::{Found, MessageFound, MessagePage};
use super::sight::Sight;
use crate::app::access::conversation_id;
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::domain::entry::Seq;
use crate::domain::limits::PAGE_ITEMS;

/// Reads the answers to a message (S-138).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadThread {
    /// Where.
    pub conversation_id: String,
    /// The message that is answered.
    pub message_id: String,
    /// Answers above this number.
    #[serde(default)]
    pub after: Seq,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A message and the answers to it.
#[derive(Debug, Clone, Serialize)]
pub struct Thread {
    /// The message.
    pub message: MessageFound,
    /// Answers, in order of seq.
    #[serde(flatten)]
    pub answers: MessagePage,
}

impl UseCase for ReadThread {
    type Reply = Thread;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<Thread>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let message = message_id(&self.message_id)?;
        let limit = self.limit.clamp(*PAGE_ITEMS.start(), *PAGE_ITEMS.end());
        let sight = Sight::of_member(app, id, user).await?;
        let answered = sight.entry(message).await?;
        // The index of answers is written a little behind the log.
        app.log.settle(&[id]).await?;

        let mut entries = Vec::new();
        let mut after = self.after;
        let has_more = loop {
            // One more than asked tells; what isn't seen is made up for by the next round.
            let wanted = limit + 1;
            let seqs = app.stores.messages.replies(id, message, after, wanted).await?;
            entries.extend(sight.entries(&seqs).await?);
            match seqs.last() {
                Some(last) if seqs.len() == wanted && entries.len() <= limit => after = *last,
                Some(_) | None => break entries.len() > limit,
            }
        };
        entries.truncate(limit);
        let conversation = sight.conversation.clone();
        let thread = Thread {
            message: MessageFound(Found::of(app, conversation.clone(), vec![answered]).await?),
            answers: MessagePage {
                found: Found::of(app, conversation, entries).await?,
                limit,
                has_more_before: self.after > Seq::ZERO,
                has_more_after: has_more,
            },
        };
        Ok(Outcome::of(thread))
    }
}
