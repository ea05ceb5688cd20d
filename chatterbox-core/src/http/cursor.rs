//! What stands in the cursors of the lists. [`Cursors`](crate::auth::Cursors) sees to it that a cursor fits no other list.

use crate::app::conversations::ListPosition;
use crate::clock::Timestamp;
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::error::Error;
use crate::http::state::RestState;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::FoundAt;

/// Where a list goes on.
pub(super) trait Position: Sized {
    fn to_bytes(&self) -> Vec<u8>;

    /// `None` for what [`to_bytes`](Position::to_bytes) never wrote.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl RestState {
    /// The cursor of a position in `list`.
    pub(super) fn seal<P: Position>(&self, list: &str, position: &P) -> String {
        self.cursors.seal(list, &position.to_bytes())
    }

    /// The position of a cursor in `list`, if there is one.
    pub(super) fn open<P: Position>(&self, list: &str, cursor: Option<&str>) -> Result<Option<P>, Error> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let bytes = self
            .cursors
            .open(list, cursor)
            .map_err(|_| Error::InvalidCursor)?;
        P::from_bytes(&bytes).map(Some).ok_or(Error::InvalidCursor)
    }
}

impl Position for UserId {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<UserId> {
        bytes.try_into().ok().map(UserId::from_bytes)
    }
}

impl Position for EntryId {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<EntryId> {
        bytes.try_into().ok().map(EntryId::from_bytes)
    }
}

impl Position for Seq {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Seq> {
        bytes.try_into().ok().map(|bytes| Seq(u32::from_be_bytes(bytes)))
    }
}

impl Position for RoomName {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<RoomName> {
        std::str::from_utf8(bytes).ok().and_then(RoomName::look_up)
    }
}

impl Position for ListPosition {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.at.as_millis().to_be_bytes()[..], self.id.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<ListPosition> {
        let (at, id) = bytes.split_first_chunk()?;
        Some(ListPosition {
            at: Timestamp::from_millis(i64::from_be_bytes(*at)),
            id: ConversationId::from_bytes(id.try_into().ok()?),
        })
    }
}

impl Position for FoundAt {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.user.as_bytes()[..], self.key.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<FoundAt> {
        let (user, key) = bytes.split_first_chunk()?;
        Some(FoundAt {
            key: std::str::from_utf8(key).ok()?.to_owned(),
            user: UserId::from_bytes(*user),
        })
    }
}
