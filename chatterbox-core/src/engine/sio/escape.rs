//! Escapes within strings of JSON, and what is made of halves of characters: U+FFFD (PROTOCOL.md section 8).

/// An escape sequence within a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// `\n` and its like.
    Short,
    /// `\u0041`.
    Unit,
    /// `\ud83d\ude00`.
    Pair,
    /// `\ud83d` without the other half.
    LoneSurrogate,
}

impl Escape {
    /// The one that `text` begins with.
    pub(super) fn at(text: &[u8]) -> Option<Escape> {
        match text.get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(Escape::Short),
            b'u' => Some(match unit(text)? {
                0xD800..=0xDBFF => match text.get(6..).and_then(unit) {
                    Some(0xDC00..=0xDFFF) => Escape::Pair,
                    _ => Escape::LoneSurrogate,
                },
                0xDC00..=0xDFFF => Escape::LoneSurrogate,
                _ => Escape::Unit,
            }),
            _ => None,
        }
    }

    /// In bytes.
    pub(super) fn len(self) -> usize {
        match self {
            Escape::Short => 2,
            Escape::Unit | Escape::LoneSurrogate => 6,
            Escape::Pair => 12,
        }
    }
}

/// The UTF-16 unit of `\uXXXX` at the start of `text`.
fn unit(text: &[u8]) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = text.get(..6)? else {
        return None;
    };
    digits.iter().try_fold(0, |unit, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(value).ok()?)
    })
}

/// A copy of a checked text with U+FFFD for every lone surrogate escape; the same length, so all offsets stay valid.
pub(super) fn repair(json: &str) -> String {
    let mut repaired = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escaped) = rest.split_at(at);
        repaired.push_str(before);
        // The text is checked: every backslash begins an escape within a string.
        let escape = Escape::at(escaped.as_bytes()).unwrap_or(Escape::Short);
        let (sequence, behind) = escaped.split_at_checked(escape.len()).unwrap_or((escaped, ""));
        repaired.push_str(if escape == Escape::LoneSurrogate {
            "\\ufffd"
        } else {
            sequence
        });
        rest = behind;
    }
    repaired.push_str(rest);
    repaired
}
