//! Giving up the users of a node that no longer renews its lease.

use std::time::Duration;

use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{NodeId, UserId};
use chatterbox_core::ports::presence::Transition;
use deadpool_redis::redis::cmd;
use futures_util::future::try_join_all;

use super::super::calls::Failure;
use super::RedisPresence;

/// So long a claim is left to who made it. They die rarely, and who claims anew goes on where they ended.
const CLAIM_LEASE: Duration = Duration::from_secs(20);
/// Hints followed in one look.
const HINTS: usize = 16;
/// Users taken off in one go.
const USERS_AT_ONCE: usize = 256;

/// What a hint led to.
enum Found {
    /// The lease has ended at this time and the tenure is this caller's to give up.
    Claimed(Timestamp),
    /// The lease goes on until then.
    Held(Timestamp),
    /// Another node is about to.
    Busy,
    /// It is given up already.
    Gone,
}

impl RedisPresence {
    pub(super) async fn claim_one(&self, now: Timestamp) -> Result<Option<Vec<UserId>>, Failure> {
        let mut look = cmd("ZRANGEBYSCORE");
        look.arg(self.keys.tenures())
            .arg("-inf")
            .arg(format!("({}", now.as_millis()));
        look.arg("LIMIT").arg(0).arg(HINTS);
        for hint in self.command::<Vec<String>>(look).await? {
            let named = hint
                .split_once(':')
                .and_then(|(node, tenure)| Some((node.parse().ok()?, tenure)));
            let Some((node, tenure)) = named else {
                self.remove_hint(&hint).await?;
                continue;
            };
            match self.follow(node, tenure, now).await? {
                Found::Claimed(until) => return self.give_up(node, tenure, until).await.map(Some),
                Found::Held(until) => self.hint(node, tenure, until).await?,
                Found::Busy => {}
                Found::Gone => self.remove_hint(&hint).await?,
            }
        }
        Ok(None)
    }

    async fn follow(&self, node: NodeId, tenure: &str, now: Timestamp) -> Result<Found, Failure> {
        let claim = self.calls.run(|mut line| async move {
            self.scripts
                .claim
                .key(self.leases(node))
                .arg(tenure)
                .arg(now.as_millis())
                .arg(CLAIM_LEASE.as_millis())
                .invoke_async::<(String, i64)>(&mut line)
                .await
        });
        let (found, until) = claim.await?;
        let until = Timestamp::from_millis(until);
        Ok(match found.as_str() {
            "claimed" => Found::Claimed(until),
            "held" => Found::Held(until),
            "busy" => Found::Busy,
            _ => Found::Gone,
        })
    }

    /// Takes all users of the tenure off; who vanished by that. When it ends half-way, those are told who are done.
    async fn give_up(&self, node: NodeId, tenure: &str, until: Timestamp) -> Result<Vec<UserId>, Failure> {
        let mut vanished = Vec::new();
        match self.take_off_all(node, tenure, until, &mut vanished).await {
            Err(failure) if vanished.is_empty() => Err(failure),
            Err(failure) => {
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "the users of dead node {node} were given up in part; the rest follows"
                );
                Ok(vanished)
            }
            Ok(()) => Ok(vanished),
        }
    }

    async fn take_off_all(
        &self,
        node: NodeId,
        tenure: &str,
        until: Timestamp,
        vanished: &mut Vec<UserId>,
    ) -> Result<(), Failure> {
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(self.users(node))
                .arg(cursor)
                .arg("COUNT")
                .arg(USERS_AT_ONCE);
            let (next, found): (u64, Vec<(String, String)>) = self.command(scan).await?;
            let under_it = found.iter().filter(|(_, arrived_under)| arrived_under == tenure);
            let users: Vec<UserId> = under_it.filter_map(|(user, _)| user.parse().ok()).collect();
            for some in users.chunks(USERS_AT_ONCE) {
                self.take_off(node, tenure, until, some, vanished).await?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        let mut forget = cmd("HDEL");
        forget
            .arg(self.leases(node))
            .arg(tenure)
            .arg(format!("by:{tenure}"));
        self.command::<()>(forget).await?;
        self.remove_hint(&format!("{node}:{tenure}")).await
    }

    async fn take_off(
        &self,
        node: NodeId,
        tenure: &str,
        until: Timestamp,
        users: &[UserId],
        vanished: &mut Vec<UserId>,
    ) -> Result<(), Failure> {
        let departed = self.calls.run(|line| {
            let departures = users
                .iter()
                .map(|user| self.depart(line.clone(), *user, node, tenure, until));
            try_join_all(departures)
        });
        let gone = users
            .iter()
            .zip(departed.await?)
            .filter(|(_, it)| *it == Transition::Vanished);
        vanished.extend(gone.map(|(user, _)| *user));
        let forget = self.calls.run(|mut line| async move {
            let mut call = self.scripts.forget_users.key(self.users(node));
            call.arg(tenure);
            for user in users {
                call.arg(user.to_string());
            }
            call.invoke_async::<()>(&mut line).await
        });
        forget.await
    }

    async fn remove_hint(&self, hint: &str) -> Result<(), Failure> {
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.tenures()).arg(hint);
        self.command(remove).await
    }
}
