//! One process on a data directory: whoever holds the lock may open the store and remove a stale control socket.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The lock of a data directory, held until dropped. The operating system ends it with the process, however that dies,
/// so there are no stale locks.
#[derive(Debug)]
pub struct Lock {
    // Closing the file releases the lock.
    _file: File,
    directory: PathBuf,
}

/// Why a data directory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("DATA_DIR {} is in use by another process{}; stop it or choose another DATA_DIR", directory.display(), by(*process))]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// Process id of the holder, if it is known.
        process: Option<u32>,
    },
    /// The directory or its lock file can't be made or opened.
    #[error("DATA_DIR {} can't be used: {source}", directory.display())]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl Lock {
    /// Takes `directory`, making it (for its owner alone) if it does not exist.
    pub fn take(directory: &Path) -> Result<Lock, LockError> {
        let unusable = |source| LockError::Unusable {
            directory: directory.to_owned(),
            source,
        };
        let mut file = open(directory).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse {
                    directory: directory.to_owned(),
                    process: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // Only for the message above: the lock itself is the operating system's.
        let note = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(unusable)?;
        Ok(Lock {
            _file: file,
            directory: directory.to_owned(),
        })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn open(directory: &Path) -> io::Result<File> {
    if !fs::exists(directory)? {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_holder_at_a_time() {
        // SPEC.md section 1, Process.
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep").join("data");
        let lock = Lock::take(&data).unwrap();
        let message = Lock::take(&data).unwrap_err().to_string();
        let expected = format!(
            "DATA_DIR {} is in use by another process (process {}); stop it or choose another DATA_DIR",
            data.display(),
            std::process::id()
        );
        assert_eq!(message, expected);
        drop(lock);
        Lock::take(&data).unwrap();
    }

    #[test]
    fn a_path_that_is_no_directory_is_said_to_be_unusable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = Lock::take(file.path()).unwrap_err().to_string();
        assert!(message.contains("can't be used"), "{message}");
    }
}
