//! Whether the backends work, as health reports tell it.

use std::sync::Arc;

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::http::HealthCheck;
use chatterbox_core::ports::blob::Blobs;
use chatterbox_core::ports::storage::SessionStore;

/// Whether the store takes writes: asked with one that changes nothing. Nothing goes without.
pub(crate) struct WritesHealth {
    /// What the store is called in reports.
    pub(crate) name: &'static str,
    /// Where the write goes, by a way on which it waits for no others: a node that is busy works.
    pub(crate) sessions: Arc<dyn SessionStore>,
}

#[async_trait]
impl HealthCheck for WritesHealth {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_vital(&self) -> bool {
        true
    }

    async fn works(&self) -> bool {
        self.sessions.sweep(Timestamp::EPOCH, 1).await.is_ok()
    }
}

/// Whether files can be kept. Messages go without.
pub(crate) struct FilesHealth(pub(crate) Arc<dyn Blobs>);

#[async_trait]
impl HealthCheck for FilesHealth {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn is_vital(&self) -> bool {
        false
    }

    async fn works(&self) -> bool {
        self.0.works().await
    }
}
