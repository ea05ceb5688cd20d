use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::{BlobError, Content, Put, Stored};

/// Takes the content of a [`Put`] in: counts and hashes it, and refuses what is too long or not what was announced. For
/// adapters, all of which take content in through this.
pub struct Intake {
    content: Content,
    hash: Context,
    length: u64,
    announced: Option<u64>,
    length_max: u64,
    sha256: Option<[u8; 32]>,
}

impl Intake {
    /// Of this; refused before a byte is taken if too much is announced.
    pub fn new(put: Put) -> Result<Intake, BlobError> {
        let Put {
            content,
            length,
            length_max,
            sha256,
        } = put;
        if length.is_some_and(|length| length > length_max) {
            return Err(BlobError::TooLong { max: length_max });
        }
        Ok(Intake {
            content,
            hash: Context::new(&SHA256),
            length: 0,
            announced: length,
            length_max,
            sha256,
        })
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some(bytes) = self.content.next().await else {
            return Ok(None);
        };
        let bytes = bytes.map_err(BlobError::BrokenOff)?;
        self.length += bytes.len() as u64;
        if self.length > self.length_max {
            return Err(BlobError::TooLong { max: self.length_max });
        }
        if self.announced.is_some_and(|announced| self.length > announced) {
            return Err(BlobError::Mismatch("length"));
        }
        self.hash.update(&bytes);
        Ok(Some(bytes))
    }

    /// At the end: what was taken in, if it is what was announced.
    pub fn finish(self) -> Result<Stored, BlobError> {
        if self.announced.is_some_and(|announced| self.length != announced) {
            return Err(BlobError::Mismatch("length"));
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        if self.sha256.is_some_and(|announced| announced != sha256) {
            return Err(BlobError::Mismatch("SHA-256"));
        }
        Ok(Stored {
            length: self.length,
            sha256,
        })
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
