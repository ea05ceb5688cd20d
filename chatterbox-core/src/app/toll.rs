//! What a change of who is in a conversation as what costs.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::Error;

/// Takes what a change costs from the bucket of its caller.
#[async_trait]
pub trait Collect: Send + Sync {
    /// Takes it, or refuses with [`Error::RateLimited`].
    async fn collect(&self) -> Result<(), Error>;
}

/// What a use case of [`Cost::Change`](super::Cost::Change) pays when it is about to change something. Clients repeat
/// such calls (whoever reconnects joins all their rooms again), and what changes nothing costs nothing.
#[derive(Clone, Default)]
pub struct Toll(Option<Arc<dyn Collect>>);

impl Toll {
    /// Paid to `collector`.
    pub fn to(collector: Arc<dyn Collect>) -> Toll {
        Toll(Some(collector))
    }

    /// Pays it, or is refused with [`Error::RateLimited`]. Those who owe nothing always pass.
    pub async fn pay(&self) -> Result<(), Error> {
        match &self.0 {
            Some(collector) => collector.collect().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Toll").field(&self.0.is_some()).finish()
    }
}
