//! Coming back: what a client has, and what it is told of the rest (S-109).

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::encode;
use crate::app::digest::{DeletedForMe, Digest, DigestItem};
use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;
use crate::engine::Packet;
use crate::ids::ConversationId;

/// The most conversations a client can name: as many as its digest lists. Frames are bounded besides.
const CURSORS_MAX: usize = CONVERSATIONS_LISTED_MAX;
/// Conversations in one `resumed` event.
const DIGEST_PAGE: usize = 500;

/// Up to which entry a client has each of its conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursors(pub HashMap<ConversationId, Seq>);

/// What a client that comes back says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Resume {
    /// What it has.
    #[serde(default)]
    pub cursors: Cursors,
    /// The `at` of its last digest.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl<'de> Deserialize<'de> for Cursors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cursors, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Cursors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers of entries by conversation id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cursors, A::Error> {
                let mut cursors = HashMap::new();
                while let Some((conversation, seq)) = map.next_entry()? {
                    if cursors.len() >= CURSORS_MAX {
                        return Err(A::Error::custom("more cursors than a user has conversations"));
                    }
                    cursors.insert(conversation, seq);
                }
                Ok(Cursors(cursors))
            }
        }

        deserializer.deserialize_map(Map)
    }
}

/// The ack of `resume`, once everything is replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumeAck {
    /// Whether the client has everything now.
    pub recovered: bool,
    /// Conversations that it has to load anew.
    pub gaps: Vec<ConversationId>,
}

/// `resumed`, before the replay.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resumed<'a> {
    recovered: bool,
    gaps: &'a [ConversationId],
    digest: &'a [DigestItem],
    page: usize,
    pages: usize,
    deleted_for_me: &'a [DeletedForMe],
    at: Timestamp,
}

/// The digest and the gaps, in as many `resumed` events as it takes.
pub fn resumed(digest: &Digest, gaps: &[ConversationId]) -> Vec<Packet> {
    let (items, deleted) = (&digest.conversations, &digest.deleted_for_me);
    let pages = items.len().max(deleted.len()).div_ceil(DIGEST_PAGE).max(1);
    let page = |number: usize| {
        let is_first = number == 0;
        let resumed = Resumed {
            recovered: gaps.is_empty(),
            gaps: if is_first { gaps } else { &[] },
            digest: nth(number, items),
            page: number + 1,
            pages,
            deleted_for_me: nth(number, deleted),
            at: digest.at,
        };
        encode::event("resumed", &resumed)
    };
    (0..pages).map(page).collect()
}

/// `resume-gaps`.
#[derive(Serialize)]
struct ResumeGaps<'a> {
    recovered: bool,
    gaps: &'a [ConversationId],
}

/// Conversations that turned out only while they were replayed to have to be loaded anew. Not another `resumed`: its
/// digest would have to list everything again, for what a digest doesn't list is gone.
pub fn resume_gaps(gaps: &[ConversationId]) -> Packet {
    let recovered = false;
    encode::event("resume-gaps", &ResumeGaps { recovered, gaps })
}

/// A page of them.
fn nth<T>(number: usize, all: &[T]) -> &[T] {
    all.chunks(DIGEST_PAGE).nth(number).unwrap_or_default()
}
