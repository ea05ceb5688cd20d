//! Who is online, over all nodes.
//!
//! ```text
//! {node}:leases   current ─▶ tenure     tenure ─▶ lease ends     by:tenure ─▶ who claims it, until when
//! {node}:users    user ─▶ tenure under which they arrived                     both in the node's slot
//! {user}:nodes    node ─▶ tenure:h (here) or tenure:a (away)     {user}:seen ─▶ last seen      in the user's slot
//! tenures         node:tenure by the end of its lease                         a hint, in any slot
//! {room}:watchers user by until when they count                               (`rooms`)
//! ```
//! A *tenure* is a lease and the users that arrived under it. A node has one at a time, and begins another when its
//! lease was claimed, when Redis has forgotten it, and whenever a connection broke: a Redis that comes back may have
//! forgotten some of what it was told. Users then arrive again, under the new tenure; what is left under the old one is
//! given up when its lease ends. So giving up an old tenure can't touch who has arrived since, and nobody who is here
//! flickers.
//!
//! 0→1 and 1→0 are decided by one script in the user's slot. The other steps lie in other slots, in an order that leaves
//! no ghost if a node dies in between:
//! - arriving: the node's users, the hint, then the user. Dead in between: a user who is under the tenure but not online, whom the
//!   claim passes over.
//! - leaving: the user, then the node's users. Dead in between: the same.
//! - claiming: mark the tenure as mine for 20 s, take its users off one by one, forget it. Dead in between: another node
//!   claims the rest after 20 s; of those already taken off nobody hears, but whoever asks is told.
//! - renewing: the lease, then the hint. Dead in between: whoever follows the hint sees the lease and mends the hint.

mod claim;
mod rooms;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{ConversationId, IdSource, NodeId, SystemIds, UserId};
use chatterbox_core::ports::presence::{Presence, PresenceError, Renewal, Transition};
use deadpool_redis::redis::{Cmd, FromRedisValue, RedisError, Script, cmd};
use futures_util::future::try_join_all;

use super::calls::{Calls, Failure};
use super::keys::Keys;
use super::pool::Line;

/// What is known of a node that no longer renews is kept so long for others to claim it.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How long it is remembered when somebody was seen last.
const SEEN_KEPT: Duration = Duration::from_hours(90 * 24);

/// The steps that one slot takes at once.
struct Scripts {
    renew: Script,
    arrive_at_node: Script,
    arrive: Script,
    depart: Script,
    set_away: Script,
    claim: Script,
    forget_users: Script,
}

impl Scripts {
    fn new() -> Scripts {
        Scripts {
            renew: Script::new(include_str!("renew.lua")),
            arrive_at_node: Script::new(include_str!("arrive_at_node.lua")),
            arrive: Script::new(include_str!("arrive.lua")),
            depart: Script::new(include_str!("depart.lua")),
            set_away: Script::new(include_str!("set_away.lua")),
            claim: Script::new(include_str!("claim.lua")),
            forget_users: Script::new(include_str!("forget_users.lua")),
        }
    }
}

pub(super) struct RedisPresence {
    keys: Keys,
    calls: Calls,
    ids: SystemIds,
    scripts: Scripts,
    /// A renewal failed, perhaps behind Redis having made it: the next begins a new tenure.
    unsure: AtomicBool,
}

impl RedisPresence {
    pub(super) fn new(keys: &Keys, calls: Calls) -> RedisPresence {
        RedisPresence {
            keys: keys.clone(),
            calls,
            ids: SystemIds::new(),
            scripts: Scripts::new(),
            unsure: AtomicBool::new(false),
        }
    }

    fn leases(&self, node: NodeId) -> String {
        self.keys.of_node(node, "leases")
    }

    fn users(&self, node: NodeId) -> String {
        self.keys.of_node(node, "users")
    }

    fn nodes(&self, user: UserId) -> String {
        self.keys.of_user(user, "nodes")
    }

