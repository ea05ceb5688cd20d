//! What everybody was told and heard, held against what is stored.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::client::{Heard, Sent, text_of};

/// All that is known when a play is over.
pub(crate) struct Histories<'a> {
    /// What each node answers, oldest entry first.
    pub(crate) stored: &'a [Vec<Value>],
    /// What senders were told.
    pub(crate) sent: &'a [Sent],
    /// What readers heard.
    pub(crate) heard: &'a [Heard],
    /// What the one who was removed heard.
    pub(crate) removed: &'a [Heard],
}

/// Fails unless nothing is lost, nothing doubled, and all saw one dense order; the counts otherwise.
pub(crate) fn check(histories: &Histories<'_>) -> String {
    let stored = &histories.stored[0];
    for (node, other) in histories.stored.iter().enumerate() {
        assert_eq!(other, stored, "I3: node {node} tells another history");
    }
    for (index, entry) in stored.iter().enumerate() {
        assert_eq!(
            entry["seq"].as_u64(),
            Some(index as u64 + 1),
            "I3: seq is dense: {entry}"
        );
    }
    let messages = acknowledged(histories.sent, stored);
    let removal = removal(stored);
    let mut heard = 0;
    for reader in histories.heard {
        heard += reader.messages.len();
        heard_all(reader, stored);
        if !reader.gaps.iter().any(|gap| gap.contains(&removal)) {
            assert_eq!(reader.removal, Some(removal), "all hear of the removal");
        }
    }
    for removed in histories.removed {
        assert!(
            removed.last <= removal,
            "I5: {} was heard above {removal}",
            removed.last
        );
        matches(removed, stored);
    }
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in histories.sent.iter().flat_map(|sent| &sent.refused) {
        *refused.entry(code).or_default() += count;
    }
    format!(
        "{messages} messages acknowledged and stored, 0 lost, 0 doubled, {} entries in one order on {} nodes; {heard} heard \
         by {} readers over {} connections, {} gaps loaded; removed at {removal}; sends refused: {refused:?}, connections \
         lost by senders: {}",
        stored.len(),
        histories.stored.len(),
        histories.heard.len(),
        histories
            .heard
            .iter()
            .map(|reader| reader.connections)
            .sum::<u64>(),
        histories
            .heard
            .iter()
            .map(|reader| reader.gaps.len())
            .sum::<usize>(),
        histories.sent.iter().map(|sent| sent.lost).sum::<u64>(),
    )
}

/// Every acknowledged message is stored as it was told, once, and nothing else is; how many there are.
fn acknowledged(sent: &[Sent], stored: &[Value]) -> usize {
    let mut by_key: HashMap<&str, &Value> = HashMap::new();
    for message in stored.iter().filter(|entry| entry["type"] == "text") {
        let key = message["clientMessageId"].as_str().expect("a key");
        assert_eq!(message["content"], text_of(key));
        assert!(by_key.insert(key, message).is_none(), "I2: {key} is there twice");
    }
    for (key, (id, seq)) in sent.iter().flat_map(|sent| &sent.acknowledged) {
        let message = by_key
            .remove(key.as_str())
            .unwrap_or_else(|| panic!("I1: {key}, acknowledged as {seq}, is lost"));
        assert_eq!(
            (message["id"].as_str(), message["seq"].as_u64()),
            (Some(id.as_str()), Some(*seq)),
            "{key} is stored as it was acknowledged"
        );
    }
    assert!(
        by_key.is_empty(),
        "every sender has asked until it was told: {:?}",
        by_key.keys()
    );
    sent.iter().map(|sent| sent.acknowledged.len()).sum()
}

/// The number of the entry that removed somebody.
fn removal(stored: &[Value]) -> u64 {
    let mut removals = stored
        .iter()
        .filter(|entry| entry["type"] == "system")
        .filter_map(|entry| entry["seq"].as_u64());
    match (removals.next(), removals.next()) {
        (Some(seq), None) => seq,
        other => panic!("one removal is in the log, once: {other:?}"),
    }
}

