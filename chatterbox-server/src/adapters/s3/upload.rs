//! One put: small content in one request, longer content as a multipart upload.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use chatterbox_core::ports::blob::{BlobError, Intake, Put, Stored};
use chatterbox_core::tasks::Tasks;

use super::failed;

/// Sent in one request, and held in memory until the server has taken it. S3 wants 5 MiB at least of all parts but the
/// last.
const PART_BYTES: usize = 8 << 20;
/// Parts of an upload, by S3's rules.
const PARTS_MAX: i32 = 10_000;

/// Where a put goes.
pub(super) struct Target<'a> {
    pub(super) client: &'a Client,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) tasks: &'a Tasks,
}

impl Target<'_> {
    pub(super) async fn put(&self, put: Put) -> Result<Stored, BlobError> {
        let mut parts = Parts::of(Intake::new(put)?);
        let first = parts.next().await?.unwrap_or_default();
        if parts.is_at_end().await? {
            let stored = parts.intake.finish()?;
            self.put_whole(first).await?;
            return Ok(stored);
        }
        let mut upload = self.begin().await?;
        let mut next = Some(first);
        while let Some(part) = next {
            upload.add(part).await?;
            next = parts.next().await?;
        }
        let stored = parts.intake.finish()?;
        upload.complete().await?;
        Ok(stored)
    }

    async fn put_whole(&self, bytes: Bytes) -> Result<(), BlobError> {
        self.client
            .put_object()
            .bucket(self.bucket)
            .key(self.key)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn begin(&self) -> Result<Upload, BlobError> {
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(self.bucket)
            .key(self.key)
            .send()
            .await
            .map_err(failed)?;
        let id = begun
            .upload_id()
            .ok_or_else(|| BlobError::Unavailable("the server began an upload without a name".into()))?;
        Ok(Upload {
            client: self.client.clone(),
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            id: Some(id.to_owned()),
            parts: Vec::new(),
            tasks: self.tasks.clone(),
        })
    }
}

/// Content in pieces of one size, the last one aside.
struct Parts {
    intake: Intake,
    /// Came behind the last part.
    rest: Bytes,
}

impl Parts {
    fn of(intake: Intake) -> Parts {
        Parts {
            intake,
            rest: Bytes::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let mut part = BytesMut::new();
        loop {
            let room = PART_BYTES - part.len();
            let some = self.rest.split_to(room.min(self.rest.len()));
            part.extend_from_slice(&some);
            if part.len() == PART_BYTES {
                return Ok(Some(part.freeze()));
            }
            match self.intake.next().await? {
                Some(bytes) => self.rest = bytes,
                None => return Ok((!part.is_empty()).then(|| part.freeze())),
            }
        }
    }

    /// Whether nothing follows.
    async fn is_at_end(&mut self) -> Result<bool, BlobError> {
        while self.rest.is_empty() {
            match self.intake.next().await? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// A multipart upload; aborted when dropped before its end, so that the server keeps no parts.
struct Upload {
    client: Client,
    bucket: String,
    key: String,
    /// Taken at the end.
    id: Option<String>,
    parts: Vec<CompletedPart>,
    tasks: Tasks,
}

impl Upload {
    async fn add(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        if number > PARTS_MAX {
            let max = u64::from(PARTS_MAX.unsigned_abs()) * PART_BYTES as u64;
            return Err(BlobError::TooLong { max });
        }
        let added = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(&self.key)
            .set_upload_id(self.id.clone())
            .part_number(number)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(failed)?;
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(added.e_tag().map(str::to_owned))
            .build();
        self.parts.push(part);
        Ok(())
    }

    async fn complete(mut self) -> Result<(), BlobError> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(std::mem::take(&mut self.parts)))
            .build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .set_upload_id(self.id.clone())
            .multipart_upload(parts)
            .send()
            .await
            .map_err(failed)?;
        self.id = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(id);
        let key = self.key.clone();
        self.tasks.spawn(async move {
            if let Err(error) = abort.send().await {
                let error = failed(error);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "parts of {key} may be left on the S3 server; a lifecycle rule that aborts incomplete uploads clears them"
                );
            }
        });
    }
}
