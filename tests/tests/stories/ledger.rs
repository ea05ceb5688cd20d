//! What senders were told, held against what is stored.

use std::collections::HashMap;

use chatterbox_tests::{Lost, Rest, Socket};
use serde_json::{Value, json};

/// What the server answered to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    id: String,
    pub(crate) seq: u64,
}

/// What one sender was told, by the keys it gave its messages.
pub(crate) type Ledger = HashMap<String, Acknowledged>;

/// Sends the message of this key to `general`; the answer, and whether it was there already.
pub(crate) async fn send(socket: &mut Socket, key: &str) -> Result<(Acknowledged, bool), Lost> {
    let message = json!({"roomName": "general", "content": text_of(key), "clientMessageId": key});
    let answer = socket.ask("send-room-message", message).await?;
    assert_eq!(answer["ok"], true, "{key}: {answer}");
    let acknowledged = Acknowledged {
        id: answer["message"]["id"].as_str().unwrap().to_owned(),
        seq: answer["message"]["seq"].as_u64().unwrap(),
    };
    Ok((acknowledged, answer["duplicate"].as_bool().unwrap()))
}

fn text_of(key: &str) -> String {
    format!("this is {key}")
}

/// All messages of `general`, oldest first, page by page.
pub(crate) async fn history(rest: &Rest) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let after = messages
            .last()
            .map_or(0, |message| message["seq"].as_u64().unwrap());
        let page = rest
            .get(&format!("/api/rooms/general/messages?after={after}&limit=100"))
            .await
            .ok();
        let items = page["items"].as_array().unwrap().clone();
        if items.is_empty() {
            return messages;
        }
        messages.extend(items);
    }
}

/// Compares what was acknowledged with what is stored; the number of keys.
pub(crate) fn settle<'a>(ledgers: impl Iterator<Item = &'a Ledger>, stored: &[Value]) -> usize {
    for (index, message) in stored.iter().enumerate() {
        assert_eq!(
            message["seq"].as_u64().unwrap(),
            index as u64 + 1,
            "I3: seq is dense"
        );
    }
    let mut by_key: HashMap<&str, &Value> = HashMap::new();
    for message in stored {
        let key = message["clientMessageId"].as_str().unwrap();
        assert_eq!(message["content"], text_of(key));
        assert!(by_key.insert(key, message).is_none(), "I2: {key} is there twice");
    }
    let mut keys = 0;
    for (key, acknowledged) in ledgers.flatten() {
        let message = by_key
            .get(key.as_str())
            .unwrap_or_else(|| panic!("I1: {key} {acknowledged:?} is lost"));
        let found = Acknowledged {
            id: message["id"].as_str().unwrap().to_owned(),
            seq: message["seq"].as_u64().unwrap(),
        };
        assert_eq!(&found, acknowledged, "{key}");
        keys += 1;
    }
    assert_eq!(
        keys,
        stored.len(),
        "every stored message was settled with its sender"
    );
    keys
}