/// What was heard is what is stored.
fn matches(reader: &Heard, stored: &[Value]) {
    for (seq, id) in &reader.messages {
        let index = usize::try_from(*seq).expect("a small number") - 1;
        assert_eq!(stored[index]["id"], *id, "I3: {seq} is one message to all");
    }
}

/// Nothing but gaps was missed.
fn heard_all(reader: &Heard, stored: &[Value]) {
    matches(reader, stored);
    assert_eq!(
        reader.last,
        stored.len() as u64,
        "a reader has heard everything in time"
    );
    for entry in stored.iter().filter(|entry| entry["type"] == "text") {
        let seq = entry["seq"].as_u64().expect("a seq");
        assert!(
            reader.messages.contains_key(&seq) || reader.gaps.iter().any(|gap| gap.contains(&seq)),
            "{seq} was not heard"
        );
    }
}

/// The verdict itself: whatever is wrong with histories, it sees.
#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde_json::json;

    use super::*;

    struct Story {
        stored: Vec<Vec<Value>>,
        sent: Vec<Sent>,
        heard: Vec<Heard>,
        removed: Vec<Heard>,
    }

    /// Four messages and a removal, heard by one reader.
    fn story() -> Story {
        let id = |seq: u64| format!("id{seq}");
        let stored: Vec<Value> = (1..=5)
            .map(|seq| match seq {
                3 => json!({"seq": seq, "id": id(seq), "type": "system"}),
                _ => json!({
                    "seq": seq, "id": id(seq), "type": "text", "clientMessageId": format!("k{seq}"),
                    "content": text_of(&format!("k{seq}")),
                }),
            })
            .collect();
        let messages = [1, 2, 4, 5].map(|seq| (seq, id(seq)));
        Story {
            stored: vec![stored.clone(), stored],
            sent: vec![Sent {
                acknowledged: messages
                    .iter()
                    .map(|(seq, id)| (format!("k{seq}"), (id.clone(), *seq)))
                    .collect(),
                ..Sent::default()
            }],
            heard: vec![Heard {
                last: 5,
                messages: messages.iter().cloned().collect(),
                removal: Some(3),
                ..Heard::default()
            }],
            removed: vec![Heard {
                last: 3,
                messages: messages.into_iter().take(2).collect(),
                ..Heard::default()
            }],
        }
    }

    fn passes(change: impl FnOnce(&mut Story)) -> bool {
        let mut story = story();
        change(&mut story);
        let histories = Histories {
            stored: &story.stored,
            sent: &story.sent,
            heard: &story.heard,
            removed: &story.removed,
        };
        catch_unwind(AssertUnwindSafe(|| check(&histories))).is_ok()
    }

    type Spoil = fn(&mut Story);

    #[test]
    fn the_verdict_sees_whatever_is_wrong() {
        assert!(passes(|_| {}));
        // A gap that the server told of and the client loaded.
        assert!(passes(|story| {
            story.heard[0].messages.remove(&2);
            story.heard[0].gaps.push(2..=2);
        }));
        let wrong: [(&str, Spoil); 9] = [
            ("lost", |story| {
                let told = ("id9".to_owned(), 9);
                story.sent[0].acknowledged.insert("k9".to_owned(), told);
            }),
            ("never told", |story| {
                story.sent[0].acknowledged.remove("k4");
            }),
            ("told another number", |story| {
                story.sent[0]
                    .acknowledged
                    .insert("k4".to_owned(), ("id4".to_owned(), 5));
            }),
            ("doubled", |story| {
                let mut copy = story.stored[0][4].clone();
                copy["seq"] = json!(6);
                story
                    .stored
                    .iter_mut()
                    .for_each(|stored| stored.push(copy.clone()));
            }),
            ("a hole", |story| {
                story.stored.iter_mut().for_each(|stored| drop(stored.remove(3)));
            }),
            ("nodes that tell differently", |story| {
                story.stored[1][4]["content"] = json!("other");
            }),
            ("an order of one's own", |story| {
                story.heard[0].messages.insert(4, "id5".to_owned());
            }),
            ("not heard", |story| {
                story.heard[0].messages.remove(&5);
            }),
            ("heard after the removal", |story| story.removed[0].last = 4),
        ];
        for (what, change) in wrong {
            assert!(!passes(change), "{what}");
        }
    }
}
