//! Ids, numbers and stamps as documents hold them.
//!
//! Where a row is about a pair or a place, its `_id` is the bytes one behind the other: of one length each, so that they
//! order as the parts do. Then `_id`'s own index finds one row, keeps it unique and reads a range in order, and no
//! second index has to be written.
//!
//! ```text
//! entries, states  conversation · seq          members, bans  conversation · user
//! replies          conversation · message · seq   blocks  user · blocked   hidden  user · conversation · seq
//! ```

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, EntryId, JobId, SessionId, UserId};
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, doc};

use super::error::corrupt;

/// An id of 12 bytes.
pub(super) trait Id: Copy {
    fn oid(self) -> ObjectId;
    fn from_oid(oid: ObjectId) -> Self;
}

macro_rules! ids {
    ($($id:ident),*) => {$(
        impl Id for $id {
            fn oid(self) -> ObjectId {
                ObjectId::from_bytes(*self.as_bytes())
            }
            fn from_oid(oid: ObjectId) -> $id {
                $id::from_bytes(oid.bytes())
            }
        }
    )*};
}
ids!(ConversationId, EntryId, JobId, SessionId, UserId);

pub(super) fn oids<I: Id>(ids: &[I]) -> Vec<ObjectId> {
    ids.iter().map(|id| id.oid()).collect()
}

pub(super) fn binary(bytes: Vec<u8>) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

/// The key of a pair.
pub(super) fn pair_key(first: impl Id, second: impl Id) -> Binary {
    binary([first.oid().bytes(), second.oid().bytes()].concat())
}

/// The keys of all pairs with this first behind `after`, as a condition on `_id`.
pub(super) fn pairs_behind(first: impl Id, after: Option<ObjectId>) -> Document {
    let last = ObjectId::from_bytes([0xFF; 12]);
    let key = |second: ObjectId| binary([first.oid().bytes(), second.bytes()].concat());
    let from = match after {
        Some(after) => ("$gt", key(after)),
        None => ("$gte", key(ObjectId::from_bytes([0; 12]))),
    };
    doc! { from.0: from.1, "$lte": key(last) }
}

/// The key of a number in a conversation.
pub(super) fn seq_key(conversation: ConversationId, seq: Seq) -> Binary {
    binary([&conversation.as_bytes()[..], &seq.0.to_be_bytes()].concat())
}

/// The keys of the numbers above `above` and up to `last`, as a condition on `_id`.
pub(super) fn seqs_between(conversation: ConversationId, above: Seq, last: Seq) -> Document {
    doc! { "$gt": seq_key(conversation, above), "$lte": seq_key(conversation, last) }
}

/// The greatest number there is.
pub(super) const LAST: Seq = Seq(u32::MAX);

/// A number as it is stored.
pub(super) fn long(number: u32) -> i64 {
    i64::from(number)
}

/// A number as it is stored.
pub(super) fn number(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(|_| corrupt(format!("{stored} is no number of ours")))
}

pub(super) fn seq(stored: i64) -> Result<Seq, StoreError> {
    number(stored).map(Seq)
}

pub(super) fn stamp(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

pub(super) fn time(stored: DateTime) -> Timestamp {
    Timestamp::from_millis(stored.timestamp_millis())
}

/// As a query takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// So many documents in one answer: all that a query of this limit finds.
pub(super) fn batch(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1)
}
