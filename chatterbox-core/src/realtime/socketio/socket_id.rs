//! Names of sockets.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

/// The public name of a socket: new for each connection and namespace, random, and unrelated to the session id, which
/// is a secret (PROTOCOL.md section 10).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId([u8; 20]);

impl SocketId {
    pub(super) fn random() -> SocketId {
        let mut random = [0; 15];
        crate::auth::fill_random(&mut random);
        let mut id = [b'A'; 20];
        // 15 bytes are exactly 20 digits.
        let _ = URL_SAFE_NO_PAD.encode_slice(random, &mut id);
        SocketId(id)
    }

    /// 20 characters, safe in URLs.
    pub fn as_str(&self) -> &str {
        // Digits of base64, or checked when it was read.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A text that is not 20 ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a socket id")]
pub struct InvalidSocketId;

impl FromStr for SocketId {
    type Err = InvalidSocketId;

    fn from_str(text: &str) -> Result<SocketId, InvalidSocketId> {
        let id = text.is_ascii().then(|| text.as_bytes().try_into().ok()).flatten();
        id.map(SocketId).ok_or(InvalidSocketId)
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SocketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
