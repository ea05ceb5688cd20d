//! People who do random things, and their devices.

use serde_json::{Value, json};

use super::super::world::{Client, Cluster, Node, Person};
use super::mirror::{Conversation, Mirror, Need};

const EMOJI: [&str; 3] = ["👍", "🎉", "❤️"];

/// Numbers from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % end
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len())])
    }
}

struct Device {
    owner: usize,
    node: usize,
    /// None while it is away.
    client: Option<Client>,
    mirror: Mirror,
}

pub(super) struct Town {
    cluster: Cluster,
    nodes: [Node; 2],
    people: Vec<Person>,
    devices: Vec<Device>,
    /// Conversations there are, and messages in them.
    conversations: Vec<String>,
    messages: Vec<(String, String)>,
    dice: Dice,
    pub(super) compared: usize,
}

impl Town {
    pub(super) async fn new(seed: u64) -> Town {
        let cluster = Cluster::new();
        let nodes = [cluster.node().await, cluster.node().await];
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid", "dan"] {
            people.push(nodes[0].person(name).await);
        }
        let room = json!({"command": "createRoom", "name": "room-0"});
        let room = nodes[0].call(&people[0], room).await;
        for person in &people {
            let join = json!({"command": "joinRoom", "roomName": "room-0"});
            nodes[0].call(person, join).await;
        }
        let devices = [0, 0, 1, 1, 2, 3].map(|owner| Device {
            owner,
            node: 0,
            client: None,
            mirror: Mirror::default(),
        });
        Town {
            cluster,
            nodes,
            people,
            devices: devices.into(),
            conversations: vec![room["id"].as_str().unwrap().to_owned()],
            messages: Vec::new(),
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            compared: 0,
        }
    }

    pub(super) async fn does_something(&mut self) {
        match self.dice.below(20) {
            0..=1 => {
                let device = self.dice.below(self.devices.len());
                if self.devices[device].client.is_some() {
                    self.goes_away(device).await;
                } else {
                    self.comes_back(device).await;
                }
            }
            2 => {
                let node = self.dice.below(2);
                println!("the bus of node {node} drops");
                self.nodes[node].bus.drop_next(1 + self.dice.below(3));
            }
            3 => {
                let node = self.dice.below(2);
                println!("the bus of node {node} doubles");
                self.nodes[node].bus.double_next(2);
            }
            4 => {
                let device = self.dice.below(self.devices.len());
                if self.devices[device].client.is_some() {
                    self.resumes(device).await;
                }
            }
            _ => self.somebody_acts().await,
        }
        for device in 0..self.devices.len() {
            self.listens(device).await;
        }
    }

    pub(super) async fn everybody_resumes(&mut self) {
        for device in 0..self.devices.len() {
            if self.devices[device].client.is_some() {
                self.resumes(device).await;
            } else {
                self.comes_back(device).await;
            }
        }
    }

    async fn goes_away(&mut self, device: usize) {
        self.listens(device).await;
        println!("device {device} goes away");
        if let Some(client) = self.devices[device].client.take() {
            client.closes().await;
        }
    }

    /// Comes back on some node, with what it has.
    async fn comes_back(&mut self, device: usize) {
        self.lets_rows_follow().await;
        let at = self.dice.below(2);
        let Device { owner, mirror, .. } = &self.devices[device];
        let mut auth = json!({"token": self.people[*owner].token(), "cursors": mirror.cursors()});
        if let Some(since) = &mirror.since {
            auth["since"] = since.clone();
        }
        println!("device {device} of person {owner} comes back to node {at} with {auth}");
        let mut client = self.nodes[at].guest().await;
        let ack = client.ask("auth", auth).await;
        assert_eq!(ack["ok"], true, "{ack}");
        (self.devices[device].client, self.devices[device].node) = (Some(client), at);
        self.compares(device).await;
    }

    /// Resumes on a live socket.
    async fn resumes(&mut self, device: usize) {
        self.lets_rows_follow().await;
        self.listens(device).await;
        let Device { client, mirror, .. } = &mut self.devices[device];
        let Some(client) = client else { return };
        let mut resume = json!({"cursors": mirror.cursors()});
        if let Some(since) = &mirror.since {
            resume["since"] = since.clone();
        }
        println!("device {device} resumes with {resume}");
        let ack = client.ask("resume", resume).await;
        assert_eq!(ack["ok"], true, "{ack}");
        self.compares(device).await;
    }

    /// Where senders have read up to is written a second after their messages (docs/ARCHITECTURE.md), and both a digest
    /// and a fetch tell what is written.
    async fn lets_rows_follow(&self) {
        self.cluster.wait_secs(2).await;
    }

    /// Takes in what came.
    async fn listens(&mut self, device: usize) {
        let Device {
            owner,
            node,
            client,
            mirror,
        } = &mut self.devices[device];
        let (node, person) = (&self.nodes[*node], &self.people[*owner]);
        let Some(client) = client else { return };
        let me = json!(person.id);
        for (name, data) in client.all().await {
            println!(
                "    device {device}: {name} {} {}",
                data["conversationId"], data["seq"]
            );
            let mut unknown = Vec::new();
            if name == "resumed" {
                unknown = mirror.digest(&data);
            } else if name == "resume-gaps" {
                unknown = serde_json::from_value(data["gaps"].clone()).unwrap();
            } else if let Need::Load(id) = mirror.hear(&me, &name, &data) {
                unknown.push(id);
            }
            for id in unknown {
                if let Some(loaded) = Conversation::load(node, person, &id).await {
                    mirror.conversations.insert(id, loaded);
                } else {
                    // Gone again meanwhile.
                    mirror.conversations.remove(&id);
                }
            }
        }
    }

    /// I4.
    async fn compares(&mut self, device: usize) {
        self.listens(device).await;
        let Device {
            owner, node, mirror, ..
        } = &self.devices[device];
        let person = &self.people[*owner];
        let fresh = Mirror::fetch(&self.nodes[*node], person).await;
        let ids: Vec<&String> = mirror.conversations.keys().collect();
        assert_eq!(
            ids,
            fresh.keys().collect::<Vec<_>>(),
            "the conversations of person {owner}"
        );
        for (id, conversation) in &fresh {
            conversation.assert_is_in(&mirror.conversations[id], &format!("person {owner}, {id}"));
        }
        self.compared += 1;
    }

    async fn somebody_acts(&mut self) {
        let who = self.dice.below(self.people.len());
        let Some(command) = self.something_to_do(who) else {
            return;
        };
        let at = self.dice.below(2);
        println!("person {who} at node {at}: {command}");
        let told = self.nodes[at].try_call(&self.people[who], command.clone()).await;
        // What rules forbid is fine, what breaks isn't.
        match told {
            Ok(answer) => self.remembers(&command, &answer),
            Err(code) => assert!(!matches!(code, "INTERNAL" | "UNAVAILABLE"), "{command}: {code}"),
        }
        if self.dice.below(10) == 0 {
            self.cluster.wait_secs(1).await;
        }
    }

    fn remembers(&mut self, command: &Value, answer: &Value) {
        match command["command"].as_str().unwrap() {
            "createGroup" | "createRoom" => {
                self.conversations.push(answer["id"].as_str().unwrap().to_owned());
            }
            "openDirect" => {
                let id = answer["conversation"]["id"].as_str().unwrap().to_owned();
                if !self.conversations.contains(&id) {
                    self.conversations.push(id);
                }
            }
            "sendMessage" => self.messages.push((
                command["conversationId"].as_str().unwrap().to_owned(),
                answer["message"]["id"].as_str().unwrap().to_owned(),
            )),
            _ => {}
        }
    }

    fn something_to_do(&mut self, who: usize) -> Option<Value> {
        let other = self.dice.below(self.people.len());
        let other = self.people[other].id.to_string();
        if self.conversations.len() < 3 {
            let ids: Vec<String> = self.people.iter().map(|person| person.id.to_string()).collect();
            return Some(json!({"command": "createGroup", "name": "everybody", "participantIds": ids}));
        }
        let id = self.dice.one(&self.conversations).cloned()?;
        let message = self.dice.one(&self.messages).cloned();
        let about = |command: &str, more: Value| {
            let (conversation, message) = message.clone()?;
            let mut whole = json!({"command": command, "conversationId": conversation, "messageId": message});
            whole.as_object_mut()?.extend(more.as_object()?.clone());
            Some(whole)
        };
        let number = self.dice.below(1000);
        let emoji = EMOJI[self.dice.below(EMOJI.len())];
        let yes = number.is_multiple_of(2);
        match self.dice.below(42) {
            0 => {
                let history = if yes { "all" } else { "since-join" };
                Some(
                    json!({"command": "createGroup", "name": "some", "participantIds": [other], "history": history}),
                )
            }
            1 => Some(json!({"command": "openDirect", "userId": other})),
            2..=11 => {
                let answers = message.filter(|(conversation, _)| yes && *conversation == id);
                let mut send = json!({"command": "sendMessage", "conversationId": id, "content": format!("{who}: {number}")});
                if let Some((_, to)) = answers {
                    send["replyTo"] = json!(to);
                }
                if number.is_multiple_of(5) {
                    send["mentions"] = json!([other]);
                }
                Some(send)
            }
            12..=14 => about("editMessage", json!({"content": format!("edited {number}")})),
            15 => about("deleteMessage", json!({"scope": "all"})),
            16 => about("deleteMessage", json!({"scope": "me"})),
            17..=19 => about("addReaction", json!({"emoji": emoji})),
            20 => about("removeReaction", json!({"emoji": emoji})),
            21..=22 => Some(json!({"command": "markRead", "conversationId": id})),
            23 => Some(json!({"command": "addMembers", "conversationId": id, "userId": other})),
            24 => Some(json!({"command": "removeMember", "conversationId": id, "userId": other})),
            25 => Some(json!({"command": "leaveConversation", "conversationId": id})),
            26..=27 => {
                let role = ["owner", "admin", "member"][number % 3];
                Some(json!({"command": "setRole", "conversationId": id, "userId": other, "role": role}))
            }
            28 => {
                let name = if yes { "name" } else { "description" };
                Some(
                    json!({"command": "updateConversation", "conversationId": id, name: format!("n {number}")}),
                )
            }
            29 => Some(json!({"command": "setHidden", "conversationId": id, "hidden": yes})),
            30 => {
                let level = if yes { "none" } else { "all" };
                Some(json!({"command": "setNotifications", "conversationId": id, "level": level}))
            }
            31 => Some(json!({"command": "banMember", "conversationId": id, "userId": other})),
            32..=33 => Some(json!({"command": "unbanMember", "conversationId": id, "userId": other})),
            34..=36 => {
                let history = if yes { "all" } else { "since-join" };
                Some(json!({"command": "updateConversation", "conversationId": id, "history": history}))
            }
            // Now and then: what is closed stays so.
            37 if number < 300 => Some(json!({"command": "closeConversation", "conversationId": id})),
            37 => Some(json!({"command": "createRoom", "name": format!("room-{}", number % 3)})),
            38..=39 => Some(json!({"command": "joinRoom", "roomName": format!("room-{}", number % 3)})),
            40 => Some(json!({"command": "leaveRoom", "roomName": format!("room-{}", number % 3)})),
            _ => Some(
                json!({"command": "sendRoomMessage", "roomName": format!("room-{}", number % 3), "content": "in the room"}),
            ),
        }
    }
}
