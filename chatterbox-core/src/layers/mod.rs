//! What stands around the use cases: each layer does one thing to every call, or carries out one kind of effect, with
//! one port. [`crate::stack`] shows all of them in order.

mod around;
mod audit;
mod auth_limit;
mod buckets;
mod carry;
mod presence;
mod publish;
mod queue;
mod rate_limit;
mod receipts;
mod revocations;
mod shield;
mod timeout;
mod trace;

pub use around::{Around, AroundLayer};
pub use audit::Audit;
pub use auth_limit::AuthLimit;
pub use buckets::Buckets;
pub use carry::Carry;
pub use presence::Presences;
pub use publish::Publisher;
pub(crate) use publish::{end_session, end_sessions};
pub use queue::Enqueuer;
pub use rate_limit::{RateLimit, UserLimits};
pub use receipts::Receipts;
pub(crate) use revocations::follow_revocations;
pub use shield::Shield;
pub use timeout::Timeout;
pub use trace::Trace;

use std::future::Future;
use std::pin::Pin;

use crate::app::{Call, Outcome, Reply};
use crate::error::Error;

/// What every service of the stack answers with.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Outcome<Reply>, Error>> + Send>>;

/// A service of the stack: always ready, answers with a [`CallFuture`].
pub trait CallService:
    tower::Service<Call, Response = Outcome<Reply>, Error = Error, Future = CallFuture>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> CallService for S where
    S: tower::Service<Call, Response = Outcome<Reply>, Error = Error, Future = CallFuture>
        + Clone
        + Send
        + Sync
        + 'static
{
}
