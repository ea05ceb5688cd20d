//! The text of every message: 128 bytes that begin with the time of sending.

/// Length of a message's text in all scenarios.
const CONTENT_BYTES: usize = 128;
const MARK: &[u8] = b"stamp:";
const DIGITS: usize = 16;

/// A text sent at `at_ns` (nanoseconds on the generator's clock).
pub(crate) fn content(at_ns: u64) -> [u8; CONTENT_BYTES] {
    let mut text = [b'.'; CONTENT_BYTES];
    text[..MARK.len()].copy_from_slice(MARK);
    let mut rest = at_ns;
    for digit in text[MARK.len()..MARK.len() + DIGITS].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
        rest >>= 4;
    }
    text
}

/// The time of sending, wherever the text stands in `payload`.
pub(crate) fn sent_at(payload: &[u8]) -> Option<u64> {
    let start = payload.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = str::from_utf8(payload.get(start..start + DIGITS)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_is_found_again_inside_an_event() {
        for at in [0, 1, 0x1234_5678_9abc_def0, u64::MAX] {
            let event = [br#"42["said","room",""#.as_slice(), &content(at), br#""]"#].concat();
            assert_eq!(sent_at(&event), Some(at));
        }
        assert_eq!(sent_at(br#"42["said","room","no time"]"#), None);
    }
}
