//! Actions of one connection, carried out: commands go into the stack, and what the connection hears follows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chat::ChatRealtime;
use crate::app::digest::GetDigest;
use crate::app::looking::OpenConversation;
use crate::app::rooms::JoinRoom;
use crate::app::{Actor, Call, Command, Principal, Turn, UseCase};
use crate::domain::entry::Seq;
use crate::engine::chat::{Identity, OpenedAck, Replied, Resume, ResumeAck, resume_gaps, resumed};
use crate::error::Error;
use crate::hub::{Channel, Link};
use crate::ids::{ConversationId, UserId};
use crate::log::{Place, Plan, Subscribed, room_in_queue};
use crate::views::RoomView;

/// What a running action holds.
pub(super) struct Runner {
    pub(super) realtime: Arc<ChatRealtime>,
    pub(super) link: Link,
    pub(super) hearing: Arc<Hearing>,
    pub(super) principal: Option<Principal>,
    pub(super) address: Option<IpAddr>,
    pub(super) turn: Turn,
}

/// What a connection hears, and since when.
#[derive(Debug, Default)]
pub(super) struct Hearing(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Everything above these entries was delivered to the connection, or is about to be.
    from: Vec<(ConversationId, Seq)>,
    /// The node's count of deliveries at the last heartbeat.
    beat: u64,
    /// What was subscribed to at the login, for those who are told of it.
    circle: Option<Arc<Subscribed>>,
}

impl Hearing {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing any more.
    pub(super) fn clear(&self) {
        *self.lock() = Heard::default();
    }

    /// What was subscribed to at the login, once.
    pub(super) fn take_circle(&self) -> Option<Arc<Subscribed>> {
        self.lock().circle.take()
    }

    fn logged_in(&self, subscribed: Subscribed) {
        let mut heard = self.lock();
        heard.from.clone_from(&subscribed.from);
        heard.circle = Some(Arc::new(subscribed));
    }

    fn note(&self, all: impl IntoIterator<Item = (ConversationId, Seq)>) {
        let from = &mut self.lock().from;
        let mut noted: HashMap<ConversationId, Seq> = from.drain(..).collect();
        noted.extend(all);
        // Kept without a map's spare room: an idle connection has to do with 4 KiB (DESIGN.md section 5).
        *from = noted.into_iter().collect();
    }
}

impl Runner {
    pub(super) async fn call<C: UseCase>(&self, command: C) -> Result<C::Reply, Error> {
        self.realtime.stack.run_as::<C>(self.call_of(command)).await
    }

    pub(super) fn call_of(&self, command: impl Into<Command>) -> Call {
        let actor = self.principal.map_or(Actor::Nobody, Actor::User);
        let mut call = Call::new(actor, command).from_address(self.address);
        call.turn = self.turn.clone();
        call
    }

    /// Who the token speaks for, and on a login all that is heard without being asked for. The connection hears of the
    /// session's end before its life is looked at, so no end falls between.
    pub(super) async fn identify(&self, token: &str, resume: Option<Box<Resume>>) -> Result<Identity, Error> {
        let principal = self.realtime.sessions.verify_signature(token)?;
        if self
            .principal
            .is_some_and(|already| already.user != principal.user)
        {
            return Err(Error::Forbidden("this connection belongs to another user"));
        }
        let hub = &self.realtime.hub;
        let session = Channel::Session(principal.session);
        let is_new = hub.subscribe(&self.link, &session);
        let (lives, user) = tokio::join!(
            self.realtime.sessions.lives(&principal),
            self.realtime.names.get(principal.user)
        );
        if !matches!(lives, Ok(true)) && is_new {
            hub.unsubscribe(&self.link, &session);
        }
        if !lives? {
            return Err(Error::Unauthenticated("the session has ended"));
        }
        if let Some(before) = self.principal
            && before.session != principal.session
        {
            hub.unsubscribe(&self.link, &Channel::Session(before.session));
        }
        self.link.set_owner(principal.user);
        self.realtime.deliveries.attend(&self.link, principal.user).await;
        // A resume subscribes to everything itself, behind what it replays.
        if self.principal.is_none() && resume.is_none() {
            let deliveries = &self.realtime.deliveries;
            self.hearing
                .logged_in(deliveries.watch_mine(&self.link, principal.user).await?);
        }
        let server_time = self.realtime.clock.now();
        Ok(Identity {
            principal,
            user: user?,
            expires_in: principal.expires_at.since(server_time),
            resume,
            server_time,
        })
    }

