//! People who talk to the API, and what their devices hear.

use http::Method;
use serde_json::{Value, json};

use crate::app::digest::{Digest, GetDigest};
use crate::clock::Timestamp;
use crate::domain::entry::{EntryKind, MessageBody};
use crate::engine::eio::QueueLimits;
use crate::http::tests::world::{Answer, Options, World, id_of, text};
use crate::hub::{Channel, Detached};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::Proposal;

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Person<'a> {
    pub(super) world: &'a World,
    pub(super) token: String,
    pub(super) id: UserId,
}

pub(super) async fn people<const N: usize>(world: &World) -> [Person<'_>; N] {
    let names = ["ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"];
    let mut all = Vec::new();
    for name in &names[..N] {
        let registered = world.register(name).await;
        all.push(Person {
            world,
            token: text(&registered, "accessToken"),
            id: id_of(&registered),
        });
    }
    all.try_into().ok().expect("as many as were registered")
}

pub(super) fn with_group_max(group_members_max: u64) -> World {
    let mut options = Options::default();
    options.quotas.group_members_max = group_members_max;
    World::with(options)
}

impl Person<'_> {
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let ask = self.world.ask(method, path).token(&self.token);
        match body {
            Some(body) => ask.json(body).send().await,
            None => ask.send().await,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    /// What a resume begins with (S-109).
    pub(super) async fn digest(&self, since: Option<Timestamp>) -> Digest {
        let actor = self.world.actor(self.id);
        self.world.stack.call(actor, GetDigest { since }).await.unwrap()
    }

    /// Opens the direct conversation with somebody; its id.
    pub(super) async fn opens(&self, with: &Person<'_>) -> String {
        let answer = self
            .post("/api/conversations/direct", &json!({ "userId": with.id }))
            .await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        text(&answer.body, "id")
    }

    /// Makes a group; its id.
    pub(super) async fn makes(&self, name: &str, with: &[&Person<'_>]) -> String {
        let ids: Vec<UserId> = with.iter().map(|person| person.id).collect();
        let body = json!({ "name": name, "participantIds": ids });
        let answer = self.post("/api/conversations/group", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        text(&answer.body, "id")
    }

    pub(super) async fn adds(&self, group: &str, whom: &Person<'_>) -> Answer {
        let path = format!("/api/conversations/{group}/participants");
        self.post(&path, &json!({ "userId": whom.id })).await
    }

    pub(super) async fn removes(&self, group: &str, whom: &Person<'_>) -> Answer {
        self.delete(&format!("/api/conversations/{group}/participants/{}", whom.id))
            .await
    }

    pub(super) async fn makes_of(&self, group: &str, whom: &Person<'_>, role: &str) -> Answer {
        let path = format!("/api/conversations/{group}/participants/{}/role", whom.id);
        self.put(&path, &json!({ "role": role })).await
    }

    pub(super) async fn leaves(&self, id: &str) -> Answer {
        self.post(&format!("/api/conversations/{id}/leave"), &json!({}))
            .await
    }

    pub(super) async fn joins(&self, id: &str, body: &Value) -> Answer {
        self.post(&format!("/api/conversations/{id}/join"), body).await
    }

    pub(super) async fn sees(&self, id: &str) -> Answer {
        self.get(&format!("/api/conversations/{id}")).await
    }

    /// Writes, as the log sees it.
    pub(super) async fn says(&self, id: &str, content: &str) {
        let body = MessageBody {
            content: content.to_owned(),
            ..MessageBody::default()
        };
        let kind = EntryKind::Message(body);
        let proposal = Proposal::new(EntryId::new(&*self.world.ids), self.id, move |_| Ok(kind.clone()));
        let receipt = self.world.log.submit(parsed(id), proposal).unwrap();
        receipt.await.unwrap();
    }

    /// Roles by name in order of joining the town: `ann:owner bob:member`.
    pub(super) async fn roles(&self, id: &str) -> String {
        let answer = self.sees(id).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let participants = answer.body["participants"].as_array().unwrap();
        let mut roles: Vec<String> = participants
            .iter()
            .map(|one| format!("{}:{}", text(one, "username"), text(one, "role")))
            .collect();
        roles.sort();
        roles.join(" ")
    }

    /// A device that hears what concerns the user, and these conversations.
    pub(super) async fn device(&self, conversations: &[&str]) -> Device {
        let device = Detached::new(QueueLimits::default());
        self.world.hub.subscribe(&device.link(), &Channel::User(self.id));
        for id in conversations {
            self.world
                .deliveries
                .watch(&device.link(), parsed(id))
                .await
                .unwrap();
        }
        Device(device)
    }
}

pub(super) fn parsed(id: &str) -> ConversationId {
    id.parse().unwrap()
}

pub(super) struct Device(Detached);

impl Device {
    /// Names and payloads of the events since the last time.
    pub(super) fn heard(&self) -> Vec<(String, Value)> {
        let frames = self.0.take_sent().into_iter();
        frames
            .map(|frame| {
                let text = String::from_utf8(frame.payload().to_vec()).unwrap();
                let mut event: Vec<Value> =
                    serde_json::from_str(text.trim_start_matches(['4', '2'])).unwrap();
                let payload = event.pop().unwrap();
                (event[0].as_str().unwrap().to_owned(), payload)
            })
            .collect()
    }

    /// Names of the events since the last time.
    pub(super) fn names(&self) -> Vec<String> {
        self.heard().into_iter().map(|(name, _)| name).collect()
    }
}
