use super::Position;
use crate::app::access::member_of;
use crate::app::{App, Error};
use crate::domain::conversation::Conversation;
use crate::domain::entry::{Entry, Seq};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{READ_MAX, StoreError};

/// What one reader sees of a conversation: entries that history shows, above where their sight begins, and none that
/// they have deleted for themselves.
pub(super) struct Sight<'a> {
    app: &'a App,
    pub(super) conversation: Conversation,
    /// Entries up to this one came before the reader.
    above: Seq,
    /// Whose hidden messages are left out; the operator has none.
    reader: Option<UserId>,
}

impl<'a> Sight<'a> {
    /// Of a member; for everybody else the conversation does not exist.
    pub(super) async fn of_member(
        app: &'a App,
        id: ConversationId,
        user: UserId,
    ) -> Result<Sight<'a>, Error> {
        let access = member_of(app, id, user).await?;
        Ok(Sight {
            app,
            above: access.member.sees_above(&access.conversation),
            conversation: access.conversation,
            reader: Some(user),
        })
    }

    /// Of the members of a room, and of everybody who is not banned from it where rooms are open (S-077). The operator
    /// is nobody in particular.
    pub(super) async fn of_room(
        app: &'a App,
        name: &str,
        reader: Option<UserId>,
    ) -> Result<Sight<'a>, Error> {
        let conversation = app.rooms.room(name).await?;
        if let Some(user) = reader
            && !app.rooms.is_member(conversation.id, user).await?
        {
            if !app.quotas.rooms_open {
                return Err(Error::NotAMember);
            }
            let state = app.log.state(conversation.id).await?;
            if state.standing.bans.contains(&user) {
                return Err(Error::Forbidden("you are banned from this room"));
            }
        }
        Ok(Sight {
            app,
            conversation,
            above: Seq::ZERO,
            reader,
        })
    }

    /// The entry under this id, if it is seen.
    pub(super) async fn entry(&self, id: EntryId) -> Result<Entry, Error> {
        let entry = self.app.stores.log.get(self.conversation.id, id).await?;
        let seen = self.seen(entry.into_iter().collect()).await?;
        seen.into_iter().next().ok_or(Error::NotFound("message"))
    }

    /// The entries with these numbers, those that are seen.
    pub(super) async fn entries(&self, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.app.stores.log.read_at(self.conversation.id, seqs).await?;
        self.seen(entries).await
    }

    /// The number that a position means. An entry that isn't seen is no position.
    pub(super) async fn resolve(&self, position: Position) -> Result<Seq, Error> {
        match position {
            Position::Seq(seq) => Ok(seq),
            Position::Id(id) => {
                let entry = self.app.stores.log.get(self.conversation.id, id).await?;
                let entry = entry.filter(|entry| entry.kind.is_shown() && entry.seq > self.above);
                entry.map(|entry| entry.seq).ok_or(Error::NotFound("message"))
            }
        }
    }

    /// The last `limit` entries below `before`, and whether there are more.
    pub(super) async fn below(
        &self,
        mut before: Option<Seq>,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        // One more than asked tells.
        let (wanted, mut asked) = (limit + 1, limit + 1);
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let log = &self.app.stores.log;
            let batch = log.history_before(self.conversation.id, before, asked).await?;
            let is_last = batch.len() < asked;
            let first = batch.first().map(|entry| entry.seq);
            let mut seen = self.seen(batch).await?;
            seen.append(&mut found);
            found = seen;
            match first {
                Some(first) if !is_last && first > self.above && found.len() < wanted => before = Some(first),
                Some(_) | None => break,
            }
            asked = READ_MAX;
        }
        let surplus = found.len().saturating_sub(limit);
        found.drain(..surplus);
        Ok((found, surplus > 0))
    }

    /// The first `limit` entries above `after`, and whether there are more.
    pub(super) async fn above(&self, after: Seq, limit: usize) -> Result<(Vec<Entry>, bool), StoreError> {
        let (wanted, mut asked) = (limit + 1, limit + 1);
        let mut after = after.max(self.above);
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let log = &self.app.stores.log;
            let batch = log.history_after(self.conversation.id, after, asked).await?;
            let is_last = batch.len() < asked;
            let last = batch.last().map(|entry| entry.seq);
            found.extend(self.seen(batch).await?);
            match last {
                Some(last) if !is_last && found.len() < wanted => after = last,
                Some(_) | None => break,
            }
            asked = READ_MAX;
        }
        let more = found.len() > limit;
        found.truncate(limit);
        Ok((found, more))
    }

    /// Whether anything is seen below `before`.
    pub(super) async fn has_below(&self, before: Seq) -> Result<bool, StoreError> {
        let (entries, more) = self.below(Some(before), 0).await?;
        Ok(more || !entries.is_empty())
    }

    /// Whether anything is seen above `after`.
    pub(super) async fn has_above(&self, after: Seq) -> Result<bool, StoreError> {
        let (entries, more) = self.above(after, 0).await?;
        Ok(more || !entries.is_empty())
    }

    /// Those of the entries that the reader sees.
    async fn seen(&self, mut entries: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        entries.retain(|entry| entry.kind.is_shown() && entry.seq > self.above);
        let (Some(reader), false) = (self.reader, entries.is_empty()) else {
            return Ok(entries);
        };
        let seqs: Vec<Seq> = entries.iter().map(|entry| entry.seq).collect();
        let messages = &self.app.stores.messages;
        let hidden = messages.hidden_among(reader, self.conversation.id, &seqs).await?;
        if !hidden.is_empty() {
            entries.retain(|entry| !hidden.contains(&entry.seq));
        }
        Ok(entries)
    }
}