    fn seen(&self, user: UserId) -> String {
        self.keys.of_user(user, "seen")
    }

    /// The name of a new tenure, unlike any other.
    fn fresh(&self) -> String {
        self.ids.next().to_string()
    }

    async fn command<T: FromRedisValue>(&self, command: Cmd) -> Result<T, Failure> {
        self.calls
            .run(|mut line| async move { command.query_async(&mut line).await })
            .await
    }

    /// Asks the same of each user, all at once.
    async fn of_each<T: FromRedisValue>(
        &self,
        users: &[UserId],
        question: impl Fn(UserId) -> Cmd,
    ) -> Result<Vec<T>, Failure> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let asked = self.calls.run(|line| {
            let questions = users.iter().map(|user| ask(line.clone(), question(*user)));
            try_join_all(questions)
        });
        asked.await
    }

    /// Lets everybody know when a tenure's lease ends.
    async fn hint(&self, node: NodeId, tenure: &str, until: Timestamp) -> Result<(), Failure> {
        let mut hint = cmd("ZADD");
        hint.arg(self.keys.tenures())
            .arg(until.as_millis())
            .arg(format!("{node}:{tenure}"));
        self.command(hint).await
    }

    /// Takes the user off the node, whichever tenure they arrived under or only if it was this one.
    async fn depart(
        &self,
        mut line: Line,
        user: UserId,
        node: NodeId,
        tenure: &str,
        seen: Timestamp,
    ) -> Result<Transition, RedisError> {
        let became: u8 = self
            .scripts
            .depart
            .key(self.nodes(user))
            .key(self.seen(user))
            .arg(node.to_string())
            .arg(tenure)
            .arg(seen.as_millis())
            .arg(SEEN_KEPT.as_millis())
            .invoke_async(&mut line)
            .await?;
        Ok(transition(became))
    }

    async fn try_renew(
        &self,
        node: NodeId,
        now: Timestamp,
        lease: Duration,
        anew: bool,
    ) -> Result<Renewal, Failure> {
        let until = now.plus(lease);
        let renewed = self.calls.run(|mut line| async move {
            self.scripts
                .renew
                .key(self.leases(node))
                .key(self.users(node))
                .arg(self.fresh())
                .arg(until.as_millis())
                .arg(u8::from(anew))
                .arg(KEPT.as_millis())
                .invoke_async::<(String, bool, String)>(&mut line)
                .await
        });
        let (tenure, is_fresh, before) = renewed.await?;
        if !before.is_empty() {
            self.hint(node, &before, until).await?;
        }
        self.hint(node, &tenure, until).await?;
        Ok(if is_fresh { Renewal::Fresh } else { Renewal::Held })
    }
}

async fn ask<T: FromRedisValue>(mut line: Line, question: Cmd) -> Result<T, RedisError> {
    question.query_async(&mut line).await
}

/// As the scripts name it.
fn transition(became: u8) -> Transition {
    match became {
        1 => Transition::Appeared,
        2 => Transition::Vanished,
        3 => Transition::WentAway,
        4 => Transition::CameBack,
        _ => Transition::None,
    }
}

fn unavailable(failure: Failure) -> PresenceError {
    PresenceError(Box::new(failure))
}

#[async_trait]
impl Presence for RedisPresence {
    async fn arrive(&self, user: UserId, node: NodeId, now: Timestamp) -> Result<Transition, PresenceError> {
        let at_node = self.calls.run(|mut line| async move {
            self.scripts
                .arrive_at_node
                .key(self.leases(node))
                .key(self.users(node))
                .arg(user.to_string())
                .arg(self.fresh())
                .arg(now.as_millis())
                .arg(KEPT.as_millis())
                .invoke_async::<(String, bool)>(&mut line)
                .await
        });
        let (tenure, is_fresh) = at_node.await.map_err(unavailable)?;
        if is_fresh {
            self.hint(node, &tenure, now).await.map_err(unavailable)?;
        }
        let arrived = self.calls.run(|mut line| async move {
            self.scripts
                .arrive
                .key(self.nodes(user))
                .key(self.seen(user))
                .arg(node.to_string())
                .arg(tenure)
                .invoke_async::<u8>(&mut line)
                .await
        });
        Ok(transition(arrived.await.map_err(unavailable)?))
    }

