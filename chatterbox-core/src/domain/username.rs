//! Usernames: who may be called what, and when two names are the same (S-052, THREATS.md F1 and F3).
//!
//! ```text
//! text ──NFKC, strip default-ignorables──▶ shown ──case fold──▶ key        (one logs in with it)
//!                                            └──skeleton, fold, skeleton──▶ skeleton (looks like it)
//! ```

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;
use unicode_security::restriction_level::RestrictionLevel;
use unicode_security::{GeneralSecurityProfile, RestrictionLevelDetection};

use super::limits::{COMBINING_MARKS_MAX, USERNAME_CHARS};
use super::rule::Rule;
use super::text::{fold, is_default_ignorable};
use super::user::Username;

/// No username is normalised from more bytes than this, so a megabyte costs nothing.
const INPUT_BYTES_MAX: usize = 1024;

/// Names that speak for the server, or stand for people in general. Compared by look as well, so `аdmіn` is one of them.
const RESERVED: [&str; 24] = [
    "admin",
    "administrator",
    "ai",
    "all",
    "anonymous",
    "api",
    "assistant",
    "bot",
    "channel",
    "chatterbox",
    "deleted",
    "deleted-user",
    "everyone",
    "here",
    "me",
    "mod",
    "moderator",
    "null",
    "operator",
    "root",
    "support",
    "system",
    "undefined",
    "webhook",
];

impl Username {
    /// A name for a new account.
    ///
    /// Letters and digits of one script (UTS 39, single script), with `_`, `-` and `.` between them. Characters nobody
    /// sees (zero width, direction controls, variation selectors) are taken out before anything is compared.
    pub fn parse(text: &str) -> Result<Username, Rule> {
        if text.len() > INPUT_BYTES_MAX {
            return Err(Rule::length(&USERNAME_CHARS));
        }
        let shown = visible(text);
        if !USERNAME_CHARS.contains(&shown.chars().count()) {
            return Err(Rule::length(&USERNAME_CHARS));
        }
        check_characters(&shown)?;
        if !shown
            .as_str()
            .check_restriction_level(RestrictionLevel::SingleScript)
        {
            return Err(Rule::Script);
        }
        let key = fold(&shown);
        let skeleton = looks(&shown);
        let reserved = RESERVED
            .iter()
            .any(|name| key == *name || skeleton == looks(name));
        if reserved {
            return Err(Rule::Reserved);
        }
        Ok(Username { shown, key, skeleton })
    }

    /// The key under which a name is found; `None` if no account can have it.
    pub fn look_up(text: &str) -> Option<String> {
        if text.len() > INPUT_BYTES_MAX {
            return None;
        }
        let key = fold(&visible(text));
        (!key.is_empty()).then_some(key)
    }
}

/// NFKC without what can't be seen; once more, since taking out may bring characters together that compose.
fn visible(text: &str) -> String {
    let seen: String = text.nfkc().filter(|c| !is_default_ignorable(*c)).collect();
    seen.nfkc().collect()
}

/// How a name looks. Upper-case letters have look-alikes of their own (`I` and `l`) that folding would hide, and folding
/// makes new ones, so the skeleton is taken on both sides of it.
fn looks(shown: &str) -> String {
    let as_written: String = skeleton(shown).collect();
    skeleton(&fold(&as_written)).collect()
}

