//! What a client knows of its account, as a front-end would keep it: loaded once, and from then on fed with digests and
//! events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::world::{Node, Person};

/// A client's state.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Mirror {
    pub(super) conversations: BTreeMap<String, Conversation>,
    /// Messages that the person has deleted for themselves: a digest names them, and the replay behind it may still bring
    /// them, for it is the same for everybody.
    deleted_for_me: BTreeSet<String>,
    /// When the last digest was made.
    pub(super) since: Option<Value>,
}

/// One conversation of the caller's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conversation {
    settings: BTreeMap<String, Value>,
    my_role: Value,
    read_seq: u64,
    hidden: bool,
    muted: bool,
    /// Roles; empty of rooms, whose members are not in the log.
    participants: BTreeMap<String, Value>,
    messages: BTreeMap<u64, Value>,
    is_room: bool,
    /// The entry as of which `hidden` was told last: messages up to it are in that already, also those that are
    /// replayed behind it.
    told_at: u64,
    /// The last entry that is in here.
    pub(super) cursor: u64,
}

/// What an event makes a client do besides.
#[derive(Debug, PartialEq)]
pub(super) enum Need {
    Nothing,
    /// Load this conversation.
    Load(String),
}

const SETTINGS: [&str; 10] = [
    "id",
    "type",
    "roomName",
    "name",
    "description",
    "visibility",
    "history",
    "createdBy",
    "createdAt",
    "archived",
];

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

impl Conversation {
    /// Everything the API tells of it.
    pub(super) async fn load(node: &Node, person: &Person, id: &str) -> Option<Conversation> {
        let view = node
            .try_call(
                person,
                json!({"command": "getConversation", "conversationId": id}),
            )
            .await
            .ok()?;
        let is_room = view["type"] == "room";
        let mut conversation = Conversation {
            settings: SETTINGS
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), view.get(*name)?.clone())))
                .collect(),
            my_role: view["myRole"].clone(),
            read_seq: number(&view["readSeq"]),
            hidden: view["hidden"].as_bool().unwrap(),
            muted: view["notifications"]["level"] == "none",
            participants: BTreeMap::new(),
            messages: BTreeMap::new(),
            is_room,
            told_at: number(&view["headSeq"]),
            cursor: number(&view["headSeq"]),
        };
        if !is_room {
            let members = json!({"command": "listMembers", "conversationId": id, "limit": 100});
            let members = node.call(person, members).await;
            for member in members["items"].as_array().unwrap() {
                conversation
                    .participants
                    .insert(text(&member["id"]), member["role"].clone());
            }
        }
        let mut after = 0;
        loop {
            let page = json!({
                "command": "conversationHistory", "conversationId": id, "limit": 100, "page": {"after": after},
            });
            let page = node.call(person, page).await;
            let items = page["items"].as_array().unwrap();
            let Some(last) = items.last() else {
                return Some(conversation);
            };
            after = number(&last["seq"]);
            for item in items {
                conversation.messages.insert(number(&item["seq"]), item.clone());
            }
        }
    }

    /// Part by part, so that a failure shows what differs.
    pub(super) fn assert_is_in(&self, mirror: &Conversation, whose: &str) {
        for (seq, message) in &self.messages {
            assert_eq!(
                mirror.messages.get(seq),
                Some(message),
                "message {seq} of {whose}"
            );
        }
        let seqs: Vec<&u64> = mirror.messages.keys().collect();
        assert_eq!(
            seqs,
            self.messages.keys().collect::<Vec<_>>(),
            "messages of {whose}"
        );
        let rest = |one: &Conversation| Conversation {
            messages: BTreeMap::new(),
            told_at: 0,
            ..one.clone()
        };
        assert_eq!(rest(mirror), rest(self), "{whose}");
    }

    fn message(&mut self, seq: &Value) -> Option<&mut serde_json::Map<String, Value>> {
        self.messages.get_mut(&number(seq))?.as_object_mut()
    }

    fn add_item(&mut self, item: &Value) {
        let mut item = item.clone();
        item.as_object_mut().unwrap().remove("prev");
        self.messages.insert(number(&item["seq"]), item);
    }

    fn edit(&mut self, edited: &Value) {
        if let Some(message) = self.message(&edited["seq"])
            && !message.contains_key("deletedAt")
        {
            for field in ["content", "mentions", "editedAt"] {
                message.insert(field.to_owned(), edited[field].clone());
            }
        }
    }

    fn delete(&mut self, seq: &Value, at: &Value) {
        if let Some(message) = self.message(seq) {
            message.remove("editedAt");
            for (field, value) in [
                ("content", json!("")),
                ("mentions", json!([])),
                ("reactions", json!([])),
                ("deletedAt", at.clone()),
            ] {
                message.insert(field.to_owned(), value);
            }
        }
    }

    fn react(&mut self, seq: &Value, emoji: &Value, user: &Value, added: bool) {
        let Some(message) = self.message(seq) else { return };
        if message.contains_key("deletedAt") {
            return;
        }
        let reactions = message["reactions"].as_array_mut().unwrap();
        let place = reactions.iter().position(|one| one["emoji"] == *emoji);
        let place = place.unwrap_or_else(|| {
            reactions.push(json!({"emoji": emoji, "count": 0, "userIds": []}));
            reactions.len() - 1
        });
        let users = reactions[place]["userIds"].as_array_mut().unwrap();
        users.retain(|one| one != user);
        if added {
            users.push(user.clone());
        }
        let count = users.len();
        reactions[place]["count"] = json!(count);
        if count == 0 {
            reactions.remove(place);
        }
    }

    /// Who is in a room isn't in its log.
    fn has(&mut self, member: &Value, role: &Value) {
        if !self.is_room {
            self.participants.insert(text(member), role.clone());
        }
    }

    fn change(&mut self, changes: &Value) {
        for (name, value) in changes.as_object().unwrap() {
            assert!(
                SETTINGS.contains(&name.as_str()),
                "no client knows the setting {name}"
            );
            self.settings.insert(name.clone(), value.clone());
        }
    }
}

