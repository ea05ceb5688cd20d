//! Who watches rooms: a sorted set for each, users by until when they count. Nodes name their users again and again, so
//! nothing has to be taken back: not for who leaves one of two nodes, nor for a node that dies.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{ConversationId, UserId};
use deadpool_redis::redis::{Cmd, cmd};
use futures_util::future::try_join_all;

use super::super::calls::Failure;
use super::{RedisPresence, ask};

/// Users named in one command, and commands under way at once.
const USERS_AT_ONCE: usize = 500;
const COMMANDS_AT_ONCE: usize = 64;

impl RedisPresence {
    fn watchers(&self, room: ConversationId) -> String {
        self.keys.of_room(room, "watchers")
    }

    pub(super) async fn note_watchers(
        &self,
        rooms: &[(ConversationId, Vec<UserId>)],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), Failure> {
        let mut commands = Vec::new();
        for (room, users) in rooms {
            let key = self.watchers(*room);
            for some in users.chunks(USERS_AT_ONCE) {
                let mut add = cmd("ZADD");
                add.arg(&key).arg("GT");
                for user in some {
                    add.arg(until.as_millis()).arg(user.to_string());
                }
                commands.push(add);
            }
            let mut forget = cmd("ZREMRANGEBYSCORE");
            forget.arg(&key).arg("-inf").arg(now.as_millis());
            commands.push(forget);
            // By the clock of Redis, which may be another: late enough.
            let mut end = cmd("PEXPIRE");
            end.arg(&key).arg(2 * until.since(now).as_millis());
            commands.push(end);
        }
        for some in commands.chunks(COMMANDS_AT_ONCE) {
            let under_way = self.calls.run(|line| {
                let asked = some
                    .iter()
                    .map(|command| ask::<()>(line.clone(), command.clone()));
                try_join_all(asked)
            });
            under_way.await?;
        }
        Ok(())
    }

    pub(super) async fn count_watchers(
        &self,
        rooms: &[ConversationId],
        now: Timestamp,
    ) -> Result<Vec<u64>, Failure> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let count = |room: &ConversationId| -> Cmd {
            let mut count = cmd("ZCOUNT");
            count
                .arg(self.watchers(*room))
                .arg(format!("({}", now.as_millis()))
                .arg("+inf");
            count
        };
        let asked = self.calls.run(|line| {
            let questions = rooms.iter().map(|room| ask(line.clone(), count(room)));
            try_join_all(questions)
        });
        asked.await
    }
}
