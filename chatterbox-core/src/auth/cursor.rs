//! Cursors: opaque positions in a list, which only fit the list they were made for (SPEC.md section 1, Pagination).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::KeyRing;

/// Bytes of the tag at the end of a cursor.
const TAG_BYTES: usize = 16;
/// Longer texts are no cursors of ours.
const CURSOR_CHARS_MAX: usize = 400;

/// A cursor that this server never made, or made for another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list")]
pub struct InvalidCursor;

/// Seals and opens cursors.
#[derive(Clone)]
pub struct Cursors {
    /// Newest first.
    keys: Vec<hmac::Key>,
}

impl Cursors {
    /// With keys derived from the ring's secrets.
    pub fn new(ring: &KeyRing) -> Cursors {
        Cursors {
            keys: ring.derive("chatterbox cursor v1"),
        }
    }

    /// A cursor for `position` in the list that `list` names, for example `rooms` or `history 0123… before`.
    pub fn seal(&self, list: &str, position: &[u8]) -> String {
        let mut bytes = position.to_vec();
        bytes.extend_from_slice(&tag(&self.keys[0], list, position).as_ref()[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a cursor of this list.
    pub fn open(&self, list: &str, cursor: &str) -> Result<Vec<u8>, InvalidCursor> {
        if cursor.len() > CURSOR_CHARS_MAX {
            return Err(InvalidCursor);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let position = bytes.len().checked_sub(TAG_BYTES).ok_or(InvalidCursor)?;
        let given = bytes.split_off(position);
        let genuine = self.keys.iter().any(|key| {
            let expected = tag(key, list, &bytes);
            expected.as_ref()[..TAG_BYTES].ct_eq(&given).into()
        });
        if genuine { Ok(bytes) } else { Err(InvalidCursor) }
    }
}

fn tag(key: &hmac::Key, list: &str, position: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&(list.len() as u64).to_be_bytes());
    context.update(list.as_bytes());
    context.update(position);
    context.sign()
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_its_list_only() {
        let cursors = Cursors::new(&KeyRing::new(b"a secret of more than thirty-two bytes", []));
        let cursor = cursors.seal("rooms", b"general");
        assert_eq!(cursors.open("rooms", &cursor).as_deref(), Ok(&b"general"[..]));
        assert_eq!(
            cursors.open("roomsg", &cursors.seal("rooms", b"gx")),
            Err(InvalidCursor)
        );
        assert_eq!(cursors.open("history", &cursor), Err(InvalidCursor));
        let other = Cursors::new(&KeyRing::new(b"another secret of thirty-two bytes and more", []));
        assert_eq!(other.open("rooms", &cursor), Err(InvalidCursor));
        for forged in ["", "AAAA", "general", "é", "=", &cursor[1..], &"A".repeat(10_000)] {
            assert_eq!(cursors.open("rooms", forged), Err(InvalidCursor), "{forged}");
        }
    }
}
