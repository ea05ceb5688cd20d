//! Unicode forms that names and searches are compared in.

use unicode_normalization::UnicodeNormalization;

/// NFKC, full case folding (not `to_lowercase`: ß and ss, İ and i̇ are one; THREATS.md F3), and NFKC again since folding
/// may leave the normal form.
pub fn fold(text: &str) -> String {
    let folded: String = caseless::default_case_fold_str(&text.nfkc().collect::<String>());
    folded.nfkc().collect()
}

/// Whether a text links somewhere (S-133): it has an absolute http or https address.
pub fn has_link(text: &str) -> bool {
    ["http://", "https://"].into_iter().any(|scheme| {
        text.match_indices(scheme).any(|(at, _)| {
            text[at + scheme.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '[')
        })
    })
}

/// Whether a character is drawn as nothing at all (`Default_Ignorable_Code_Point` of Unicode: zero width, joiners,
/// direction controls, variation selectors, tags, fillers).
pub fn is_default_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character turns the writing direction of what follows (`Bidi_Control` of Unicode).
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
