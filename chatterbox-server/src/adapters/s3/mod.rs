//! Files on an S3 server: AWS, MinIO, any other that keeps to its protocol.
//!
//! ```text
//! put ─▶ Intake ─▶ up to 8 MiB: one PUT          longer: a multipart upload, part by part, ended or aborted (upload.rs)
//! get ◀─ one GET, streamed                       link: a signed address, made without asking the server
//! open ─▶ writes and deletes a small object in each space: wrong variables are found at the start (check.rs)
//! ```
//! Buckets are addressed by path, and requests carry no checksums that a server of another make may not know. A put holds
//! one part of 8 MiB in memory at most, a get what the connection has read.

mod check;
mod upload;

use std::error::Error as StdError;
use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::ports::blob::{
    Blob, BlobError, BlobId, Blobs, Content, Put, Serving, Space, Stored, cut,
};
use chatterbox_core::tasks::Tasks;
use futures_util::stream;

pub use check::S3OpenError;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long the server may take to begin its answer, a part of 8 MiB being sent included.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// One request, all attempts at it together.
const OPERATION_MAX: Duration = Duration::from_mins(1);
/// Attempts at a request that failed in a way that may pass.
const ATTEMPTS: u32 = 3;
/// How long the next bytes of a blob may take.
const STALL_MAX: Duration = Duration::from_secs(20);
/// How long health waits.
const HEALTH_MAX: Duration = Duration::from_millis(900);

/// Where the server is and what is used of it.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// `http://` or `https://`, host and port.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Id of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
    /// Bucket of originals.
    pub bucket: String,
    /// Bucket of what is derived; may be the same.
    pub derived_bucket: String,
}

/// Blobs as objects: `originals/<key>` and `derived/<key>` in their buckets.
#[derive(Debug)]
pub struct S3Blobs {
    client: Client,
    bucket: String,
    derived_bucket: String,
    /// Uploads that are aborted behind a caller who went away.
    tasks: Tasks,
}

impl S3Blobs {
    /// Connects, makes buckets that are missing if the key may do that, and writes and deletes a small object in each, so
    /// that a wrong variable is named now and not at the first upload (S-042). Uploads whose caller goes away are aborted
    /// through `tasks`.
    pub async fn open(options: S3Options, tasks: &Tasks) -> Result<S3Blobs, S3OpenError> {
        let client = Client::from_conf(client_config(&options));
        check::check(&client, &options).await?;
        Ok(S3Blobs {
            client,
            bucket: options.bucket,
            derived_bucket: options.derived_bucket,
            tasks: tasks.clone(),
        })
    }

    fn bucket(&self, id: &BlobId) -> &str {
        match id.space() {
            Space::Originals => &self.bucket,
            Space::Derived => &self.derived_bucket,
        }
    }
}

fn client_config(options: &S3Options) -> aws_sdk_s3::Config {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let credentials = Credentials::new(
        options.access_key.clone(),
        options.secret_key.as_str(),
        None,
        None,
        "configuration",
    );
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .read_timeout(ANSWER_MAX)
        .operation_timeout(OPERATION_MAX)
        .build();
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(&options.endpoint)
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials)
        // Host names per bucket need DNS that servers of one's own seldom have.
        .force_path_style(true)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .build()
}

/// What went wrong, with all its causes: for logs.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn failed<E, R>(error: SdkError<E, R>) -> BlobError
where
    E: StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let text = DisplayErrorContext(&error).to_string();
    BlobError::Unavailable(text.into())
}

/// Whether the server says that there is no such object. An answer without a body has no code.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    // A missing bucket is a fault of ours, not an empty answer.
    error.code() != Some("NoSuchBucket") && status == Some(404)
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, id: &BlobId, put: Put) -> Result<Stored, BlobError> {
        let target = upload::Target {
            client: &self.client,
            bucket: self.bucket(id),
            key: &id.to_string(),
            tasks: &self.tasks,
        };
        target.put(put).await
    }

    async fn get(&self, id: &BlobId, range: Option<Range<u64>>) -> Result<Option<Blob>, BlobError> {
        // Asked first, so that the range is one that there is; an empty object has none.
        let Some(length) = self.length(id).await? else {
            return Ok(None);
        };
        let is_whole = range.is_none();
        let range = cut(range, length)?;
        let mut request = self
            .client
            .get_object()
            .bucket(self.bucket(id))
            .key(id.to_string());
        if !is_whole {
            request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
        }
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let expected = range.end - range.start;
        if found
            .content_length()
            .is_some_and(|length| u64::try_from(length) != Ok(expected))
        {
            // It was replaced in this moment: what was read of it would be of two.
            return Err(BlobError::Unavailable(
                "the object changed while it was read".into(),
            ));
        }
        Ok(Some(Blob {
            length,
            range,
            content: content_of(found.body),
        }))
    }

    async fn length(&self, id: &BlobId) -> Result<Option<u64>, BlobError> {
        let head = self
            .client
            .head_object()
            .bucket(self.bucket(id))
            .key(id.to_string());
        match head.send().await {
            Ok(head) => Ok(Some(
                u64::try_from(head.content_length().unwrap_or(0)).unwrap_or(0),
            )),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn delete(&self, id: &BlobId) -> Result<(), BlobError> {
        let delete = self
            .client
            .delete_object()
            .bucket(self.bucket(id))
            .key(id.to_string());
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn link(
        &self,
        id: &BlobId,
        serving: &Serving,
        good_for: Duration,
    ) -> Result<Option<String>, BlobError> {
        let signing = PresigningConfig::expires_in(good_for)
            .map_err(|error| BlobError::Unavailable(Box::new(error)))?;
        let request = self
            .client
            .get_object()
            .bucket(self.bucket(id))
            .key(id.to_string())
            .response_content_type(&serving.media_type)
            .response_content_disposition(&serving.disposition)
            .presigned(signing)
            .await
            .map_err(failed)?;
        Ok(Some(request.uri().to_owned()))
    }

    async fn works(&self) -> bool {
        // Whether both buckets are there; that the key may write was seen at the start.
        let is_there = async |bucket: &str| self.client.head_bucket().bucket(bucket).send().await.is_ok();
        let all = async {
            let derived =
                async { self.derived_bucket == self.bucket || is_there(&self.derived_bucket).await };
            let (originals, derived) = tokio::join!(is_there(&self.bucket), derived);
            originals && derived
        };
        tokio::time::timeout(HEALTH_MAX, all).await.unwrap_or(false)
    }
}

/// The body as it comes in. A server that stops in the middle ends it with an error.
fn content_of(body: ByteStream) -> Content {
    Box::pin(stream::try_unfold(body, async |mut body| {
        let next = tokio::time::timeout(STALL_MAX, body.next());
        let next = next.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let bytes = next.transpose().map_err(io::Error::other)?;
        Ok(bytes.map(|bytes| (bytes, body)))
    }))
}