fn check_characters(shown: &str) -> Result<(), Rule> {
    let separator = |c: char| matches!(c, '_' | '-' | '.');
    if shown.starts_with(separator) || shown.ends_with(separator) {
        return Err(Rule::Characters);
    }
    let mut marks = 0;
    let mut has_letter_or_digit = false;
    for c in shown.chars() {
        if is_combining_mark(c) {
            marks += 1;
            if marks > COMBINING_MARKS_MAX || !has_letter_or_digit {
                return Err(Rule::Characters);
            }
            continue;
        }
        marks = 0;
        has_letter_or_digit |= c.is_alphanumeric();
        if !(c.is_alphanumeric() || separator(c)) || !c.identifier_allowed() {
            return Err(Rule::Characters);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Rule = Rule::Length { min: 3, max: 32 };

    #[test]
    fn names_keep_to_the_rules_of_s_052_and_f1() {
        for (text, expected) in [
            ("ann", Ok("ann")),
            ("Ann.Lee_7-x", Ok("Ann.Lee_7-x")),
            ("ａｎｎ", Ok("ann")),
            ("an\u{200d}n\u{202e}", Ok("ann")),
            ("a\u{ad}nn\u{fe0f}", Ok("ann")),
            ("Jürgen", Ok("Jürgen")),
            ("Ju\u{308}rgen", Ok("Jürgen")),
            ("Борис", Ok("Борис")),
            ("田中さん", Ok("田中さん")),
            ("अनुराग", Ok("अनुराग")),
            ("an", Err(LENGTH)),
            ("", Err(LENGTH)),
            ("\u{200b}\u{200b}\u{200b}", Err(LENGTH)),
            ("аnn", Err(Rule::Script)),
            ("annλ", Err(Rule::Script)),
            ("an n", Err(Rule::Characters)),
            ("ann@example", Err(Rule::Characters)),
            ("<b>ann", Err(Rule::Characters)),
            ("ann\0", Err(Rule::Characters)),
            ("ann\n", Err(Rule::Characters)),
            ("_ann", Err(Rule::Characters)),
            ("ann.", Err(Rule::Characters)),
            ("...", Err(Rule::Characters)),
            ("🎉🎉🎉", Err(Rule::Characters)),
            ("ann\u{e000}", Err(Rule::Characters)),
            ("admin", Err(Rule::Reserved)),
            ("ＡＤＭＩＮ", Err(Rule::Reserved)),
            ("r00t", Err(Rule::Reserved)),
            ("EvERyone", Err(Rule::Reserved)),
        ] {
            let parsed = Username::parse(text);
            assert_eq!(
                parsed
                    .as_ref()
                    .map(|name| name.shown.as_str())
                    .map_err(|rule| *rule),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn lengths_are_counted_in_code_points_at_their_edges() {
        for (text, expected) in [
            ("ü".repeat(3), true),
            ("ü".repeat(32), true),
            ("ü".repeat(33), false),
            ("a".repeat(1_000_000), false),
            ("é".to_owned() + &"\u{301}".repeat(3) + "ab", true),
            ("a".to_owned() + &"\u{301}".repeat(20) + "b", false),
        ] {
            assert_eq!(Username::parse(&text).is_ok(), expected, "{} bytes", text.len());
        }
    }

    #[test]
    fn one_name_in_two_spellings_is_one_name() {
        // Edge case 20, THREATS.md F1 and F3: equal key or equal skeleton means only one of them can exist.
        for (one, other, expected) in [
            ("ann", "ANN", "key"),
            ("ann", "ａｎｎ", "key"),
            ("ann", "a\u{200d}nn", "key"),
            ("strasse", "straße", "key"),
            ("straſse", "strasse", "key"),
            ("σοφος", "σοφος", "key"),
            ("σοφος", "σοφοσ", "key"),
            ("İrem", "i\u{307}rem", "key"),
            ("сосо", "coco", "skeleton"),
            ("lann", "Iann", "skeleton"),
            ("b0b", "bob", "skeleton"),
            ("rnike", "Mike", "skeleton"),
            ("ann", "anna", "different"),
            ("irem", "ırem", "skeleton"),
        ] {
            let (one, other) = (Username::parse(one).unwrap(), Username::parse(other).unwrap());
            let found = if one.key == other.key {
                "key"
            } else if one.skeleton == other.skeleton {
                "skeleton"
            } else {
                "different"
            };
            assert_eq!(found, expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_login_finds_the_key_of_any_spelling() {
        for text in ["Ann", "ANN", "ａｎｎ", "a\u{200b}nn"] {
            assert_eq!(Username::look_up(text).as_deref(), Some("ann"));
        }
        assert_eq!(Username::look_up(""), None);
        assert_eq!(Username::look_up(&"a".repeat(2000)), None);
    }
}
