//! Unicode forms that names and searches are compared in.

use unicode_normalization::UnicodeNormalization;

/// NFKC, full case folding (not `to_lowercase`: ß and ss, İ and i̇ are one; THREATS.md F3), and NFKC again since folding
/// may leave the normal form.
pub fn fold(text: &str) -> String {
    let folded: String = caseless::default_case_fold_str(&text.nfkc().collect::<String>());
    folded.nfkc().collect()
}
