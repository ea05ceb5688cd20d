//! What an input can get wrong, as clients are told: `details: [{field, rule}]` (SPEC.md section 1).

/// The rule that a field broke. [`word`](Rule::word) is stable; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rule {
    /// Missing or null.
    #[error("is required")]
    Required,
    /// Not of the JSON type that belongs there.
    #[error("is of the wrong type")]
    Type,
    /// Shorter or longer than [`limits`](super::limits) say.
    #[error("has a length out of bounds")]
    Length,
    /// Holds characters that don't belong there.
    #[error("holds characters that are not allowed")]
    Characters,
    /// Mixes scripts that are not written together.
    #[error("mixes scripts")]
    Script,
    /// Kept for the server.
    #[error("is reserved")]
    Reserved,
    /// Not of the form it must have.
    #[error("is malformed")]
    Format,
    /// A number out of its bounds.
    #[error("is out of range")]
    Range,
}

impl Rule {
    /// The word in `details`; clients switch on it.
    pub fn word(self) -> &'static str {
        match self {
            Rule::Required => "required",
            Rule::Type => "type",
            Rule::Length => "length",
            Rule::Characters => "characters",
            Rule::Script => "script",
            Rule::Reserved => "reserved",
            Rule::Format => "format",
            Rule::Range => "range",
        }
    }
}