    async fn leave(&self, user: UserId, node: NodeId, now: Timestamp) -> Result<Transition, PresenceError> {
        let departed = self.calls.run(|line| self.depart(line, user, node, "", now));
        let transition = departed.await.map_err(unavailable)?;
        let mut forget = cmd("HDEL");
        forget.arg(self.users(node)).arg(user.to_string());
        if let Err(error) = self.command::<()>(forget).await {
            // What stays behind is passed over by whoever claims the node.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a node's list of users is out of date"
            );
        }
        Ok(transition)
    }

    async fn renew(&self, node: NodeId, now: Timestamp, lease: Duration) -> Result<Renewal, PresenceError> {
        let unsure = self.unsure.swap(false, Ordering::AcqRel);
        let anew = self.calls.lines().take_lost() || unsure;
        let renewed = self.try_renew(node, now, lease, anew).await;
        if renewed.is_err() {
            self.unsure.store(true, Ordering::Release);
        }
        renewed.map_err(unavailable)
    }

    async fn claim_expired(&self, now: Timestamp) -> Result<Option<Vec<UserId>>, PresenceError> {
        self.claim_one(now).await.map_err(unavailable)
    }

    async fn set_away(&self, user: UserId, node: NodeId, away: bool) -> Result<Transition, PresenceError> {
        let set = self.calls.run(|mut line| async move {
            self.scripts
                .set_away
                .key(self.nodes(user))
                .arg(node.to_string())
                .arg(if away { "a" } else { "h" })
                .invoke_async::<u8>(&mut line)
                .await
        });
        Ok(transition(set.await.map_err(unavailable)?))
    }

    async fn away_among(&self, users: &[UserId]) -> Result<Vec<UserId>, PresenceError> {
        let values = self.of_each::<Vec<String>>(users, |user| {
            let mut values = cmd("HVALS");
            values.arg(self.nodes(user));
            values
        });
        let is_away =
            |values: &Vec<String>| !values.is_empty() && values.iter().all(|value| value.ends_with(":a"));
        let values = values.await.map_err(unavailable)?;
        let away = users.iter().zip(&values).filter(|(_, values)| is_away(values));
        Ok(away.map(|(user, _)| *user).collect())
    }

    async fn online_among(&self, users: &[UserId]) -> Result<Vec<UserId>, PresenceError> {
        let exist = self.of_each::<bool>(users, |user| {
            let mut exists = cmd("EXISTS");
            exists.arg(self.nodes(user));
            exists
        });
        let exist = exist.await.map_err(unavailable)?;
        let online = users.iter().zip(exist).filter(|(_, exists)| *exists);
        Ok(online.map(|(user, _)| *user).collect())
    }

    async fn watch_rooms(
        &self,
        rooms: &[(ConversationId, Vec<UserId>)],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), PresenceError> {
        self.note_watchers(rooms, now, until).await.map_err(unavailable)
    }

    async fn watchers_of(&self, rooms: &[ConversationId], now: Timestamp) -> Result<Vec<u64>, PresenceError> {
        self.count_watchers(rooms, now).await.map_err(unavailable)
    }

    async fn last_seen(&self, users: &[UserId]) -> Result<Vec<Option<Timestamp>>, PresenceError> {
        let seen = self.of_each::<Option<i64>>(users, |user| {
            let mut get = cmd("GET");
            get.arg(self.seen(user));
            get
        });
        let seen = seen.await.map_err(unavailable)?;
        Ok(seen
            .into_iter()
            .map(|millis| millis.map(Timestamp::from_millis))
            .collect())
    }
}
