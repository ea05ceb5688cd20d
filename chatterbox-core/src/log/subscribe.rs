//! Who hears a conversation on this node.
//!
//! ```text
//! auth ──▶ the user's channel ──▶ overview (one query) ──▶ every direct conversation and group
//! a membership that begins later (enter.rs) ─────────▶ the connections on the user's channel
//! ```
//! A connection hears its user's channel first. So a membership that begins later finds the connection there, and one
//! that began earlier stands in the rows, which are written before anybody is told. One that ends while rows are read
//! stands in the journal.

use std::sync::Arc;
use std::time::Duration;

use super::Deliveries;
use super::delivery::HEADS_AT_ONCE;
use super::journal::{Mark, Since};
use super::relay::Subject;
use super::state::State;
use super::watched::Watched;
use crate::domain::conversation::Kind;
use crate::domain::entry::Seq;
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;
use crate::error::Error;
use crate::hub::{Channel, Link};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::Overview;

/// Direct conversations and groups that a connection hears from its login on; of more, those with the newest entries.
pub(super) const WATCHED_AT_LOGIN_MAX: usize = 2_000;
/// How often rows are read again because too much happened meanwhile.
const ATTEMPTS: u32 = 5;

/// What a connection hears, and from where on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribed {
    /// Every conversation, and the entry above which everything is delivered.
    pub from: Vec<(ConversationId, Seq)>,
    /// The direct ones among them.
    pub directs: Vec<ConversationId>,
    /// The groups among them.
    pub groups: Vec<ConversationId>,
}

/// Conversations that are delivered on this node.
#[derive(Default)]
pub(super) struct AllBegun {
    /// One for each that was asked for, in that order.
    pub(super) all: Vec<Arc<Watched>>,
    /// Those among them that were not delivered before.
    pub(super) fresh: Vec<Arc<Watched>>,
}

/// What became of one subscription.
enum Outcome {
    /// Everything above this entry is heard.
    Heard(Seq),
    /// The user is no member any more, or will be subscribed with the entry that makes them one.
    NotNow,
    /// Nobody watches the conversation any more: it has to be begun anew.
    Over,
    /// Too much has happened since the rows were read.
    TooMuch,
}

impl Deliveries {
    /// A place in time, for [`watch_as`](Deliveries::watch_as).
    pub fn mark(&self) -> Mark {
        self.journal.mark()
    }

    /// The connection hears what its user is told on any node, from when this returns.
    pub async fn attend(&self, link: &Link, user: UserId) {
        self.hub.subscribe(link, &Channel::User(user));
        if let Some(outgoing) = &self.outgoing {
            outgoing.listen(Subject::User(user)).await;
        }
    }

    /// Lets the connection have every entry above the returned number, in order, each once.
    pub async fn watch(self: &Arc<Self>, link: &Link, conversation: ConversationId) -> Result<Seq, Error> {
        loop {
            let watched = self.begun(conversation, None).await?;
            let progress = watched.lock();
            if let Some(last) = progress.last
                && !progress.over
            {
                // Nothing is published while the progress is locked, so nothing falls between.
                self.hub.subscribe(link, &Channel::Conversation(conversation));
                return Ok(last);
            }
        }
    }

    /// As [`watch`](Deliveries::watch), for a user who was a member at `mark` or later; `None` if they are none any
    /// more.
    pub async fn watch_as(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        conversation: ConversationId,
        mark: Mark,
    ) -> Result<Option<Seq>, Error> {
        let mut mark = mark;
        for _ in 0..ATTEMPTS {
            let watched = self.begun(conversation, None).await?;
            match self.watch_one(&watched, link, user, Seq::ZERO, mark) {
                Outcome::Heard(last) => return Ok(Some(last)),
                Outcome::NotNow => return Ok(None),
                // Its last watcher left in this moment.
                Outcome::Over => {}
                Outcome::TooMuch => match self.mark_as_member(conversation, user).await? {
                    Some(fresh) => mark = fresh,
                    None => return Ok(None),
                },
            }
        }
        Err(Error::Unavailable(None))
    }

