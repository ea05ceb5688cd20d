//! Files: bytes under a key, in two spaces, taken and given as streams (S-028, S-042).
//!
//! ```text
//! Put { content, length?, sha256?, … } ─▶ Intake: counts, hashes, bounds ─▶ adapter ─▶ Stored { length, sha256 }
//! get(id, range) ─▶ Blob { length, range, content }      link(id, …) ─▶ an address that clients may fetch, for a moment
//! ```
//! What a file is called, of what type it is and who may see it stands in rows elsewhere; here are bytes.

mod intake;

use std::fmt;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

pub use intake::Intake;

/// Bytes on their way. An error says that the source has broken off.
pub type Content = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What a blob is for. Operators may keep the spaces in two buckets, with rules of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// What users have uploaded.
    Originals,
    /// What is made of it, and can be made again: thumbnails, avatars, exports.
    Derived,
}

impl Space {
    /// Both.
    pub const ALL: [Space; 2] = [Space::Originals, Space::Derived];

    /// In addresses and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Space::Originals => "originals",
            Space::Derived => "derived",
        }
    }
}

/// Names a blob. Of any key, none leads out of where blobs are kept, and no two differ only in how they are written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BlobId {
    space: Space,
    key: String,
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has 2 to {KEY_BYTES_MAX} of a-z, 0-9, -, _ and ., the first two no .")]
pub struct InvalidKey;

/// The most bytes of a key.
pub const KEY_BYTES_MAX: usize = 200;

impl BlobId {
    /// The blob of this key: 2 to [`KEY_BYTES_MAX`] of `a-z`, `0-9`, `-`, `_` and `.`, the first two not `.`.
    pub fn new(space: Space, key: impl Into<String>) -> Result<BlobId, InvalidKey> {
        let key = key.into();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let bytes = key.as_bytes();
        let (Some(start), rest) = (bytes.get(..2), bytes.get(2..).unwrap_or_default()) else {
            return Err(InvalidKey);
        };
        let is_key =
            start.iter().all(|byte| plain(*byte)) && rest.iter().all(|byte| plain(*byte) || *byte == b'.');
        if is_key && key.len() <= KEY_BYTES_MAX {
            Ok(BlobId { space, key })
        } else {
            Err(InvalidKey)
        }
    }

    /// Where it is.
    pub fn space(&self) -> Space {
        self.space
    }

    /// Its key, which is ASCII.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space.as_str(), self.key)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// A blob to be, and what is known of it beforehand.
pub struct Put {
    /// Its bytes.
    pub content: Content,
    /// How many there are, if that is known: more or fewer are refused.
    pub length: Option<u64>,
    /// More bytes than this are refused as soon as they come.
    pub length_max: u64,
    /// Their SHA-256, if that is known: other bytes are refused.
    pub sha256: Option<[u8; 32]>,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("length", &self.length)
            .field("length_max", &self.length_max)
            .finish_non_exhaustive()
    }
}

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub length: u64,
    /// Of these bytes.
    pub sha256: [u8; 32],
}

/// A blob that is being read.
pub struct Blob {
    /// Bytes of the whole blob.
    pub length: u64,
    /// Which of them follow.
    pub range: Range<u64>,
    /// These. An error, or fewer bytes than the range has, says that the rest can't be read.
    pub content: Content,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("length", &self.length)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// How a blob is given out by a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// `Content-Type` of the answer.
    pub media_type: String,
    /// `Content-Disposition` of the answer.
    pub disposition: String,
}

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// More bytes came than may.
    #[error("the content is longer than {max} bytes")]
    TooLong {
        /// What may come.
        max: u64,
    },
    /// Other bytes came than were announced.
    #[error("the content has not the {0} that was announced")]
    Mismatch(&'static str),
    /// The source of the bytes has broken off: a client that went away.
    #[error("the content broke off")]
    BrokenOff(#[source] io::Error),
    /// The range begins at the end or behind it.
    #[error("the blob ends at {length} bytes, before the range begins")]
    BeyondEnd {
        /// Bytes of the blob.
        length: u64,
    },
    /// There is no room for more.
    #[error("there is no room for more files")]
    Full,
    /// The store of blobs can't be reached or doesn't answer.
    #[error("files are unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps blobs.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores a blob, durably when it returns, in place of one that was there. All of it or nothing: after an error, and
    /// when the future is dropped, what was there before is still there. Memory is bounded however long the content is.
    async fn put(&self, id: &BlobId, put: Put) -> Result<Stored, BlobError>;

    /// Reads a blob from the beginning, or a range of it, which is cut at the end; `None` if there is none.
    async fn get(&self, id: &BlobId, range: Option<Range<u64>>) -> Result<Option<Blob>, BlobError>;

    /// The number of a blob's bytes; `None` if there is none.
    async fn length(&self, id: &BlobId) -> Result<Option<u64>, BlobError>;

    /// Takes a blob away; fine if there is none.
    async fn delete(&self, id: &BlobId) -> Result<(), BlobError>;

    /// An address from which anybody who has it can fetch the blob, for so long (S-139); `None` if this store has none to
    /// give.
    async fn link(
        &self,
        id: &BlobId,
        serving: &Serving,
        good_for: Duration,
    ) -> Result<Option<String>, BlobError>;

    /// Whether blobs can be stored right now: asked for health, answers within a second.
    async fn works(&self) -> bool;
}

/// Checks a range against a blob's length.
pub fn cut(range: Option<Range<u64>>, length: u64) -> Result<Range<u64>, BlobError> {
    match range {
        None => Ok(0..length),
        Some(range) if range.start < length && range.start < range.end => {
            Ok(range.start..range.end.min(length))
        }
        Some(_) => Err(BlobError::BeyondEnd { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_anywhere_else() {
        let long = "k".repeat(KEY_BYTES_MAX);
        for (key, accepted) in [
            ("507f1f77bcf86cd799439011", true),
            ("aa.png", true),
            ("a-_9.tar.gz", true),
            (&long, true),
            (&format!("{long}k"), false),
            ("", false),
            ("a", false),
            (".", false),
            ("..", false),
            ("../etc/passwd", false),
            (".a", false),
            ("a.b", false),
            ("aa/../bb", false),
            ("aa/b", false),
            ("aa\\b", false),
            ("aa\0", false),
            ("Aa", false),
            ("aä", false),
            ("aa b", false),
        ] {
            assert_eq!(BlobId::new(Space::Originals, key).is_ok(), accepted, "{key}");
        }
    }
}
