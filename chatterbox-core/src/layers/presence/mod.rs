//! Who is online (S-103, S-104), and who is told (`news`).
//!
//! ```text
//! first connection on this node ─▶ port.arrive ─▶ Appeared ─┐
//! last one ended, 12 s ago      ─▶ port.leave  ─▶ Vanished ─┼─▶ once a second: those who care, here and elsewhere
//! a node's lease ran out        ─▶ port.claim_expired ──────┘
//! ```
//! One task reports, in order, and lets nobody wait for the port. A change that the port did not take is tried again.
//! When the port has forgotten this node, everybody here arrives anew; after a time in which it did not answer, nodes
//! renew their leases before any of them looks for the dead. A node that goes away in good order ends its lease early.

mod counting;
mod news;
mod rooms;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

pub use self::counting::Presences;
use self::counting::{Change, Here};
use self::news::News;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::ids::{NodeId, UserId};
use crate::log::{Deliveries, Subscribed};
use crate::ports::presence::{Presence, PresenceError, Renewal, Transition};
use crate::role::Role;

/// A node's lease and how often it is renewed (DESIGN.md section 4, Presence). With the time until another node looks
/// and tells, a dead node's users are offline within 30 s (I7).
const LEASE: Duration = Duration::from_secs(26);
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How often this node looks for others whose lease has run out.
const CLAIM_EVERY: Duration = Duration::from_secs(2);
/// Who comes back within this time was never away (S-104).
const GRACE: Duration = Duration::from_secs(12);
/// The lease of a node that has closed all its connections ends after this time: whoever is not back by then, on
/// whichever node, is found to have left within the time of I7.
const HANDED_OVER: Duration = Duration::from_secs(11);
/// Comings and goings are told so often (S-103).
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A change that the port did not take is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// After the port was away, the other nodes have so long to renew their leases before they are taken for dead.
const OTHERS_TIME: Duration = Duration::from_secs(5);
/// The operator hears of a port that is away at most so often.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// Users told about in one turn, so that the lease is renewed in time.
const TOLD_AT_ONCE: usize = 256;
/// Users asked about in one question to the port.
const LOOKED_UP_AT_ONCE: usize = 1_000;
/// Conversations of a user whose members are told.
const CIRCLE_MAX: usize = 5_000;
/// People one word to other nodes is for.
const PARTNERS_AT_ONCE: usize = 1_000;
/// People who don't hear of a user (S-135), as far as they can be told to other nodes. Of somebody with more of them
/// nobody hears but in direct conversations, where each can be asked about.
const ESTRANGED_MAX: usize = 10_000;

/// The one task.
struct Reporter {
    port: Arc<dyn Presence>,
    node: NodeId,
    clock: Arc<dyn Clock>,
    deliveries: Arc<Deliveries>,
    connections: Arc<Mutex<HashMap<UserId, Here>>>,
    /// Those without a connection here whom the port still counts.
    leaving: HashMap<UserId, Leaving>,
    /// When their time is up.
    due: BTreeSet<(Instant, UserId)>,
    /// What is to be told. The last change counts.
    news: HashMap<UserId, News>,
    role: Role,
    renew_at: Instant,
    /// The last renewal failed.
    was_away: bool,
    /// Before, nobody is taken for dead.
    claim_from: Instant,
    warned: Option<Instant>,
}

struct Leaving {
    due: Instant,
    /// When their last connection ended.
    seen: Timestamp,
    /// Whether the port knows that they were here. If not, they arrive there when they are found to be here.
    counted: bool,
}

