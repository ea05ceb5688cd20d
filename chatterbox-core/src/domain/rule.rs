//! What an input can get wrong, as clients are told in `details: [{field, rule}]` (SPEC.md section 1).

/// The rule that a field broke; the text is what the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rule {
    /// Missing or null.
    #[error("required")]
    Required,
    /// Not of the JSON type that belongs there.
    #[error("must be a {0}")]
    Type(&'static str),
    /// Shorter or longer than [`limits`](super::limits) say.
    #[error("{min} to {max} code points")]
    Length {
        /// Fewest code points.
        min: usize,
        /// Most.
        max: usize,
    },
    /// Holds characters that don't belong there.
    #[error("holds characters that are not allowed")]
    Characters,
    /// Mixes scripts that are not written together.
    #[error("mixes scripts")]
    Script,
    /// Kept for the server.
    #[error("reserved")]
    Reserved,
    /// More items than allowed.
    #[error("at most {max} items")]
    Items {
        /// Most.
        max: usize,
    },
    /// Not of the form it must have.
    #[error("malformed")]
    Format,
    /// Not a whole number of the range.
    #[error("a whole number, at least {min}, at most {max}")]
    Range {
        /// Smallest.
        min: usize,
        /// Largest.
        max: usize,
    },
    /// Given together with another parameter that means something else, or twice.
    #[error("given more than once, or beside another that excludes it")]
    Ambiguous,
}

impl Rule {
    /// A length outside of `range`.
    pub(super) fn length(range: &std::ops::RangeInclusive<usize>) -> Rule {
        Rule::Length {
            min: *range.start(),
            max: *range.end(),
        }
    }
}