impl Mirror {
    /// Everything the API tells this person now.
    pub(super) async fn fetch(node: &Node, person: &Person) -> BTreeMap<String, Conversation> {
        let mut all = BTreeMap::new();
        for hidden in [false, true] {
            let list = json!({"command": "listConversations", "hidden": hidden, "limit": 100});
            let list = node.call(person, list).await;
            for item in list["items"].as_array().unwrap() {
                let id = text(&item["id"]);
                let loaded = Conversation::load(node, person, &id).await;
                all.insert(id, loaded.expect("what is listed can be read"));
            }
        }
        all
    }

    /// Up to where each conversation is known.
    pub(super) fn cursors(&self) -> Value {
        let cursors = self.conversations.iter();
        cursors
            .map(|(id, conversation)| (id.clone(), json!(conversation.cursor)))
            .collect()
    }

    /// Takes in a digest; the conversations to be loaded.
    pub(super) fn digest(&mut self, resumed: &Value) -> Vec<String> {
        assert_eq!(resumed["pages"], 1, "so many conversations nobody has here");
        self.since = Some(resumed["at"].clone());
        let items = resumed["digest"].as_array().unwrap();
        let listed: BTreeSet<String> = items.iter().map(|item| text(&item["id"])).collect();
        self.conversations.retain(|id, _| listed.contains(id));
        let mut unknown = Vec::new();
        for item in items {
            let id = text(&item["id"]);
            match self.conversations.get_mut(&id) {
                Some(known) => {
                    // I6: it never moves back; the digest may know less than this device, for a second.
                    known.read_seq = known.read_seq.max(number(&item["readSeq"]));
                    known.my_role = item["role"].clone();
                    known.muted = item["muted"].as_bool().unwrap();
                    known.hidden = item["hidden"].as_bool().unwrap();
                    known.told_at = number(&item["headSeq"]);
                }
                None => unknown.push(id),
            }
        }
        for deleted in resumed["deletedForMe"].as_array().unwrap() {
            self.forget(deleted);
        }
        // What is to be loaded anew is as unknown as what was never there.
        unknown.extend(resumed["gaps"].as_array().unwrap().iter().map(text));
        unknown
    }