    /// A fresh mark, if the user is a member as of it by what the log says: rows may lag behind the end of a membership
    /// that stands in the journal no more.
    pub(super) async fn mark_as_member(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<Mark>, Error> {
        let mark = self.journal.mark();
        let State { standing, .. } = State::load(&self.stores, conversation).await?;
        let is_member = match standing.conversation.kind {
            Kind::Direct | Kind::Group => standing.members.contains_key(&user),
            Kind::Room(_) => {
                let conversations = &self.stores.conversations;
                let members = conversations.members_among(conversation, &[user]).await?;
                !members.is_empty() && !standing.bans.contains(&user)
            }
        };
        Ok(is_member.then_some(mark))
    }

    /// Lets a connection that hears its user's channel hear all direct conversations and groups of the user (SPEC.md
    /// section 1, Who receives). One query, however many they are.
    pub async fn watch_mine(self: &Arc<Self>, link: &Link, user: UserId) -> Result<Subscribed, Error> {
        for _ in 0..ATTEMPTS {
            let mark = self.journal.mark();
            let overview = self
                .stores
                .conversations
                .overview(user, CONVERSATIONS_LISTED_MAX)
                .await?;
            if let Some(subscribed) = self.watch_all(link, user, &overview, mark).await? {
                return Ok(subscribed);
            }
        }
        Err(Error::Unavailable(None))
    }

    /// Subscribes to what is delivered without being asked for. `None` if too much has happened since the mark.
    async fn watch_all(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        overview: &[Overview],
        mark: Mark,
    ) -> Result<Option<Subscribed>, Error> {
        let (mut found, mut heads) = (Vec::new(), Vec::new());
        for one in delivered_unasked(overview) {
            let Some((head, joined)) = self.membership(one, user).await? else {
                continue;
            };
            heads.push((one.conversation.id, head));
            found.push((one, joined));
        }
        let begun = self.begin_all(&heads).await;
        let mut subscribed = Subscribed::default();
        for ((one, joined), mut watched) in found.into_iter().zip(begun.all) {
            let id = one.conversation.id;
            let outcome = loop {
                match self.watch_one(&watched, link, user, joined, mark) {
                    // Its last watcher left in this moment.
                    Outcome::Over => watched = self.begun(id, None).await?,
                    outcome => break outcome,
                }
            };
            match outcome {
                Outcome::Heard(last) => subscribed.from.push((id, last)),
                Outcome::NotNow | Outcome::Over => continue,
                Outcome::TooMuch => return Ok(None),
            }
            match one.conversation.kind {
                Kind::Direct => subscribed.directs.push(id),
                Kind::Group | Kind::Room(_) => subscribed.groups.push(id),
            }
        }
        self.catch_up_with(&begun.fresh, mark).await?;
        Ok(Some(subscribed))
    }

    /// Has conversations delivered behind these entries, unless they are already. One answer of the bus is waited for,
    /// however many they are. What was appended before is for [`catch_up_with`](Deliveries::catch_up_with).
    pub(super) async fn begin_all(&self, heads: &[(ConversationId, Seq)]) -> AllBegun {
        let mut begun = AllBegun::default();
        let mut behind = Vec::new();
        for (conversation, head) in heads {
            // With a bus, it has to be listened to before the first entry is waited for.
            let last = self.outgoing.is_none().then_some(*head);
            let (watched, is_fresh) = self.find_or_begin(*conversation, last);
            if is_fresh || watched.lock().last.is_none() {
                begun.fresh.push(watched.clone());
                behind.push(*head);
            }
            begun.all.push(watched);
        }
        if let Some(outgoing) = &self.outgoing {
            outgoing
                .listen_all(begun.fresh.iter().map(|watched| watched.conversation))
                .await;
        }
        for (watched, head) in begun.fresh.iter().zip(behind) {
            self.begin_behind(watched, head);
        }
        begun
    }

    fn watch_one(&self, watched: &Watched, link: &Link, user: UserId, joined: Seq, mark: Mark) -> Outcome {
        let id = watched.conversation;
        let progress = watched.lock();
        if progress.over {
            return Outcome::Over;
        }
        match self.journal.is_out(mark, id, user) {
            Since::Yes => return Outcome::NotNow,
            Since::Unknown => return Outcome::TooMuch,
            Since::No => {}
        }
        match progress.last {
            Some(last) if last >= joined => {
                // Nothing is published while the progress is locked, so nothing falls between.
                self.hub.subscribe(link, &Channel::Conversation(id));
                Outcome::Heard(last)
            }
            // This node has still to deliver the entry that brings the user in, and will subscribe them with it.
            Some(_) | None => Outcome::NotNow,
        }
    }

    /// What was appended while nobody listened yet.
    pub(super) async fn catch_up_with(
        self: &Arc<Self>,
        fresh: &[Arc<Watched>],
        mark: Mark,
    ) -> Result<(), Error> {
        for some in fresh.chunks(HEADS_AT_ONCE) {
            let behind = if self.outgoing.is_some() {
                self.behind(some).await?
            } else {
                // All announcements are made on this node.
                let unheard = |watched: &&Arc<Watched>| {
                    self.journal.was_unheard(mark, watched.conversation) != Since::No
                };
                some.iter().filter(unheard).cloned().collect()
            };
            for watched in behind {
                self.heal_later(&mut watched.lock(), &watched, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// Up to where the rows are known to be right, and the entry of the user's join; `None` if an entry that isn't in
    /// the rows yet has ended the membership.
    pub(super) async fn membership(&self, one: &Overview, user: UserId) -> Result<Option<(Seq, Seq)>, Error> {
        if one.projected >= one.head.gov {
            return Ok(Some((one.head.seq, one.member.joined_seq)));
        }
        let state = State::load(&self.stores, one.conversation.id).await?;
        let seat = state.standing.members.get(&user);
        Ok(seat.map(|seat| (state.head.seq, seat.joined_seq)))
    }

    /// Whether one of the users is connected to this node.
    pub(super) fn has_connections(&self, users: &[UserId]) -> bool {
        users
            .iter()
            .any(|user| self.hub.watchers(&Channel::User(*user)) > 0)
    }

    /// Ends a membership that no entry ends: of a room. The user's connections on this node hear nothing more of it.
    pub fn exit(&self, conversation: ConversationId, user: UserId) {
        self.put_out(conversation, user);
        self.typists().left(conversation, user);
        self.forget_unwatched(conversation);
    }

    /// The conversation, with the entry known behind which it is delivered: `behind`, or the end of the log, unless
    /// others watch it already.
    pub(super) async fn begun(
        self: &Arc<Self>,
        conversation: ConversationId,
        behind: Option<Seq>,
    ) -> Result<Arc<Watched>, Error> {
        let (watched, _) = self.find_or_begin(conversation, None);
        if watched.lock().last.is_some() {
            return Ok(watched);
        }
        if let Some(outgoing) = &self.outgoing {
            // Before the head is read: an entry appended in between is on the bus or in the head.
            outgoing.listen(Subject::Conversation(conversation)).await;
        }
        let last = match behind {
            Some(seq) => seq,
            None => self.stores.log.head(conversation).await?.seq,
        };
        self.begin_behind(&watched, last);
        Ok(watched)
    }

    /// The connection has the conversation before its eyes, if it hears it (S-087). False if its user is no member any
    /// more.
    pub fn look(&self, link: &Link, conversation: ConversationId) -> bool {
        let (watched, _) = self.find_or_begin(conversation, None);
        // Who is put out meanwhile loses both together.
        let _progress = watched.lock();
        let hears = self.hub.is_subscribed(link, &Channel::Conversation(conversation));
        if hears {
            self.hub.subscribe(link, &Channel::Looking(conversation));
        }
        hears
    }

    /// Ends all subscriptions of a connection, those to users and sessions included.
    pub fn unwatch_all(&self, link: &Link) {
        let topics = self.hub.topics_of(link);
        self.hub.unsubscribe_all(link);
        for topic in topics {
            match topic {
                Channel::Conversation(conversation) => self.forget_unwatched(conversation),
                Channel::User(user) => self.forget_gone(user),
                Channel::Looking(_) | Channel::Session(_) => {}
            }
        }
    }

    /// Listens no longer to what a user is told who has no connection here any more.
    fn forget_gone(&self, user: UserId) {
        if let Some(outgoing) = &self.outgoing
            && !self.has_connections(&[user])
        {
            outgoing.stop_listening(Subject::User(user));
        }
    }
}

/// What a connection hears from its login on: all that is no room and open, the newest first if there are many.
pub(super) fn delivered_unasked(overview: &[Overview]) -> Vec<&Overview> {
    let is_asked_for = |one: &&Overview| matches!(one.conversation.kind, Kind::Room(_));
    let mut all: Vec<&Overview> = overview.iter().filter(|one| !is_asked_for(one)).collect();
    if all.len() > WATCHED_AT_LOGIN_MAX {
        all.sort_unstable_by_key(|one| std::cmp::Reverse(one.head.created_at));
        all.truncate(WATCHED_AT_LOGIN_MAX);
    }
    all
}
