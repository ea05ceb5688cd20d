//! How many of something a user may have, under any race.
//!
//! Each of them has a number, its slot, and no two of one user have the same: a unique index sees to that. Who has `n`
//! and may have `max` takes one of the `max - n` lowest numbers that are free. However many are taken at once, no more
//! than these can be, and who finds one taken counts again.

use chatterbox_core::auth::fill_random;

/// How often a slot is tried that others took at the same moment.
pub(super) const ATTEMPTS: u32 = 64;

/// A number for one more than `taken` and those without a number; `None` if there are `max` already.
pub(super) fn free(taken: &[i64], without: usize, max: u64) -> Option<i64> {
    let has = (taken.len() + without) as u64;
    let room = usize::try_from(max.checked_sub(has).filter(|room| *room > 0)?).unwrap_or(usize::MAX);
    // Any of them: those who ask at once shall not all want the first.
    let nth = random(room.min(64));
    (0..).filter(|slot| !taken.contains(slot)).nth(nth)
}

fn random(below: usize) -> usize {
    let mut bytes = [0; 2];
    fill_random(&mut bytes);
    usize::from(u16::from_le_bytes(bytes)) % below.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_and_one_of_those_there_is_room_for() {
        for (taken, without, max, candidates) in [
            (&[][..], 0, 1, vec![0]),
            (&[0], 0, 2, vec![1]),
            (&[0], 0, 1, vec![]),
            (&[0], 0, 0, vec![]),
            (&[5, 6], 0, 3, vec![0]),
            (&[5, 6], 0, 2, vec![]),
            (&[1], 1, 4, vec![0, 2]),
        ] {
            for _ in 0..20 {
                let slot = free(taken, without, max);
                assert_eq!(slot.is_some(), !candidates.is_empty(), "{taken:?} of {max}");
                assert!(slot.is_none_or(|slot| candidates.contains(&slot)), "{slot:?}");
            }
        }
    }
}
