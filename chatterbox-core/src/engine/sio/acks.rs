//! Events of ours that wait for the client's ack.

use std::collections::BTreeMap;

/// The outstanding acks of one socket; `T` is whatever waits for the answer.
///
/// Ids are ours and unique per socket (PROTOCOL.md section 11). The table is bounded, an entry leaves it by
/// [`take`](Acks::take) when the answer or its time-out comes, and the whole table goes with the socket, so nothing
/// grows (socket.io#4984). Late and invented answers find nothing and are ignored.
#[derive(Debug)]
pub struct Acks<T> {
    next: u32,
    waiting: BTreeMap<u32, T>,
}

impl<T> Acks<T> {
    /// Most acks that one socket can owe us.
    pub const OUTSTANDING_MAX: usize = 1024;

    /// Asks for an ack; the id goes into the packet. Gives `waiter` back if too many are outstanding.
    pub fn insert(&mut self, waiter: T) -> Result<u32, T> {
        if self.waiting.len() >= Self::OUTSTANDING_MAX {
            return Err(waiter);
        }
        // After four billion the numbers begin again; one that is still waiting is passed over.
        while self.waiting.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.waiting.insert(id, waiter);
        Ok(id)
    }

    /// The waiter of an id, once.
    pub fn take(&mut self, id: u64) -> Option<T> {
        self.waiting.remove(&u32::try_from(id).ok()?)
    }

    /// Forgets everybody who waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many are outstanding.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<T> Default for Acks<T> {
    fn default() -> Acks<T> {
        Acks {
            next: 0,
            waiting: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_taken_once_and_only_by_its_id() {
        let mut acks = Acks::default();
        assert_eq!((acks.insert("a"), acks.insert("b")), (Ok(0), Ok(1)));
        assert_eq!(acks.take(1), Some("b"));
        for unknown in [1, 2, 1 << 32, u64::MAX] {
            assert_eq!(acks.take(unknown), None);
        }
        assert_eq!(acks.take(0), Some("a"));
    }

    #[test]
    fn outstanding_acks_are_bounded_and_ids_never_clash() {
        let mut acks = Acks {
            next: u32::MAX,
            waiting: BTreeMap::from([(0, 7)]),
        };
        assert_eq!((acks.insert(1), acks.insert(2)), (Ok(u32::MAX), Ok(1)));
        for waiter in acks.len()..Acks::<usize>::OUTSTANDING_MAX {
            acks.insert(waiter).unwrap();
        }
        assert_eq!(acks.insert(99), Err(99));
    }
}
