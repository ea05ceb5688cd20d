//! What Redis pushes to who listens, read from the bytes of its protocol: `*3 $7 message $n channel $n payload`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const BEGINNING: &[u8] = b"*3\r\n$7\r\nmessage\r\n$";
/// The longest name of a channel that is read.
const CHANNEL_MAX: usize = 512;

/// Messages by channel, over all connections of a proxy.
#[derive(Debug, Clone, Default)]
pub struct Pushes(Arc<Mutex<BTreeMap<String, u64>>>);

impl Pushes {
    /// How many there were so far, by channel.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads one connection from its beginning.
    pub(crate) fn reader(&self) -> Reader {
        Reader {
            pushes: self.clone(),
            rest: Vec::new(),
        }
    }
}

/// Reads one connection.
pub(crate) struct Reader {
    pushes: Pushes,
    /// The end of what came, in which a message may have begun.
    rest: Vec<u8>,
}

impl Reader {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(at) = find(&self.rest[from..], BEGINNING) {
            from += at;
            let Some(channel) = channel(&self.rest[from + BEGINNING.len()..]) else {
                // The rest of it is on its way.
                self.rest.drain(..from);
                return;
            };
            let mut counts = self.pushes.0.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(channel).or_default() += 1;
            from += BEGINNING.len();
        }
        // The last bytes may be the first of a message.
        let kept = (self.rest.len() - from).min(BEGINNING.len() - 1);
        self.rest.drain(..self.rest.len() - kept);
    }
}

/// The channel behind `$`; `None` while it has not come whole.
fn channel(bytes: &[u8]) -> Option<String> {
    let end = find(bytes, b"\r\n")?;
    let length: usize = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    let name = bytes.get(end + 2..end + 2 + length.min(CHANNEL_MAX))?;
    Some(String::from_utf8_lossy(name).into_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_channel_however_the_bytes_are_cut() {
        let mut bytes = b"+PONG\r\n".to_vec();
        for channel in ["a:b", "cc", "a:b"] {
            let payload = "*3\r\n x";
            bytes.extend(
                format!(
                    "*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${}\r\n{payload}\r\n",
                    channel.len(),
                    payload.len()
                )
                .bytes(),
            );
        }
        for size in [1, 2, 3, 7, 20, 1_000] {
            let pushes = Pushes::default();
            let mut reader = pushes.reader();
            for piece in bytes.chunks(size) {
                reader.take(piece);
            }
            let expected = BTreeMap::from([("a:b".to_owned(), 2), ("cc".to_owned(), 1)]);
            assert_eq!(pushes.counts(), expected, "pieces of {size}");
        }
    }
}