    /// A message that the person has deleted for themselves.
    fn forget(&mut self, deleted: &Value) {
        let id = deleted.get("messageId").unwrap_or(&deleted["message"]["id"]);
        self.deleted_for_me.insert(text(id));
        if let Some(conversation) = self.conversations.get_mut(&text(&deleted["conversationId"])) {
            conversation.messages.retain(|_, message| message["id"] != *id);
        }
    }

    /// Takes in an event.
    pub(super) fn hear(&mut self, me: &Value, name: &str, data: &Value) -> Need {
        if name == "conversation-created" {
            let id = text(&data["conversation"]["id"]);
            return if self.conversations.contains_key(&id) {
                Need::Nothing
            } else {
                Need::Load(id)
            };
        }
        let Some(id) = data["conversationId"].as_str().map(str::to_owned) else {
            return Need::Nothing;
        };
        let Some(conversation) = self.conversations.get_mut(&id) else {
            // An event of the log tells of a conversation; others only of what is known already.
            let is_my_removal = name == "participant-removed" && data["userId"] == *me;
            return if data["seq"].is_u64() && !is_my_removal {
                Need::Load(id)
            } else {
                Need::Nothing
            };
        };
        if data["seq"].is_u64() {
            let (seq, prev) = (number(&data["seq"]), number(&data["prev"]));
            if seq <= conversation.cursor {
                return Need::Nothing;
            }
            assert_eq!(prev, conversation.cursor, "I3: a gap before {name} {data}");
            conversation.cursor = seq;
        }
        match name {
            "new-message" | "room-message" => {
                if !self.deleted_for_me.contains(&text(&data["id"])) {
                    conversation.add_item(data);
                }
                let seq = number(&data["seq"]);
                if seq > conversation.told_at {
                    conversation.hidden = false;
                }
                if data["sender"]["id"] == *me {
                    conversation.read_seq = conversation.read_seq.max(seq);
                }
            }
            "message-updated" => conversation.edit(&data["message"]),
            "message-deleted" => conversation.delete(&data["message"]["seq"], &data["at"]),
            "reaction-added" | "reaction-removed" => conversation.react(
                &data["message"]["seq"],
                &data["emoji"],
                &data["user"]["id"],
                name == "reaction-added",
            ),
            "participant-added" => {
                conversation.add_item(&data["message"]);
                conversation.has(&data["user"]["id"], &data["role"]);
            }
            "participant-removed" if data["userId"] == *me => {
                self.conversations.remove(&id);
            }
            "participant-removed" => {
                conversation.add_item(&data["message"]);
                conversation.participants.remove(&text(&data["userId"]));
            }
            "participant-role-updated" => {
                conversation.add_item(&data["message"]);
                conversation.has(&data["userId"], &data["role"]);
                if data["userId"] == *me {
                    conversation.my_role = data["role"].clone();
                }
            }
            "participant-unbanned" => conversation.add_item(&data["message"]),
            "conversation-updated" | "conversation-deleted" => {
                conversation.add_item(&data["message"]);
                conversation.change(&data["changes"]);
                if data["changes"].get("history").is_some() {
                    // Messages from before one's join may have come, or gone.
                    return Need::Load(id);
                }
            }
            "conversation-hidden" => {
                conversation.hidden = data["hidden"].as_bool().unwrap();
                conversation.told_at = conversation.cursor;
            }
            "conversation-notifications" => {
                conversation.muted = data["notifications"]["level"] == "none" || data["level"] == "none";
            }
            "messages-read" if data["userId"] == *me => {
                conversation.read_seq = conversation.read_seq.max(number(&data["readSeq"]));
            }
            "message-hidden" => self.forget(data),
            _ => {}
        }
        Need::Nothing
    }
}
