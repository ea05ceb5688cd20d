//! Secrets: never shown, judged before use, and made at random where a developer gave none (S-041).

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A text that must not be seen: not in logs, not in messages, not by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text, for the one who computes with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Why it must not protect anything that matters; `None` if nothing speaks against it.
    pub fn weakness(&self) -> Option<String> {
        let length = self.0.len();
        if length < BYTES_MIN {
            return Some(format!("has {length} bytes, at least {BYTES_MIN} are needed"));
        }
        let letters: String = self
            .0
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if SAMPLES.iter().any(|sample| letters.contains(sample)) {
            return Some("looks like a sample from documentation".to_owned());
        }
        let mut bytes = self.0.clone().into_bytes();
        bytes.sort_unstable();
        bytes.dedup();
        (bytes.len() < DISTINCT_MIN).then(|| "repeats a few characters".to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// HS256 keys shorter than its hash weaken it (RFC 7518 section 3.2).
const BYTES_MIN: usize = 32;

/// 32 hex digits of a random number hold fewer than eight different ones once in 40,000; a typed pattern always does.
const DISTINCT_MIN: usize = 8;

/// Parts of secrets that people copy from examples, lower case, letters and digits only.
const SAMPLES: [&str; 10] = [
    "changeme",
    "changethis",
    "yoursecret",
    "yourjwt",
    "yoursupersecret",
    "supersecret",
    "jwtsecret",
    "secretkey",
    "examplesecret",
    "replaceme",
];

/// The secret of a developer's own server: read from `path`, or made at random and written there for its owner alone.
pub(super) fn read_or_make(path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(text) if Secret::new(text.trim().to_owned()).weakness().is_none() => {
            Ok(Secret::new(text.trim().to_owned()))
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds no usable secret; delete it to have a new one made",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Secret> {
    use std::fmt::Write as _;
    let mut random = [0; 32];
    chatterbox_core::auth::fill_random(&mut random);
    let mut text = String::with_capacity(64);
    for byte in random {
        let _ = write!(text, "{byte:02x}");
    }
    // Written beside and renamed, so that a crash leaves the whole secret or none; and `create_new`, so that of two
    // starting processes one fails here rather than both going on with secrets of their own.
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_named_for_what_they_are() {
        // S-041, THREATS.md C10.
        for (text, weak) in [
            ("short", true),
            ("your-secret-key-change-in-production", true),
            ("CHANGE_ME_CHANGE_ME_CHANGE_ME_CHANGE_ME", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true),
            ("q3Zl0ZpI7wI2mN1xk9Ff0b5cU8rT6yHs", false),
        ] {
            assert_eq!(Secret::new(text.to_owned()).weakness().is_some(), weak, "{text}");
        }
    }

    #[test]
    fn a_made_secret_is_kept_and_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt-secret");
        let first = read_or_make(&path).unwrap();
        assert_eq!(first.weakness(), None);
        assert_eq!(read_or_make(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "Secret(…)");
    }

    #[test]
    fn an_emptied_secret_file_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt-secret");
        fs::write(&path, "\n").unwrap();
        assert!(read_or_make(&path).is_err());
    }
}
