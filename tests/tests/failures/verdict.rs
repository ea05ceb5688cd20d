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
