//! Concrete backends behind the ports of `chatterbox_core`, each behind a cargo feature.

#[cfg(feature = "embedded")]
pub mod embedded;
pub mod files;
#[cfg(feature = "mongo")]
pub mod mongo;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "s3")]
pub mod s3;
