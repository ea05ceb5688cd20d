//! What people say about themselves besides their username: address, shown name, password.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::limits::{
    COMBINING_MARKS_MAX, DISPLAY_NAME_CHARS, DOMAIN_LABEL_BYTES_MAX, EMAIL_CHARS, EMAIL_LOCAL_BYTES_MAX,
    PASSWORD_CHARS,
};
use super::rule::Rule;
use super::secret::Secret;
use super::text::{is_bidi_control, is_default_ignorable};
use super::user::Email;

impl Email {
    /// Checks the form of an address: a dot-atom of RFC 5321 and a domain of at least two labels, all ASCII (an
    /// international domain is given in its `xn--` form). Whether it receives mail only a mail can tell.
    ///
    /// The key is in lower case: no provider of note tells `Ann@` from `ann@`, and two accounts on one mailbox are worse.
    pub fn parse(text: &str) -> Result<Email, Rule> {
        let shown = text.trim_matches(' ');
        if !EMAIL_CHARS.contains(&shown.len()) {
            return Err(Rule::length(&EMAIL_CHARS));
        }
        let (local, domain) = shown.rsplit_once('@').ok_or(Rule::Format)?;
        if is_local_part(local) && is_domain(domain) {
            Ok(Email {
                shown: shown.to_owned(),
                key: shown.to_ascii_lowercase(),
            })
        } else {
            Err(Rule::Format)
        }
    }
}

fn is_local_part(local: &str) -> bool {
    local.len() <= EMAIL_LOCAL_BYTES_MAX
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
}

/// `atext` of RFC 5322 section 3.2.3.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    let label_is_fine = |label: &str| {
        (1..=DOMAIN_LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && domain.split('.').all(label_is_fine)
        // A last label of digits is an IPv4 address, not a domain.
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name shown beside a username: NFC, trimmed, without controls and direction tricks.
pub fn display_name(text: &str) -> Result<String, Rule> {
    if text.len() > 16 * DISPLAY_NAME_CHARS.end() {
        return Err(Rule::length(&DISPLAY_NAME_CHARS));
    }
    let name: String = text.trim().nfc().collect();
    if !DISPLAY_NAME_CHARS.contains(&name.chars().count()) {
        return Err(Rule::length(&DISPLAY_NAME_CHARS));
    }
    let mut marks = 0;
    for c in name.chars() {
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        if c.is_control()
            || is_bidi_control(c)
            || matches!(c, '\u{2028}' | '\u{2029}')
            || marks > COMBINING_MARKS_MAX
        {
            return Err(Rule::Characters);
        }
    }
    if name.chars().all(|c| c.is_whitespace() || is_default_ignorable(c)) {
        return Err(Rule::Characters);
    }
    Ok(name)
}

/// A password in clear: never shown, wiped when dropped, hashed as the bytes that were typed.
#[derive(Clone)]
pub struct Password(Secret);

impl Password {
    /// A password for an account: 8 to 128 code points of any kind (S-047).
    pub fn new(text: Secret) -> Result<Password, Rule> {
        if PASSWORD_CHARS.contains(&text.as_str().chars().count()) {
            Ok(Password(text))
        } else {
            Err(Rule::length(&PASSWORD_CHARS))
        }
    }

    /// A password to try: shorter ones may stem from an older installation, longer ones belong to nobody.
    pub fn attempt(text: Secret) -> Result<Password, Rule> {
        if text.as_str().chars().count() <= *PASSWORD_CHARS.end() {
            Ok(Password(text))
        } else {
            Err(Rule::length(&PASSWORD_CHARS))
        }
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Rule = Rule::Length { min: 1, max: 64 };

    #[test]
    fn addresses_are_sane_and_compare_without_case() {
        let longest = format!("{}@{}.example", "a".repeat(64), "b".repeat(60));
        for (text, expected) in [
            ("Ann@Example.org", Some("ann@example.org")),
            (" ann@example.org ", Some("ann@example.org")),
            ("ann+chat@mail.example.org", Some("ann+chat@mail.example.org")),
            (
                "o'neil@xn--bcher-kva.example",
                Some("o'neil@xn--bcher-kva.example"),
            ),
            (longest.as_str(), Some(longest.as_str())),
            ("", None),
            ("ann", None),
            ("@example.org", None),
            ("ann@", None),
            ("ann@localhost", None),
            ("ann@127.0.0.1", None),
            ("ann@[127.0.0.1]", None),
            ("a@b@example.org", None),
            ("an n@example.org", None),
            (".ann@example.org", None),
            ("ann..lee@example.org", None),
            ("ann@-example.org", None),
            ("ann@example..org", None),
            ("ann@exam_ple.org", None),
            ("ann@example.org\r\nBcc: bob@example.org", None),
            ("\"ann lee\"@example.org", None),
            ("änn@example.org", None),
            ("ann@exаmple.org", None),
        ] {
            let parsed = Email::parse(text);
            assert_eq!(
                parsed.as_ref().ok().map(|email| email.key.as_str()),
                expected,
                "{text:?}"
            );
        }
        assert!(Email::parse(&format!("{}@example.org", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("a@{}.example", "b".repeat(64))).is_err());
        assert_eq!(
            Email::parse(&"a".repeat(1_000_000)),
            Err(Rule::Length { min: 6, max: 254 })
        );
    }

    #[test]
    fn display_names_show_what_they_say() {
        for (text, expected) in [
            ("Ann Lee", Ok("Ann Lee")),
            ("  Ann  ", Ok("Ann")),
            ("👩\u{200d}💻 Ann", Ok("👩\u{200d}💻 Ann")),
            ("אן", Ok("אן")),
            ("<script>", Ok("<script>")),
            ("", Err(LENGTH)),
            ("   ", Err(LENGTH)),
            ("Ann\u{202e}nimda", Err(Rule::Characters)),
            ("Ann\u{2066}x", Err(Rule::Characters)),
            ("Ann\nLee", Err(Rule::Characters)),
            ("Ann\u{1b}[31m", Err(Rule::Characters)),
            ("\u{200b}\u{200d}", Err(Rule::Characters)),
            (
                "Z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}",
                Err(Rule::Characters),
            ),
        ] {
            assert_eq!(
                display_name(text).as_deref().map_err(|rule| *rule),
                expected,
                "{text:?}"
            );
        }
        assert!(display_name(&"ü".repeat(64)).is_ok());
        assert_eq!(display_name(&"ü".repeat(65)), Err(LENGTH));
    }

    #[test]
    fn passwords_count_code_points_and_are_never_cut() {
        for (length, expected) in [(7, false), (8, true), (73, true), (128, true), (129, false)] {
            assert_eq!(
                Password::new("ü".repeat(length).into()).is_ok(),
                expected,
                "{length}"
            );
        }
        assert!(Password::attempt("short".into()).is_ok());
        assert!(Password::attempt("a".repeat(129).into()).is_err());
        assert_eq!(
            format!("{:?}", Password::attempt("hunter2".into()).unwrap()),
            "Password(…)"
        );
    }
}