    /// S-109.
    pub(super) async fn resume(&self, resume: Resume) -> Result<ResumeAck, Error> {
        let user = self.user()?;
        let mark = self.realtime.deliveries.mark();
        let digest = self.call(GetDigest { since: resume.since }).await?;
        let places: Vec<Place> = digest.conversations.iter().map(|item| item.place).collect();
        let plan = Plan::new(&places, &resume.cursors.0, &self.live(&places));
        for packet in resumed(&digest, &plan.gaps) {
            room_in_queue(&self.link).await;
            self.link.send(packet);
        }
        let deliveries = &self.realtime.deliveries;
        let done = deliveries.resume(&self.link, user, &plan, mark).await;
        self.hearing.note(done.heard);
        self.note_rooms(&places);
        if !done.gaps.is_empty() {
            // Behind what was replayed: a login with cursors has no ack that could tell it.
            self.link.send(resume_gaps(&done.gaps));
        }
        if !done.deaf.is_empty() {
            deliveries.hear_later(&self.link, user, done.deaf, |link, conversation| {
                link.send(resume_gaps(&[conversation]));
            });
        }
        let gaps: Vec<ConversationId> = plan.gaps.into_iter().chain(done.gaps).collect();
        Ok(ResumeAck {
            recovered: gaps.is_empty(),
            gaps,
        })
    }

    /// From where on the connection hears those of the conversations that it hears.
    fn live(&self, places: &[Place]) -> HashMap<ConversationId, Seq> {
        let from: HashMap<ConversationId, Seq> = self.hearing.lock().from.iter().copied().collect();
        let live = places.iter().filter_map(|place| {
            let id = place.conversation;
            let hub = &self.realtime.hub;
            if !hub.is_subscribed(&self.link, &Channel::Conversation(id)) {
                return None;
            }
            // Members who came in meanwhile hear the entry that brought them in; a former membership counts no more.
            let joined = Seq(place.joined.0.saturating_sub(1));
            Some((id, from.get(&id).map_or(joined, |from| joined.max(*from))))
        });
        live.collect()
    }

    fn note_rooms(&self, places: &[Place]) {
        for place in places.iter().filter(|place| !place.unasked) {
            let topic = Channel::Conversation(place.conversation);
            if self.realtime.hub.is_subscribed(&self.link, &topic) {
                self.realtime.deliveries.note_room(place.conversation);
            }
        }
    }

    /// S-087.
    pub(super) async fn open(&self, open: OpenConversation) -> Result<OpenedAck, Error> {
        let user = self.user()?;
        let after = open.after_seq;
        let mark = self.realtime.deliveries.mark();
        let opened = self.call(open).await?;
        let id = opened.conversation_id;
        let live = self.live(&[opened.place]);
        let cursors = HashMap::from([(id, after.unwrap_or(opened.head_seq))]);
        let plan = Plan::new(&[opened.place], &cursors, &live);
        let deliveries = &self.realtime.deliveries;
        let done = deliveries.resume(&self.link, user, &plan, mark).await;
        if !done.deaf.is_empty() {
            return Err(Error::Unavailable(None));
        }
        self.hearing.note(done.heard);
        self.note_rooms(&[opened.place]);
        if !deliveries.look(&self.link, id) {
            return Err(Error::NotFound("conversation"));
        }
        Ok(OpenedAck {
            conversation_id: id,
            seq: opened.head_seq,
            recovered: plan.gaps.is_empty() && done.gaps.is_empty(),
        })
    }

    /// S-084: the room, and the entry above which everything is delivered.
    pub(super) async fn join_room(&self, join: JoinRoom) -> Result<(RoomView, Seq), Error> {
        let user = self.user()?;
        let deliveries = &self.realtime.deliveries;
        let mark = deliveries.mark();
        let joined = self.call(join).await?;
        let id = joined.room.id;
        let hears_already = self
            .realtime
            .hub
            .is_subscribed(&self.link, &Channel::Conversation(id));
        let seq = deliveries.watch_as(&self.link, user, id, mark).await?;
        // Put out again in this moment.
        let seq = seq.ok_or(Error::NotAMember)?;
        if !hears_already {
            self.hearing.note([(id, seq)]);
        }
        deliveries.note_room(id);
        Ok((joined.room, seq))
    }

    /// S-092.
    pub(super) fn beat(&self) -> Replied {
        let since = self.hearing.lock().beat;
        let (hints, now) = self.realtime.deliveries.hints(&self.link, since);
        self.hearing.lock().beat = now;
        Replied::Beat(self.realtime.clock.now(), hints)
    }

    fn user(&self) -> Result<UserId, Error> {
        let principal = self.principal.ok_or(Error::Unauthenticated("log in first"))?;
        Ok(principal.user)
    }
}
