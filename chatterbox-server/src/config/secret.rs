//! Secrets: judged before use, and made at random where a developer gave none (S-041).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chatterbox_core::domain::secret::Secret;

/// Why a secret must not protect anything that matters; `None` if nothing speaks against it.
pub(super) fn weakness(secret: &Secret) -> Option<String> {
    let text = secret.as_str();
    let length = text.len();
    if length < BYTES_MIN {
        return Some(format!("has {length} bytes, at least {BYTES_MIN} are needed"));
    }
    let letters: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if SAMPLES.iter().any(|sample| letters.contains(sample)) {
        return Some("looks like a sample from documentation".to_owned());
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    (bytes.len() < DISTINCT_MIN).then(|| "repeats a few characters".to_owned())
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
        Ok(text) if weakness(&text.trim().into()).is_none() => Ok(text.trim().into()),
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
    Ok(text.into())
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
            assert_eq!(weakness(&text.into()).is_some(), weak, "{text}");
        }
    }

    #[test]
    fn a_made_secret_is_kept_and_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt-secret");
        let first = read_or_make(&path).unwrap();
        assert_eq!(weakness(&first), None);
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