impl Reporter {
    async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        let mut claims = ticks(CLAIM_EVERY);
        let mut tellings = ticks(TELL_EVERY);
        let mut countings = ticks(rooms::COUNT_EVERY);
        // A lease is for the users of a node, and who runs out of it is looked for by those who watch and by workers.
        let holds_lease = self.role.serves_sockets();
        let claims_others = holds_lease || self.role.works();
        loop {
            let next = self.due.first().map(|(at, _)| *at);
            let result = tokio::select! {
                // The first renewal comes before the first user.
                biased;
                () = tokio::time::sleep_until(self.renew_at), if holds_lease => self.renew().await,
                _ = claims.tick(), if claims_others && self.may_claim() => self.claim().await,
                _ = tellings.tick(), if !self.news.is_empty() => {
                    self.tell().await;
                    Ok(())
                }
                _ = countings.tick(), if holds_lease && self.deliveries.outgoing().is_some() => {
                    self.count_rooms().await
                }
                () = sleep_until(next) => self.leave_due().await,
                change = changes.recv() => match change {
                    Some(Change::Arrived(user, circle)) => self.arrive(user, circle).await,
                    Some(Change::Activity(user)) => self.set_activity(user).await,
                    Some(Change::Shown(user, shown)) => {
                        note(self.show(user, shown).await, user);
                        Ok(())
                    }
                    Some(Change::Blocked(by, user)) => {
                        note(self.tell_between(by, user).await, by);
                        Ok(())
                    }
                    Some(Change::Left(user)) => {
                        self.leave_at(user, Instant::now() + GRACE, self.clock.now(), true);
                        Ok(())
                    }
                    Some(Change::HandedOver(done)) => {
                        if holds_lease {
                            self.hand_over().await;
                        }
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
            };
            if let Err(error) = result {
                self.warn(&error);
            }
        }
    }

    /// Not while leases can't be renewed, nor before the others could do it.
    fn may_claim(&self) -> bool {
        !self.was_away && self.claim_from <= Instant::now()
    }

    fn warn(&mut self, error: &PresenceError) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "presence could not be reported; who is online is told late"
            );
        }
    }

    async fn arrive(&mut self, user: UserId, circle: Option<Arc<Subscribed>>) -> Result<(), PresenceError> {
        if let Some(leaving) = self.leaving.remove(&user) {
            self.due.remove(&(leaving.due, user));
            if leaving.counted {
                // A reload: the port has not heard of it.
                return self.set_activity(user).await;
            }
        }
        let at = self.clock.now();
        match self.port.arrive(user, self.node, at).await {
            Ok(Transition::Appeared) => {
                let away = false;
                news::add(&mut self.news, user, News::Online { at, circle, away });
            }
            Ok(transition) => self.tell_later(user, transition, at),
            Err(error) => {
                self.look_again_at(user);
                return Err(error);
            }
        }
        // Who arrives is taken to be at a device, also who only arrives anew.
        if lock(&self.connections)
            .get(&user)
            .is_some_and(|here| here.is_away())
        {
            self.set_activity(user).await?;
        }
        Ok(())
    }

    /// Like somebody who leaves, and is found to be here.
    fn look_again_at(&mut self, user: UserId) {
        self.leave_at(user, Instant::now() + RETRY_AFTER, self.clock.now(), false);
    }

    /// Whether the user is at a device of this node.
    async fn set_activity(&mut self, user: UserId) -> Result<(), PresenceError> {
        let here = lock(&self.connections).get(&user).copied();
        let Some(here) = here else { return Ok(()) };
        match self.port.set_away(user, self.node, here.is_away()).await {
            Ok(transition) => {
                self.tell_later(user, transition, self.clock.now());
                Ok(())
            }
            Err(error) => {
                self.look_again_at(user);
                Err(error)
            }
        }
    }

    fn tell_later(&mut self, user: UserId, transition: Transition, at: Timestamp) {
        let news = match transition {
            Transition::Vanished => News::Offline { last_seen: at },
            Transition::WentAway => News::Activity { away: true, at },
            Transition::CameBack => News::Activity { away: false, at },
            Transition::Appeared | Transition::None => return,
        };
        news::add(&mut self.news, user, news);
    }

    fn leave_at(&mut self, user: UserId, due: Instant, seen: Timestamp, mut counted: bool) {
        if let Some(before) = self.leaving.get(&user) {
            self.due.remove(&(before.due, user));
            counted &= before.counted;
        }
        self.leaving.insert(user, Leaving { due, seen, counted });
        self.due.insert((due, user));
    }

    /// Reports one of those whose time is up.
    async fn leave_due(&mut self) -> Result<(), PresenceError> {
        let Some((_, user)) = self.due.pop_first() else {
            return Ok(());
        };
        let Some(Leaving { seen, counted, .. }) = self.leaving.remove(&user) else {
            return Ok(());
        };
        if lock(&self.connections).contains_key(&user) {
            return self.arrive(user, None).await;
        }
        match self.port.leave(user, self.node, seen).await {
            Ok(Transition::None) if !counted => {
                // Forgotten by the port before they left: others may still take them to be online.
                if self.port.online_among(&[user]).await?.is_empty() {
                    self.tell_later(user, Transition::Vanished, seen);
                }
            }
            Ok(transition) => self.tell_later(user, transition, seen),
            Err(error) => {
                self.leave_at(user, Instant::now() + RETRY_AFTER, seen, true);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Renews the lease. When another node had given this one up, or nobody knows of it, its users arrive anew.
    async fn renew(&mut self) -> Result<(), PresenceError> {
        let renewal = match self.port.renew(self.node, self.clock.now(), LEASE).await {
            Ok(renewal) => renewal,
            Err(error) => {
                self.was_away = true;
                self.renew_at = Instant::now() + RETRY_AFTER;
                return Err(error);
            }
        };
        self.renew_at = Instant::now() + RENEW_EVERY;
        if std::mem::take(&mut self.was_away) {
            self.claim_from = Instant::now() + OTHERS_TIME;
        }
        match renewal {
            Renewal::Held => Ok(()),
            Renewal::Fresh => {
                // One by one and between other things: the lease has to go on meanwhile.
                let users: Vec<UserId> = lock(&self.connections).keys().copied().collect();
                let (due, now) = (Instant::now(), self.clock.now());
                for leaving in self.leaving.values_mut() {
                    leaving.counted = false;
                }
                for user in users {
                    self.leave_at(user, due, now, false);
                }
                Ok(())
            }
        }
    }

    async fn hand_over(&mut self) {
        let ended = self.port.renew(self.node, self.clock.now(), HANDED_OVER).await;
        if let Err(error) = ended {
            self.warn(&error);
        }
    }

    /// Takes over the users of nodes that are dead.
    async fn claim(&mut self) -> Result<(), PresenceError> {
        while let Some(vanished) = self.port.claim_expired(self.clock.now()).await? {
            for some in vanished.chunks(LOOKED_UP_AT_ONCE) {
                let seen = self.port.last_seen(some).await;
                let seen = seen.unwrap_or_else(|_| vec![Some(self.clock.now()); some.len()]);
                for (user, last_seen) in some.iter().zip(seen) {
                    // Whoever is back meanwhile is told of by who has seen them come.
                    if let Some(last_seen) = last_seen {
                        self.tell_later(*user, Transition::Vanished, last_seen);
                    }
                }
            }
        }
        Ok(())
    }
}

fn note(told: Result<(), Error>, user: UserId) {
    if let Err(error) = told {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "who may see user {user} could not be told of a change of that"
        );
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
