//! The start-up check: which variable is wrong, and what to do about it (S-042, S-044).

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use chatterbox_core::ports::blob::Space;

use super::S3Options;

/// The object that is written and deleted, where blobs of a space go: the key may be let in there alone.
fn probe(space: Space) -> String {
    format!("{}/chatterbox-write-check", space.as_str())
}

/// The region that buckets are in unless something else is said, by S3's rules.
const REGION_DEFAULT: &str = "us-east-1";

/// Why files can't be kept on the S3 server: one line that names the variable.
#[derive(Debug, thiserror::Error)]
pub enum S3OpenError {
    /// Nobody answers there, or somebody who doesn't speak S3.
    #[error(
        "S3_ENDPOINT {endpoint} does not answer as an S3 server: {why}; check the address and that the server runs"
    )]
    Endpoint {
        /// The address.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// The server doesn't know the key.
    #[error("S3_ACCESS_KEY {access_key} is not known to the S3 server; check it")]
    AccessKey {
        /// Its id, which is no secret.
        access_key: String,
    },
    /// The signature doesn't match.
    #[error("S3_SECRET_KEY does not belong to S3_ACCESS_KEY {access_key}: the server refuses the signature")]
    SecretKey {
        /// The id of the key.
        access_key: String,
    },
    /// The bucket is elsewhere.
    #[error("S3_REGION {region} is not the region of the bucket {bucket} ({why})")]
    Region {
        /// The region.
        region: String,
        /// The bucket.
        bucket: String,
        /// What the server said.
        why: String,
    },
    /// The clocks differ.
    #[error(
        "the clocks of this machine and of the S3 server at S3_ENDPOINT {endpoint} differ too much for signatures; set them right"
    )]
    Clock {
        /// The address.
        endpoint: String,
    },
    /// The bucket isn't there and can't be made, or can't be written to.
    #[error(
        "{variable} {bucket} can't be written to: {why}; make the bucket, and let the key write and delete objects in it"
    )]
    Bucket {
        /// Which variable names it.
        variable: &'static str,
        /// The bucket.
        bucket: String,
        /// What the server said.
        why: String,
    },
}

/// Writes to both spaces, making buckets that are missing.
pub(super) async fn check(client: &Client, options: &S3Options) -> Result<(), S3OpenError> {
    for space in Space::ALL {
        let (variable, bucket) = match space {
            Space::Originals => ("S3_BUCKET", &options.bucket),
            Space::Derived if options.derived_bucket == options.bucket => ("S3_BUCKET", &options.bucket),
            Space::Derived => ("S3_ATTACHMENTS_BUCKET", &options.derived_bucket),
        };
        let place = Place {
            client,
            options,
            variable,
            bucket,
            probe: probe(space),
        };
        place.check().await?;
    }
    Ok(())
}

struct Place<'a> {
    client: &'a Client,
    options: &'a S3Options,
    variable: &'static str,
    bucket: &'a str,
    probe: String,
}

impl Place<'_> {
    async fn check(&self) -> Result<(), S3OpenError> {
        match self.write().await {
            Ok(()) => {}
            Err(error) if error.code() == Some("NoSuchBucket") => {
                self.make().await?;
                self.write().await.map_err(|error| self.explain(&error))?;
            }
            Err(error) => return Err(self.explain(&error)),
        }
        let delete = self.client.delete_object().bucket(self.bucket).key(&self.probe);
        delete.send().await.map_err(|error| self.explain(&error))?;
        Ok(())
    }

    async fn write(&self) -> Result<(), SdkError<aws_sdk_s3::operation::put_object::PutObjectError>> {
        let body = ByteStream::from_static(b"ChatterBox looks whether it may write here.");
        let put = self
            .client
            .put_object()
            .bucket(self.bucket)
            .key(&self.probe)
            .body(body);
        put.send().await.map(drop)
    }

    async fn make(&self) -> Result<(), S3OpenError> {
        let mut request = self.client.create_bucket().bucket(self.bucket);
        if self.options.region != REGION_DEFAULT {
            let place = BucketLocationConstraint::from(self.options.region.as_str());
            let configuration = CreateBucketConfiguration::builder()
                .location_constraint(place)
                .build();
            request = request.create_bucket_configuration(configuration);
        }
        match request.send().await {
            Ok(_) => {
                tracing::info!("made the bucket {} ({})", self.bucket, self.variable);
                Ok(())
            }
            // Another node was faster.
            Err(error)
                if matches!(
                    error.code(),
                    Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(match self.explain(&error) {
                S3OpenError::Bucket {
                    variable,
                    bucket,
                    why,
                } => S3OpenError::Bucket {
                    variable,
                    bucket,
                    why: format!("it is not there and could not be made ({why})"),
                },
                other => other,
            }),
        }
    }

    fn explain<E>(&self, error: &SdkError<E>) -> S3OpenError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let options = self.options;
        // The driver calls an answer so that is 404 and empty; S3 itself tells what it has not found.
        let code = error.code().filter(|code| *code != "NotFound");
        let unreachable = |why: String| S3OpenError::Endpoint {
            endpoint: options.endpoint.clone(),
            why,
        };
        match error {
            SdkError::ServiceError(_) => {}
            SdkError::TimeoutError(_) => return unreachable("it took too long".to_owned()),
            // Not sent, not answered, or answered with something else than S3 speaks; whatever else the driver may find.
            _ => return unreachable(innermost(error)),
        }
        let said = || match (code, error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => {
                let status = error
                    .raw_response()
                    .map_or(0, |response| response.status().as_u16());
                format!("HTTP status {status}")
            }
        };
        match code {
            // Some servers call an unknown key so; a key that is known never gets this.
            Some("InvalidAccessKeyId" | "NotSignedUp" | "InvalidClientTokenId") => S3OpenError::AccessKey {
                access_key: options.access_key.clone(),
            },
            Some("SignatureDoesNotMatch") => S3OpenError::SecretKey {
                access_key: options.access_key.clone(),
            },
            Some("RequestTimeTooSkewed") => S3OpenError::Clock {
                endpoint: options.endpoint.clone(),
            },
            Some(
                "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "IllegalLocationConstraintException"
                | "InvalidRegion"
                | "IncorrectEndpoint",
            ) => S3OpenError::Region {
                region: options.region.clone(),
                bucket: self.bucket.to_owned(),
                why: said(),
            },
            // An answer without a code is none of S3.
            None => unreachable(said()),
            Some(_) => S3OpenError::Bucket {
                variable: self.variable,
                bucket: self.bucket.to_owned(),
                why: said(),
            },
        }
    }
}

/// The cause at the bottom: `connection refused` rather than `dispatch failure`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    if text.is_empty() {
        DisplayErrorContext(error).to_string()
    } else {
        text
    }
}
