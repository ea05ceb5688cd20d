//! Messages in conversations of every sort (SPEC.md sections 1, 6 and 7): what REST answers, what sockets hear, and
//! what is in the log afterwards.

mod changing;
mod history;
mod matrix;
mod reading;
mod searching;
mod writing;

use std::collections::HashMap;

use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, Options, World, id_of, text};
use crate::app::{Actor, Call, Command, Principal};
use crate::domain::entry::{Entry, Seq};
use crate::engine::eio::QueueLimits;
use crate::error::Error;
use crate::hub::{Channel, Detached};
use crate::ids::{ConversationId, SessionId, TokenId, UserId};
use crate::testkit::samples;

/// Some people around one conversation.
struct Chat {
    world: World,
    people: HashMap<&'static str, Person>,
    id: ConversationId,
}

struct Person {
    id: UserId,
    token: String,
}

impl Chat {
    /// People who know each other, and no conversation yet.
    async fn of(names: &[&'static str], options: Options) -> Chat {
        let world = World::with(options);
        let mut people = HashMap::new();
        for name in names {
            let registered = world.register(name).await;
            let person = Person {
                id: id_of(&registered),
                token: text(&registered, "accessToken"),
            };
            people.insert(*name, person);
        }
        Chat {
            world,
            people,
            id: ConversationId::from_bytes([0; 12]),
        }
    }

    /// A group of `members`, the first of them its owner, besides `strangers`.
    async fn group(members: &[&'static str], strangers: &[&'static str]) -> Chat {
        Chat::group_with(members, strangers, json!({})).await
    }

    async fn group_with(members: &[&'static str], strangers: &[&'static str], mut settings: Value) -> Chat {
        let mut chat = Chat::of(&[members, strangers].concat(), Options::default()).await;
        let ids: Vec<UserId> = members[1..].iter().map(|name| chat.person(name)).collect();
        settings["command"] = json!("createGroup");
        settings["name"] = json!("Team");
        settings["participantIds"] = json!(ids);
        let group = chat.does(members[0], settings).await.unwrap();
        chat.id = text(&group, "id").parse().unwrap();
        chat
    }

    /// The direct conversation of two.
    async fn direct(one: &'static str, other: &'static str, strangers: &[&'static str]) -> Chat {
        let mut chat = Chat::of(&[&[one, other], strangers].concat(), Options::default()).await;
        chat.id = chat.open_direct(one, other).await;
        chat
    }

    async fn open_direct(&self, one: &str, other: &str) -> ConversationId {
        let open = json!({ "command": "openDirect", "userId": self.person(other) });
        self.does(one, open).await.unwrap();
        let found = self
            .world
            .stores
            .conversations
            .direct_of(self.person(one), self.person(other))
            .await;
        found.unwrap().unwrap().id
    }

    /// A room that `members` are in, made by the first.
    async fn room(members: &[&'static str], strangers: &[&'static str]) -> Chat {
        Chat::room_with(members, strangers, Options::default()).await
    }

    async fn room_with(members: &[&'static str], strangers: &[&'static str], options: Options) -> Chat {
        let mut chat = Chat::of(&[members, strangers].concat(), options).await;
        let room = chat
            .does(members[0], json!({ "command": "createRoom", "name": "tea" }))
            .await;
        chat.id = text(&room.unwrap(), "id").parse().unwrap();
        for name in members {
            let join = json!({ "command": "joinRoom", "roomName": "tea" });
            chat.does(name, join).await.unwrap();
        }
        chat
    }

    fn person(&self, name: &str) -> UserId {
        self.people[name].id
    }

    /// Runs a command as its JSON says, through the whole stack.
    async fn does(&self, who: &str, command: Value) -> Result<Value, Error> {
        let command: Command = serde_json::from_value(command).unwrap();
        let reply = self.world.stack.run(Call::new(self.actor(who), command)).await?;
        Ok(serde_json::to_value(reply).unwrap())
    }

    fn actor(&self, who: &str) -> Actor {
        Actor::User(Principal {
            user: self.person(who),
            session: SessionId::new(&*self.world.ids),
            token: TokenId::new(&*self.world.ids),
            expires_at: samples::in_secs(1_000_000),
        })
    }

    /// A request about the conversation.
    async fn ask(&self, method: Method, who: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_at(
            method,
            who,
            &format!("/api/conversations/{}{path}", self.id),
            body,
        )
        .await
    }

    async fn ask_at(&self, method: Method, who: &str, path: &str, body: Option<Value>) -> Answer {
        let ask = self.world.ask(method, path).token(&self.people[who].token);
        match body {
            None => ask.send().await,
            Some(body) => ask.json(&body).send().await,
        }
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        self.ask(Method::GET, who, path, None).await
    }

    async fn sends(&self, who: &str, body: Value) -> Answer {
        self.ask(Method::POST, who, "/messages", Some(body)).await
    }

    /// Writes; the message.
    async fn says(&self, who: &str, content: &str) -> Value {
        let answer = self.sends(who, json!({ "content": content })).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    /// Everything in the log.
    async fn log(&self) -> Vec<Entry> {
        let log = &self.world.stores.log;
        log.read_after(self.id, Seq::ZERO, 1000).await.unwrap()
    }

    async fn head(&self) -> Seq {
        self.world.stores.log.head(self.id).await.unwrap().seq
    }

    /// The contents of the newest page, as somebody reads it.
    async fn reads(&self, who: &str) -> Vec<String> {
        let page = self.get(who, "/messages?limit=100").await;
        assert_eq!(page.status, 200, "{}", page.body);
        contents(&page.body)
    }

    /// A device of somebody, which hears the conversation and whatever concerns its user.
    async fn device(&self, who: &str) -> Detached {
        let device = Detached::new(QueueLimits::default());
        let link = device.link();
        self.world.hub.subscribe(&link, &Channel::User(self.person(who)));
        self.world.deliveries.watch(&link, self.id).await.unwrap();
        device
    }

    /// One refused call after another; afterwards nothing has changed.
    async fn unchanged(&self, before: &Unchanged) {
        assert_eq!(self.snapshot().await, *before);
    }

    async fn snapshot(&self) -> Unchanged {
        let mut rows = Vec::new();
        for person in self.people.values() {
            rows.push(
                self.world
                    .stores
                    .conversations
                    .member(self.id, person.id)
                    .await
                    .unwrap(),
            );
        }
        rows.sort_by_key(|row| row.as_ref().map(|row| row.user));
        let log = self.log().await;
        let seqs: Vec<Seq> = log.iter().map(|entry| entry.seq).collect();
        let states = self.world.stores.messages.states(self.id, &seqs).await.unwrap();
        Unchanged(format!("{log:?} {rows:?} {states:?}"))
    }
}

/// A conversation's log and rows.
#[derive(Debug, PartialEq, Eq)]
struct Unchanged(String);

fn contents(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| text(item, "content")).collect()
}

/// Names and payloads of the events that a device has heard.
fn heard(device: &Detached) -> Vec<(String, Value)> {
    let frames = device.take_sent().into_iter();
    let events = frames.map(|frame| {
        let payload = String::from_utf8(frame.payload().to_vec()).unwrap();
        let event: Value = serde_json::from_str(payload.strip_prefix("42").unwrap()).unwrap();
        (event[0].as_str().unwrap().to_owned(), event[1].clone())
    });
    events.collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

/// Lets everything that can run without time passing run.
async fn breathe() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
