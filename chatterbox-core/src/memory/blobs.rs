use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::lock;
use crate::ports::blob::{Blob, BlobError, BlobId, Blobs, Intake, Put, Serving, Stored, cut};

/// Blobs in memory.
#[derive(Debug)]
pub struct MemoryBlobs {
    bytes_max: u64,
    blobs: Mutex<HashMap<BlobId, Bytes>>,
}

impl MemoryBlobs {
    /// At most `bytes_max` bytes in all; above, puts are answered with [`BlobError::Full`].
    pub fn new(bytes_max: u64) -> MemoryBlobs {
        MemoryBlobs {
            bytes_max,
            blobs: Mutex::default(),
        }
    }

    fn room_for(&self, id: &BlobId, length: u64) -> bool {
        let blobs = lock(&self.blobs);
        let others = blobs.iter().filter(|(other, _)| *other != id);
        let taken: u64 = others.map(|(_, bytes)| bytes.len() as u64).sum();
        taken.saturating_add(length) <= self.bytes_max
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, id: &BlobId, put: Put) -> Result<Stored, BlobError> {
        let mut intake = Intake::new(put)?;
        let mut bytes = BytesMut::new();
        while let Some(some) = intake.next().await? {
            if !self.room_for(id, (bytes.len() + some.len()) as u64) {
                return Err(BlobError::Full);
            }
            bytes.extend_from_slice(&some);
        }
        let stored = intake.finish()?;
        lock(&self.blobs).insert(id.clone(), bytes.freeze());
        Ok(stored)
    }

    async fn get(&self, id: &BlobId, range: Option<Range<u64>>) -> Result<Option<Blob>, BlobError> {
        let found = lock(&self.blobs).get(id).cloned();
        let Some(bytes) = found else { return Ok(None) };
        let length = bytes.len() as u64;
        let range = cut(range, length)?;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let part = bytes.slice(place(range.start)..place(range.end));
        Ok(Some(Blob {
            length,
            range,
            content: Box::pin(stream::iter([Ok(part)])),
        }))
    }

    async fn length(&self, id: &BlobId) -> Result<Option<u64>, BlobError> {
        Ok(lock(&self.blobs).get(id).map(|bytes| bytes.len() as u64))
    }

    async fn delete(&self, id: &BlobId) -> Result<(), BlobError> {
        lock(&self.blobs).remove(id);
        Ok(())
    }

    async fn link(&self, _: &BlobId, _: &Serving, _: Duration) -> Result<Option<String>, BlobError> {
        Ok(None)
    }

    async fn works(&self) -> bool {
        true
    }
}
